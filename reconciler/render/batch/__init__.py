"""A cluster of AWS Batch: images, roles, compute environments, queues, job definitions.

No size and no state that moves is in the template: the reconciler sets the vCPUs of the environments, and whether they
and the queues are enabled.
"""

from reconciler.render.batch import definitions, environments, images, logs, roles
from reconciler.render.context import Context, Resources, ref

__all__ = ["outputs", "resources"]


def resources(context: Context) -> Resources:
    """All but network and shared storage."""
    return {
        **logs.resources(context),
        **roles.resources(context),
        **images.resources(context),
        **environments.resources(context),
        **definitions.resources(context),
    }


def outputs() -> dict[str, object]:
    """What people and tools look for."""
    return {
        "Repository": ref(images.REPOSITORY),
        "SubmitRoleArn": roles.arn(roles.SUBMIT),
        "JobsLogGroup": ref(logs.JOBS),
        "BuildsLogGroup": ref(logs.BUILDS),
    }
