"""A cluster of AWS Batch: images, roles, compute environments, queues, job definitions.

No size and no state that moves is in the template: an environment is made with the spec's bound, and from then on the
reconciler sets the vCPUs of the environments, and whether they and the queues are enabled.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.batch import PROJECT, REPOSITORY
from reconciler.facts import job_queue_name
from reconciler.render import head_node, iam, storage
from reconciler.render.batch import definitions, environments, images, logs, roles
from reconciler.render.context import Context, Resources, ref

__all__ = ["BatchRendered", "head_node_resources", "names", "outputs", "rendered", "resources"]


def resources(context: Context) -> Resources:
    """All but network and shared storage."""
    return {
        **logs.resources(context),
        **roles.resources(context),
        **images.resources(context),
        **environments.resources(context),
        **definitions.resources(context),
    }


def head_node_resources(context: Context) -> Resources:
    """The head node, which serves the volumes of the cluster, and from which jobs can be submitted."""
    return {
        **iam.head_node(context, storage.head_volumes(context), roles.submission(context)),
        **head_node.resources(context),
    }


@dataclass(frozen=True, slots=True)
class BatchRendered:
    """What the reconciler has to know of a Batch cluster's stack.

    `environments`: names in AWS to names in the spec. `orders`: queues by their names in AWS, with the names in AWS of
    their environments. `images`: what is to be built. `vcpus`: environments by their names in AWS, with the most vCPUs
    that the template says of them.
    """

    environments: Mapping[str, str]
    orders: Mapping[str, tuple[str, ...]]
    images: tuple[images.ImageBuild, ...]
    vcpus: Mapping[str, int]


def rendered(context: Context) -> BatchRendered:
    """The names, orders and builds of a cluster."""
    return BatchRendered(
        {environments.name(context, each): each.name for each in context.batch.compute_environments},
        {
            job_queue_name(context.name, queue.name): tuple(
                environments.name(context, each) for each in environments.order(context, queue)
            )
            for queue in context.batch.queues
        },
        images.builds(context.batch),
        {
            environments.name(context, each): environments.most_vcpus(context, each)
            for each in context.batch.compute_environments
        },
    )


def names(context: Context) -> dict[str, str]:
    """The consent names of what jobs would be lost with, by logical id."""
    return {environments.queue_id(queue): f"queues/{queue.name}" for queue in context.batch.queues}


def outputs(context: Context) -> dict[str, object]:
    """What people, tools and the reconciler look for."""
    held = [
        *(environments.environment_id(context, each) for each in context.batch.compute_environments),
        *(environments.queue_id(each) for each in context.batch.queues),
        *(definitions.definition_id(each) for each in context.batch.job_definitions),
    ]
    return {
        REPOSITORY: ref(images.REPOSITORY),
        PROJECT: ref(images.PROJECT),
        "SubmitRoleArn": roles.arn(roles.SUBMIT),
        "JobsLogGroup": ref(logs.JOBS),
        "BuildsLogGroup": ref(logs.BUILDS),
        **{each: ref(each) for each in held},
    }
