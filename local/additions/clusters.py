"""The ECS clusters of AWS Batch's compute environments, as DescribeClusters tells of them.

Of ECS this is all that Batch's users look at: how many tasks run and wait, and how many instances serve them. Clusters
that ECS itself was asked for are MiniStack's. Source: ECS API Reference (DescribeClusters, Cluster).
"""

import json
from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json, json_response

from local.additions import environments, instance_types
from local.additions.emulator import batch, ecs
from local.additions.rest import Request
from local.additions.scheduler import engine

Record = dict[str, Any]
MAX_DESCRIBED = 100
USUAL_VCPUS = 4
"""Of an instance that Batch chooses itself, from a family or `optimal`."""


def register() -> None:
    """Answer for Batch's clusters, and let MiniStack answer for the others."""
    ecs._ACTION_MAP["DescribeClusters"] = _describe(ecs._ACTION_MAP["DescribeClusters"])


def _describe(describe: Callable[[Request], Any]) -> Callable[[Request], Any]:
    def answer(request: Request) -> Any:
        wanted = request.get("clusters") or []
        if len(wanted) > MAX_DESCRIBED:
            message = f"clusters has {len(wanted)} entries; {MAX_DESCRIBED} are the most"
            return error_response_json("InvalidParameterException", message, 400)
        own = {each: record for each in wanted if (record := _environments().get(each.rpartition("/")[2]))}
        if not own:
            return describe(request)
        told = json.loads(describe({**request, "clusters": [each for each in wanted if each not in own]})[2])
        return json_response({**told, "clusters": [*map(_cluster, own.values()), *told["clusters"]]})

    return answer


def _environments() -> dict[str, Record]:
    """The compute environments by the names of their clusters."""
    found = (environments.environment(name) for name in list(batch._compute_envs))
    return {record["ecsClusterArn"].rpartition("/")[2]: record for record in found if record}


def _cluster(record: Record) -> Record:
    tasks = engine.tasks(record)
    return {
        "clusterArn": record["ecsClusterArn"],
        "clusterName": record["ecsClusterArn"].rpartition("/")[2],
        "status": "ACTIVE",
        "registeredContainerInstancesCount": instances(record.get("computeResources") or {}),
        "runningTasksCount": tasks["RUNNING"],
        "pendingTasksCount": tasks["STARTING"],
        "activeServicesCount": 0,
        "statistics": [],
        "tags": [],
        "settings": [],
        "capacityProviders": [],
        "defaultCapacityProviderStrategy": [],
    }


def instances(resources: Record) -> int:
    """How many instances the desired vCPUs take; Fargate has none."""
    vcpus = resources.get("desiredvCpus", 0)
    first = instance_types.find(next(iter(resources.get("instanceTypes") or []), ""))
    return -(-vcpus // (first.vcpus if first else USUAL_VCPUS))
