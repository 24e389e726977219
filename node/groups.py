"""The members of the queues' Auto Scaling groups, and the hooks that hold those that come and those that are to go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from node.lists import Member

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient

LAUNCH_HOOK, TERMINATE_HOOK = "muster-launch", "muster-terminate"
# The states of an instance that a hook holds until it is let go.
HELD = {"Pending:Wait": LAUNCH_HOOK, "Terminating:Wait": TERMINATE_HOOK}
# Life-cycle states by how they begin (Auto Scaling user guide, instance lifecycle). One in standby is an
# administrator's to give back; one that is detached is no member; warm pools are not ours.
STATES = (
    ("Pending", Member.COMING),
    ("InService", Member.SERVING),
    ("EnteringStandby", Member.SERVING),
    ("Standby", Member.SERVING),
    ("Terminating", Member.GOING),
    ("Terminated", Member.GOING),
    ("Detaching", Member.GOING),
    ("Detached", Member.ABSENT),
    ("Quarantined", Member.GOING),
    ("Warmed", Member.ABSENT),
)
# Groups that one call describes.
PAGE = 50


@dataclass(frozen=True)
class Belonging:
    """An instance in its group. `hook` is the one that holds it: it goes on when that is completed."""

    group: str
    member: Member
    hook: str = ""


class Groups:
    """Methods raise ClientError and its like of botocore."""

    def __init__(self, autoscaling: AutoScalingClient) -> None:
        self._autoscaling = autoscaling

    def members(self, groups: Iterable[str]) -> dict[str, Belonging]:
        """The instances of these groups; a group that is not there has none."""
        return dict(self._members(sorted(set(groups))))

    def _members(self, groups: list[str]) -> Iterator[tuple[str, Belonging]]:
        pages = self._autoscaling.get_paginator("describe_auto_scaling_groups")
        for start in range(0, len(groups), PAGE):
            for page in pages.paginate(AutoScalingGroupNames=groups[start : start + PAGE]):
                for group in page["AutoScalingGroups"]:
                    states = {each["InstanceId"]: each["LifecycleState"] for each in group.get("Instances", ())}
                    yield from belongings(group["AutoScalingGroupName"], states)

    def let_go(self, group: str, hook: str, instance: str) -> None:
        """Complete a hook; that it is complete already is as well."""
        try:
            self._autoscaling.complete_lifecycle_action(
                AutoScalingGroupName=group,
                LifecycleHookName=hook,
                LifecycleActionResult="CONTINUE",
                InstanceId=instance,
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ValidationError":
                raise


def belongings(group: str, states: Mapping[str, str]) -> Iterator[tuple[str, Belonging]]:
    """Instances by their life-cycle states; one of a state that nobody knows is left alone as one that serves."""
    for instance, state in states.items():
        member = next((known for begin, known in STATES if state.startswith(begin)), Member.SERVING)
        if member is not Member.ABSENT:
            yield instance, Belonging(group, member, HELD.get(state, ""))
