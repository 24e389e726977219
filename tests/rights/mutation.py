"""Take one right from one role, and see whether a scenario fails for want of it."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tests.e2e.world import Cluster, T, World
from tests.rights.scenarios import SCENARIOS
from tests.rights.table import Right

# Seconds after a refused call within which a scenario that can do without the right would have come to its end.
GRACE = 10.0
# How to write a policy, and what is in it.
Policy = tuple[Callable[[dict[str, Any]], None], dict[str, Any]]
# What the status says of a refused call, whatever the service.
TOLD = "not authorized"


class Missed(Exception):  # noqa: N818 - what a mutant is for
    """The scenario cannot come to its end: the refusal is in the cluster's status, or time enough has passed."""


class Watched(Cluster):
    """A cluster that stops waiting once a right is missed."""

    def __init__(self, world: World, name: str, right: Right) -> None:
        super().__init__(world, name)
        self._right, self._since = right, 0.0

    def until(self, what: str, seen: Callable[[], T | None]) -> T:
        def look() -> T | None:
            found = seen()
            if not found:
                self._give_up(what)
            return found

        return super().until(what, look)

    def _give_up(self, what: str) -> None:
        if not denied(self.world, self._right):
            return
        self._since = self._since or time.monotonic()
        if TOLD in json.dumps(self.status.get("conditions", ()), default=str):
            raise Missed(f"{what}: told")
        if time.monotonic() - self._since > GRACE:
            raise Missed(what)


def denied(world: World, right: Right) -> bool:
    """Whether a call of the role was refused for want of the action since decisions were last forgotten."""
    refusal = {"role": world.physical(right.role), "action": right.action, "allowed": False}
    return refusal in world.aws.decisions()


@contextlib.contextmanager
def without(world: World, right: Right) -> Iterator[None]:
    """The role as it is deployed, less the right, for the time of the block."""
    iam, role = world.client("iam"), world.physical(right.role)
    policies = [*_inside(iam, role), *_attached(iam, role)]
    put, document, less = next((*each, less) for each in policies if (less := _less(each[1], right)) is not None)
    put(less)
    try:
        yield
    finally:
        put(document)


def _inside(iam: Any, role: str) -> Iterator[Policy]:
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        yield partial(_put, iam, role, name), document


def _attached(iam: Any, role: str) -> Iterator[Policy]:
    for arn in [each["PolicyArn"] for each in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]]:
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
        yield partial(_put_version, iam, arn), found["Document"]


def _less(document: dict[str, Any], right: Right) -> dict[str, Any] | None:
    """The document without the right; None if it does not hold it."""
    statements: list[dict[str, Any]] = []
    for statement in document["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        own = statement["Sid"] == right.sid and right.action in actions
        left = [action for action in actions if not (own and action == right.action)]
        statements += [{**statement, "Action": left}] if left else []
    less = {**document, "Statement": statements}
    return None if _count(less) == _count(document) else less


def _count(document: dict[str, Any]) -> int:
    return sum(len(each["Action"]) if isinstance(each["Action"], list) else 1 for each in document["Statement"])


def _put(iam: Any, role: str, name: str, document: dict[str, Any]) -> None:
    if document["Statement"]:
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))
    else:
        iam.delete_role_policy(RoleName=role, PolicyName=name)


def _put_version(iam: Any, arn: str, document: dict[str, Any]) -> None:
    """The document as the one version that there is."""
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(document), SetAsDefault=True)
    for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not version["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])


def survives(cluster: Watched, right: Right, scenario: str) -> str:
    """Run a scenario without a right. Returns why the mutant is not killed; nothing if it is."""
    world = cluster.world
    world.aws.decisions(forget=True)
    with without(world, right):
        try:
            SCENARIOS[scenario](cluster)
        except Missed:
            return ""
        except AssertionError as error:
            # What a scenario asserts of its own, a sweep that broke for one, counts if it was for want of the right.
            return "" if denied(world, right) else f"{scenario} failed for another reason: {error}"
    return f"{scenario} does without {right}" + (", though it was refused" if denied(world, right) else "")
