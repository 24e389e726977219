"""What must be so at the end: all ready or gone, nothing left of what is gone, and the users' items untouched."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from reconciler.facts import DELETION_POLICY_TAG, stack_name
from reconciler.store import STATE, cluster_of, decode, encode
from tests.e2e.world import Json, World, conditions
from tests.soak.users import User

SIZES = ("MinSize", "MaxSize", "DesiredCapacity")


def unfinished(world: World, users: list[User]) -> list[str]:
    """The clusters that are neither as their user wrote them nor gone, and how they stand."""
    records = {cluster_of(row["cluster"]): row for row in _scan(world, "StateTable") if row["row"] == STATE}
    groups = {
        group["AutoScalingGroupName"]: [group[size] for size in SIZES] + [len(group["SuspendedProcesses"])]
        for group in _pages(world, "autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups")
    }
    found = ((user, records.get(user.cluster.name)) for user in users)
    return [f"{user.cluster.name} {_standing(record)}" for user, record in found if not _ended(user, record, groups)]


def _ended(user: User, record: Json | None, groups: dict[str, list[int]]) -> bool:
    """Gone; or ready, and its groups are so in truth: a hand may have changed them since the record was written."""
    if user.written is None or record is None:
        return user.written is None and record is None
    ready = conditions(record.get("status", {})).get("Ready", {})
    wanted = {user.cluster.group_name(name): [*sizes, 0] for name, sizes in user.wanted().items()}
    there = {name: sizes for name, sizes in groups.items() if name.startswith(user.cluster.stack_name + ".")}
    told = (ready.get("status"), ready.get("observedGeneration"))
    return told == ("True", record.get("generation")) and wanted == there


def _standing(record: Json | None) -> str:
    if record is None:
        return "has no record"
    status = record.get("status", {})
    told = [f"{kind}={c['status']} {c['reason']}: {c['message']}" for kind, c in conditions(status).items()]
    memory = {key: record.get(key) for key in ("trouble", "failure", "pending", "timer", "leaseOwner")}
    return f"{status.get('phase')} {told} {memory}"


def leaks(world: World, users: list[User]) -> Iterator[str]:
    """All that is there and should not be, or is there twice; and every item that its user did not write so."""
    living = {user.cluster.name: user for user in users if user.written is not None}
    yield from _items(world, living)
    for arn, cluster in _tagged(world):
        if cluster not in living:
            yield f"{arn} outlived cluster {cluster}"
    names = {stack_name(name) for name in living}
    stacks = {each["StackName"] for each in _pages(world, "cloudformation", "describe_stacks", "Stacks")}
    yield from (f"stack {name} outlived its cluster" for name in sorted(stacks - names) if name.startswith("muster-"))
    yield from (f"object {key} outlived its cluster" for key in world.objects("") if _cluster_of_key(key) not in living)
    rows = {row["cluster"] for row in _scan(world, "StateTable") if not row["row"].startswith("EVENT#")}
    yield from (f"a row of {key} outlived it" for key in sorted(rows) if key.partition("/")[0] not in living)
    yield from (f"dead letters: {name} {count}" for name, count in world.dead_letters().items())
    for user in living.values():
        yield from _surplus(world, user)


def _items(world: World, living: dict[str, User]) -> Iterator[str]:
    items = {item["name"]: item for item in _scan(world, "SpecsTable")}
    for name in sorted(items.keys() | living.keys()):
        user = living.get(name)
        if items.get(name) != (decode(encode({"name": name, "spec": user.written})) if user else None):
            yield f"item {name} is not what its user wrote: {items.get(name)}"


def _surplus(world: World, user: User) -> Iterator[str]:
    """Instances, volumes and change sets of a living cluster, beyond what its spec asks for."""
    name, spec = user.cluster.name, user.spec
    ours = [{"Name": "tag:muster:cluster", "Values": [name]}]
    volumes = world.client("ec2").describe_volumes(
        Filters=[*ours, {"Name": "tag-key", "Values": [DELETION_POLICY_TAG]}]
    )
    sets = _pages(world, "cloudformation", "list_change_sets", "Summaries", StackName=user.cluster.stack_name)
    # As on AWS, the last one that was executed stays listed with its stack.
    open_sets = [each["ChangeSetName"] for each in sets if each["ExecutionStatus"] != "EXECUTE_COMPLETE"]
    there = Counter(instances=len(user.cluster.instances), volumes=len(volumes["Volumes"]), change_sets=len(open_sets))
    nodes = sum(desired for _, _, desired in user.wanted().values())
    wanted = Counter(instances=1 + nodes, volumes=len(spec.get("sharedStorage", ())), change_sets=0)
    if there != wanted:
        yield f"{name} has {dict(there)}, and its spec asks for {dict(wanted)}"


def _tagged(world: World) -> Iterator[tuple[str, str]]:
    found = _pages(
        world,
        "resourcegroupstaggingapi",
        "get_resources",
        "ResourceTagMappingList",
        TagFilters=[{"Key": "muster:cluster"}],
    )
    for each in found:
        yield each["ResourceARN"], next(tag["Value"] for tag in each["Tags"] if tag["Key"] == "muster:cluster")


def _cluster_of_key(key: str) -> str:
    return key.split("/")[1] if key.startswith("clusters/") else ""


def _scan(world: World, table: str) -> list[Json]:
    return [decode(item) for item in _pages(world, "dynamodb", "scan", "Items", TableName=world.out(table))]


def _pages(world: World, service: str, operation: str, key: str, **request: Any) -> Iterator[Any]:
    for page in world.client(service).get_paginator(operation).paginate(**request):
        yield from page[key]
