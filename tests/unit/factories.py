"""Builders of what a plan is made of: what is wanted, what is there, what is remembered.

Each gives the plain, healthy thing; a test names only what it is about.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.cluster import Cluster, Invalid, parse
from reconciler.facts import (
    CLUSTER_TAG,
    HASH_TAG,
    OWNER_TAG,
    VERSION_TAG,
    Actual,
    Change,
    ChangeSet,
    Group,
    Instance,
    Leftover,
    Member,
    Stack,
    StackResource,
    group_name,
    stack_name,
)
from reconciler.pins import Pins
from reconciler.plan import Desired, Plan, plan
from reconciler.record import Accepted, Record, Rendering
from reconciler.render import Rendered

NOW = 1_800_000_000.0
NAME, OWNER, VERSION = "demo", "muster", "0.1.0"
# Hashes of templates: the one wanted, and one from before.
WANTED, BEFORE = "a" * 64, "b" * 64
SPEC_HASH = "stack-spec"
STACK_ID = "arn:aws:cloudformation:us-east-1:123456789012:stack/muster-demo/first"
VPC, SUBNET = "vpc-0123456789abcdef0", "subnet-0123456789abcdef0"
NAMES = {"HeadNode": "headNode", "GroupCompute": "queues/compute", "StorageHome": "sharedStorage/home"}
RETAINED = {"StorageHome": "Retain"}


def queue_spec(name: str = "compute", **fields: Any) -> dict[str, Any]:
    return {"name": name, "instanceTypes": ["c7i.large"], **(fields or {"size": 2})}


def document(name: str = NAME, *, annotations: Mapping[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    base = {
        "headNode": {"instanceType": "t3.small"},
        "queues": [queue_spec()],
        "network": {"vpcId": VPC, "subnetIds": [SUBNET]},
    }
    return {
        "apiVersion": "muster/v1",
        "kind": "Cluster",
        "metadata": {"name": name, "annotations": dict(annotations or {})},
        "spec": {**base, **spec},
    }


def cluster(name: str = NAME, **spec: Any) -> Cluster:
    parsed = parse(document(name, **spec))
    assert not isinstance(parsed, Invalid), str(parsed)
    return parsed


def rendered(template: str = WANTED, **parts: Any) -> Rendered:
    tags = {CLUSTER_TAG: NAME, OWNER_TAG: OWNER, HASH_TAG: template, VERSION_TAG: VERSION}
    return Rendered(**{"body": "{}", "hash": template, "tags": tags, "names": NAMES, "retained": RETAINED, **parts})


def desired(*, spec: Mapping[str, Any] | None = None, template: str = WANTED, **fields: Any) -> Desired:
    given = {
        "name": NAME,
        "owner": OWNER,
        "version": VERSION,
        "cluster": cluster(**(spec or {})),
        "rendered": rendered(template),
        "stack_spec_hash": SPEC_HASH,
    }
    return Desired(**{**given, **fields})


def gone(*, spec: Mapping[str, Any] | None = None, **fields: Any) -> Desired:
    """A spec that was accepted and is deleted."""
    return desired(spec=spec, present=False, **fields)


def stack(status: str = "CREATE_COMPLETE", template: str = WANTED, **fields: Any) -> Stack:
    tags = {CLUSTER_TAG: NAME, OWNER_TAG: OWNER, HASH_TAG: template, VERSION_TAG: VERSION}
    return Stack(**{"id": STACK_ID, "name": stack_name(NAME), "status": status, "tags": tags, **fields})


def members(count: int, lifecycle: str = "InService", *, first: int = 0) -> tuple[Member, ...]:
    return tuple(Member(f"i-{number:017x}", lifecycle) for number in range(first, first + count))


def group(queue: str = "compute", size: int = 2, **fields: Any) -> Group:
    """A group at a fixed size, all of it in service."""
    given = {"min": size, "max": size, "desired": size, "members": members(size)}
    return Group(**{"name": group_name(NAME, queue), "queue": queue, **given, **fields})


def bare_group(queue: str = "compute") -> Group:
    """A group as the template makes it."""
    return group(queue, 0, max=5000)


def head(state: str = "running", **fields: Any) -> Instance:
    return Instance(**{"id": "i-head", "state": state, "node": "head", "owner": OWNER, "launched": NOW - 60, **fields})


def node(number: int = 0, state: str = "running", **fields: Any) -> Instance:
    return Instance(**{"id": f"i-{number:017x}", "state": state, "node": "compute", "owner": OWNER, **fields})


def volume(identifier: str = "vol-1", policy: str = "Delete") -> Leftover:
    return Leftover("volume", identifier, policy)


def resource(logical_id: str, status: str = "CREATE_COMPLETE", **fields: Any) -> StackResource:
    given = {"physical_id": f"{logical_id}-id", "resource_type": "AWS::EC2::Volume"}
    return StackResource(**{"logical_id": logical_id, "status": status, **given, **fields})


def actual(status: str = "CREATE_COMPLETE", template: str = WANTED, **fields: Any) -> Actual:
    """A cluster that stands as specified, but for what is given."""
    return Actual(**{"stack": stack(status, template), "groups": (group(),), "instances": (head(),), **fields})


def change(
    logical_id: str = "Role",
    resource_type: str = "AWS::IAM::Role",
    action: str = "Modify",
    replacement: str = "False",
    causes: Iterable[str] = (),
) -> Change:
    return Change(action, logical_id, resource_type, replacement, tuple(causes))


def change_set(*changes: Change, name: str, status: str = "CREATE_COMPLETE", **fields: Any) -> ChangeSet:
    given = {"status": status, "execution_status": "AVAILABLE", "changes": changes, "id": f"arn:{name}/first"}
    return ChangeSet(**{"name": name, **given, **fields})


def rendering(template: str = WANTED, **fields: Any) -> Rendering:
    given = {"version": VERSION, "spec_hash": SPEC_HASH, "names": NAMES, "retained": RETAINED}
    return Rendering(**{"hash": template, **given, **fields})


def record(**fields: Any) -> Record:
    """The memory of a cluster that was made as specified."""
    given = {
        "uid": "uid",
        "generation": 1,
        "spec_hash": "content",
        "accepted": Accepted(1, "content", "{}"),
        "rendering": rendering(),
        "pins": Pins(),
        "sizes": {"compute": (2, 2, 2)},
        "stack_id": STACK_ID,
    }
    return Record(**{"cluster": NAME, **given, **fields})


def new_record(**fields: Any) -> Record:
    """The memory of a cluster whose spec was just accepted, and of which nothing is made yet."""
    return record(**{"rendering": None, "sizes": {}, "stack_id": "", **fields})


def planned(
    wanted: Desired | None = None, there: Actual | None = None, memory: Record | None = None, now: float = NOW
) -> Plan:
    """The plan for a cluster that is as it should be, but for what is given."""
    return plan(wanted or desired(), there or actual(), memory or record(), now)


def condition(of: Plan, kind: str) -> tuple[bool, str]:
    """A condition of a plan: its status and reason."""
    found = [(each.status, each.reason) for each in of.conditions if each.type == kind]
    assert len(found) == 1, f"{kind} is there {len(found)} times"
    return found[0]


def message(of: Plan, kind: str) -> str:
    return next(each.message for each in of.conditions if each.type == kind)


def kinds(of: Plan) -> list[str]:
    """The names of a plan's actions, in order."""
    return [type(action).__name__ for action in of.actions]
