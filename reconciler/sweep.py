"""The sweep: reads everything there is in pages, and wakes the clusters whose facts are not those last seen.

Events make the operator quick; the sweep makes it certain. It costs about N/100 calls for N clusters, and decides
nothing: a cluster that it wakes gets a pass like any other.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from reconciler.batch import DEFINITION, PROJECT, QUEUE, BatchFacts, arns
from reconciler.facts import CLUSTER_TAG, HEADS, OWNER_TAG, STACK_PREFIX, Actual, Group, Instance, Stack, digest
from reconciler.observe import Filters, asking, group_of, instance_of, stack_of, tags_of
from reconciler.observe_batch import environment_of, queue_of
from reconciler.record import ABSENT
from reconciler.store import cluster_of, content_hash, decode, encode, partition
from reconciler.wake import Wake, send

if TYPE_CHECKING:
    from reconciler.clients import Clients
    from reconciler.settings import Settings

# Seconds by which a timer may be late before it is taken for lost.
TIMER_PATIENCE = 60


@dataclass(frozen=True, slots=True)
class Known:
    """What the record of a cluster says, as far as the sweep compares it."""

    spec_hash: str
    digest: str
    timer: float | None


def sweep(clients: Clients, settings: Settings, now: float) -> dict[str, str]:
    """Wake, by the background queue, each cluster that needs a pass. The answer maps their names to why."""
    with asking("the sweep"):
        specs, records = _specs(clients, settings), _records(clients, settings)
        facts = _facts(clients, settings.owner)
        found = due(specs, records, facts, now)
        send(
            clients.sqs,
            settings.background_queue_url,
            [Wake(name, "sweep", uuid.uuid4().hex) for name in found],
        )
    return found


def due(
    specs: Mapping[str, str], records: Mapping[str, Known], facts: Mapping[str, Actual], now: float
) -> dict[str, str]:
    """Pure: which clusters need a pass, and why. `specs` maps names to content hashes, `records` is by partition."""
    names = {key: cluster_of(key) or "" for key in records} | {partition(name): name for name in specs}
    why = (
        (name, _why(specs.get(name, ABSENT), records.get(key), facts.get(name, Actual()), now))
        for key, name in sorted(names.items())
    )
    return {name: reason for name, reason in why if reason}


def _why(spec_hash: str, known: Known | None, actual: Actual, now: float) -> str:
    if known is None:
        return "new"
    if known.spec_hash != spec_hash:
        return "spec"
    # A spec that was never accepted has nothing of its own, so nothing was looked at.
    if known.digest and known.digest != digest(actual):
        return "facts"
    if known.timer is not None and known.timer < now - TIMER_PATIENCE:
        return "timer"
    return ""


def _specs(clients: Clients, settings: Settings) -> dict[str, str]:
    pages = clients.dynamodb.get_paginator("scan").paginate(
        TableName=settings.specs_table,
        ProjectionExpression="#name, #spec, annotations",
        ExpressionAttributeNames={"#name": "name", "#spec": "spec"},
    )
    return {item["name"].get("S", ""): content_hash(item) for page in pages for item in page["Items"]}


def _records(clients: Clients, settings: Settings) -> dict[str, Known]:
    pages = clients.dynamodb.get_paginator("query").paginate(
        TableName=settings.state_table,
        IndexName="clusters",
        KeyConditionExpression="kind = :kind",
        ExpressionAttributeValues=encode({":kind": "cluster"}),
    )
    items = (decode(item) for page in pages for item in page["Items"])
    # A node can write rows of its own partition, and make them look like records.
    return {str(item["cluster"]): _known(item) for item in items if cluster_of(str(item["cluster"])) is not None}


def _known(item: Mapping[str, Any]) -> Known:
    timer = item.get("timer")
    return Known(
        # A record that was made and not written yet is like no spec, not even one that is gone.
        str(item.get("specHash", "")),
        str(item.get("digest", "")),
        None if timer is None else float(timer),
    )


def _facts(clients: Clients, owner: str) -> dict[str, Actual]:
    """All that bears this operator's tags, by cluster; and, as in a pass, whatever bears the name of its stack."""
    stacks, groups, heads = _stacks(clients), _groups(clients, owner), _heads(clients, owner)
    batches = _batches(clients, owner, stacks)
    names = stacks.keys() | groups.keys() | heads.keys() | batches.keys()
    return {
        name: Actual(
            stack=stacks.get(name),
            groups=tuple(groups[name]),
            instances=tuple(heads[name]),
            batch=batches.get(name, BatchFacts()),
        )
        for name in names
    }


def _batches(clients: Clients, owner: str, stacks: Mapping[str, Stack]) -> dict[str, BatchFacts]:
    """What there is of AWS Batch, by cluster. Queues and definitions are asked for only if a stack has any.

    As in a pass, those are what the outputs of a stack of ours name: while it is being made there are none.
    """
    held = {
        name: stack.outputs
        for name, stack in stacks.items()
        if PROJECT in stack.outputs and stack.owned_by(owner, name)
    }
    environments = _of_batch(clients.batch.get_paginator("describe_compute_environments"), "computeEnvironments", owner)
    queues = _of_batch(clients.batch.get_paginator("describe_job_queues"), "jobQueues", owner) if held else {}
    active: set[str] = _active_definitions(clients) if held else set()
    return {
        name: BatchFacts(
            environments=tuple(environment_of(each) for each in environments.get(name, ())),
            queues=tuple(
                queue_of(q) for q in queues.get(name, ()) if q["jobQueueArn"] in arns(held.get(name, {}), QUEUE)
            ),
            definitions={arn: arn in active for arn in arns(held.get(name, {}), DEFINITION)},
        )
        for name in environments.keys() | held.keys()
    }


def _of_batch(paginator: Any, key: str, owner: str) -> dict[str, list[Any]]:
    pages: Iterable[dict[str, Any]] = paginator.paginate(PaginationConfig={"PageSize": 100})
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for page in pages:
        for each in cast("list[dict[str, Any]]", page[key]):
            tags = cast("dict[str, str]", each.get("tags", {}))
            if tags.get(OWNER_TAG) == owner:
                found[tags.get(CLUSTER_TAG, "")].append(each)
    return found


def _active_definitions(clients: Clients) -> set[str]:
    pages = clients.batch.get_paginator("describe_job_definitions").paginate(
        status="ACTIVE", PaginationConfig={"PageSize": 100}
    )
    return {each["jobDefinitionArn"] for page in pages for each in page["jobDefinitions"]}


def _stacks(clients: Clients) -> dict[str, Stack]:
    pages = clients.cloudformation.get_paginator("describe_stacks").paginate()
    found = (stack_of(stack) for page in pages for stack in page["Stacks"])
    return {stack.name.removeprefix(STACK_PREFIX): stack for stack in found if stack.name.startswith(STACK_PREFIX)}


def _groups(clients: Clients, owner: str) -> defaultdict[str, list[Group]]:
    pages = clients.autoscaling.get_paginator("describe_auto_scaling_groups").paginate(
        Filters=[{"Name": f"tag:{OWNER_TAG}", "Values": [owner]}], PaginationConfig={"PageSize": 100}
    )
    return _by_cluster((group, group_of(group)) for page in pages for group in page["AutoScalingGroups"])


def _heads(clients: Clients, owner: str) -> defaultdict[str, list[Instance]]:
    """The head nodes: as in a pass, their groups tell of the other instances."""
    ours: Filters = [{"Name": f"tag:{OWNER_TAG}", "Values": [owner]}, HEADS]
    pages = clients.ec2.get_paginator("describe_instances").paginate(Filters=ours, PaginationConfig={"PageSize": 1000})
    found = (instance for page in pages for r in page["Reservations"] for instance in r.get("Instances", ()))
    return _by_cluster((instance, instance_of(instance)) for instance in found)


Fact = TypeVar("Fact")


def _by_cluster(found: Iterable[tuple[Mapping[str, Any], Fact]]) -> defaultdict[str, list[Fact]]:
    sorted_: defaultdict[str, list[Fact]] = defaultdict(list)
    for described, fact in found:
        sorted_[tags_of(described).get(CLUSTER_TAG, "")].append(fact)
    return sorted_
