"""From a cluster to the CloudFormation template of its stack: pure, and the same bytes for the same input."""

import hashlib
import json
from dataclasses import dataclass

from reconciler.cluster import Cluster
from reconciler.facts import HASH_TAG, VERSION_TAG
from reconciler.pins import Pins
from reconciler.render import batch, head_node, iam, network, notifications, queues, storage
from reconciler.render.batch import BatchRendered
from reconciler.render.context import (
    HEAD_NODE,
    Context,
    Json,
    MissingPinError,
    Resources,
    attribute,
    image_key,
    logical_id,
    ref,
)
from reconciler.render.site import Site
from reconciler.slurm import is_slurm
from reconciler.version import VERSION

__all__ = [
    "MissingPinError",
    "Pins",
    "Rendered",
    "Site",
    "logical_id",
    "render",
    "required_images",
    "required_zones",
]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A cluster's stack.

    `body` is the template, `hash` its SHA-256 in hexadecimal, `tags` what the stack is to be tagged with.
    `names` gives the logical ids of what must not be replaced or removed unasked the name by which
    `spec.consent` calls it; `retained` says of those that outlive the stack how: Retain, or Snapshot. `batch` is None
    for a cluster without AWS Batch. `agent` is the SHA-256 of what its nodes run, empty where they run none.
    """

    body: str
    hash: str
    tags: dict[str, str]
    names: dict[str, str]
    retained: dict[str, str]
    batch: BatchRendered | None = None
    agent: str = ""


def required_images(cluster: Cluster) -> set[str]:
    """The images (`<os>/<architecture>`) that have to be pinned to render a cluster."""
    spec = cluster.spec
    nodes = [(spec.head_node.instance_type, spec.head_node.ami)] if spec.head_node else []
    nodes += [(queue.instance_types[0], queue.ami) for queue in spec.queues]
    return {image_key(spec.image.os, kind) for kind, ami in nodes if not (ami or spec.image.ami)}


def required_zones(cluster: Cluster) -> set[str]:
    """The subnets whose Availability Zone has to be pinned to render a cluster: all that its nodes are in."""
    spec = cluster.spec
    home = (spec.head_node and spec.head_node.subnet_id) or spec.network.subnet_ids[0]
    parts = [*spec.queues, *(spec.batch.compute_environments if spec.batch else ())]
    return {home}.union(*(part.subnet_ids or spec.network.subnet_ids for part in parts))


def render(cluster: Cluster, site: Site, pins: Pins) -> Rendered:
    """The stack of a cluster.

    Raises MissingPinError when `pins` lacks what `required_images` or `required_zones` name.
    """
    context = Context(cluster, site, pins)
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Muster cluster {context.name}",
        "Resources": _resources(context),
        "Outputs": _outputs(context),
    }
    body = json.dumps(template, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(body.encode()).hexdigest()
    return Rendered(
        body=body,
        hash=digest,
        tags={**context.tags, HASH_TAG: digest, VERSION_TAG: VERSION},
        names={
            **({HEAD_NODE: "headNode"} if context.spec.head_node else {}),
            **{queues.group(queue): f"queues/{queue.name}" for queue in context.spec.queues},
            **(batch.names(context) if context.spec.batch else {}),
            **storage.names(context),
        },
        retained=storage.retained(context),
        batch=batch.rendered(context) if context.spec.batch else None,
        agent=site.agent if is_slurm(cluster) else "",
    )


def _resources(context: Context) -> Resources:
    if context.spec.batch:
        return {
            **network.compute(context),
            **batch.resources(context),
            **(batch.head_node_resources(context) if context.spec.head_node else {}),
            **storage.resources(context),
        }
    return {
        **network.resources(context),
        **notifications.resources(context),
        **iam.resources(context, storage.head_volumes(context)),
        **head_node.resources(context),
        **queues.resources(context),
        **storage.resources(context),
    }


def _outputs(context: Context) -> dict[str, Json]:
    values = batch.outputs(context) if context.spec.batch else _queue_outputs(context)
    if context.spec.head_node:
        values |= _head_outputs(context)
    return {name: {"Value": value} for name, value in values.items()}


def _head_outputs(context: Context) -> dict[str, object]:
    own = not context.spec.network.security_group_ids
    groups: list[object] = [
        *(network.node_groups(context, network.HEAD_GROUP)),
        *([ref(network.COMPUTE_GROUP)] if own else []),
    ]
    values: dict[str, object] = {
        "HeadNodeInstanceId": ref(HEAD_NODE),
        "HeadNodePrivateIp": attribute(HEAD_NODE, "PrivateIp"),
        "LogGroup": ref(head_node.LOG_GROUP),
        "SecurityGroups": {"Fn::Join": [",", groups]},
    }
    if head_node.has_address(context):
        values["HeadNodePublicIp"] = ref(head_node.ELASTIC_IP)
    return values


def _queue_outputs(context: Context) -> dict[str, object]:
    values: dict[str, object] = {"QueueUrl": ref(notifications.QUEUE), "TopicArn": ref(notifications.TOPIC)}
    for queue in context.spec.queues:
        template = queues.launch_template(queue)
        values[template] = ref(template)
        values[f"{template}Version"] = attribute(template, "LatestVersionNumber")
    return values
