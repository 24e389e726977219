"""Groups and messages as AWS has them, on an emulated one."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from node.cloud import Cloud
from node.facts import Node
from node.groups import LAUNCH_HOOK, TERMINATE_HOOK, Belonging, Groups, belongings
from node.lists import Member
from node.messages import PAGE, PAGES, Messages
from reconciler.render import hooks
from tests.unit.fakes import client_error


@pytest.mark.parametrize(
    ("state", "member"),
    [
        ("Pending", Member.COMING),
        ("Pending:Proceed", Member.COMING),
        ("InService", Member.SERVING),
        ("Standby", Member.SERVING),
        ("Terminating", Member.GOING),
        ("Terminating:Proceed", Member.GOING),
        ("Terminated", Member.GOING),
        ("Detaching", Member.GOING),
        ("Something:New", Member.SERVING),
    ],
)
def test_an_instance_by_its_life_cycle(state: str, member: Member) -> None:
    assert dict(belongings("g", {"i-1": state})) == {"i-1": Belonging("g", member)}


def test_the_hooks_are_those_of_the_template() -> None:
    assert (LAUNCH_HOOK, TERMINATE_HOOK) == (hooks.LAUNCH_HOOK, hooks.TERMINATE_HOOK)


def test_only_what_a_hook_holds_is_held() -> None:
    waits = {"i-1": "Terminating:Wait", "i-2": "Pending:Wait", "i-3": "Pending"}
    assert dict(belongings("g", waits)) == {
        "i-1": Belonging("g", Member.GOING, TERMINATE_HOOK),
        "i-2": Belonging("g", Member.COMING, LAUNCH_HOOK),
        "i-3": Belonging("g", Member.COMING),
    }
    assert dict(belongings("g", {"i-1": "Detached", "i-2": "Warmed:Stopped"})) == {}


class FakeAutoScaling:
    """Groups that are there; pages have two."""

    def __init__(self, groups: dict[str, dict[str, str]]) -> None:
        self.groups = groups
        self.calls: Counter[str] = Counter()
        self.code = ""

    def get_paginator(self, name: str) -> Any:
        assert name == "describe_auto_scaling_groups"
        return self

    def paginate(self, AutoScalingGroupNames: list[str]) -> Iterator[Any]:  # noqa: N803
        assert 0 < len(AutoScalingGroupNames) <= 50
        self.calls["describe"] += 1
        found = [name for name in AutoScalingGroupNames if name in self.groups]
        for start in range(0, len(found), 2):
            yield {"AutoScalingGroups": [self._described(name) for name in found[start : start + 2]]}

    def _described(self, name: str) -> Any:
        instances = [{"InstanceId": key, "LifecycleState": state} for key, state in self.groups[name].items()]
        return {"AutoScalingGroupName": name, "Instances": instances}

    def complete_lifecycle_action(self, **request: Any) -> None:
        self.calls["complete"] += 1
        assert request == {
            "AutoScalingGroupName": "g", "LifecycleHookName": "muster-terminate", "LifecycleActionResult": "CONTINUE",
            "InstanceId": "i-1",
        }  # fmt: skip
        if self.code:
            raise client_error("CompleteLifecycleAction", self.code)


def test_members_of_many_groups_are_asked_for_fifty_at_a_time() -> None:
    groups = {f"g-{number}": {f"i-{number}": "InService"} for number in range(120)}
    fake: Any = FakeAutoScaling(groups)
    found = Groups(fake).members([*groups, "not-there", "g-1"])
    assert len(found) == 120
    assert fake.calls["describe"] == 3
    assert Groups(fake).members([]) == {}
    assert fake.calls["describe"] == 3, "no names would mean all groups of the account"


@pytest.mark.parametrize(("code", "passes"), [("", True), ("ValidationError", True), ("Throttling", False)])
def test_an_instance_is_let_go_once_or_again(code: str, passes: bool) -> None:
    fake: Any = FakeAutoScaling({})
    fake.code = code
    if passes:
        Groups(fake).let_go("g", TERMINATE_HOOK, "i-1")
    else:
        with pytest.raises(Exception, match="because"):
            Groups(fake).let_go("g", TERMINATE_HOOK, "i-1")


@pytest.fixture
def sqs() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("sqs", region_name="us-east-1")


def test_messages_are_taken_and_deleted(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    messages = Messages(sqs, url)
    assert messages.receive(0) == []
    messages.delete([])
    for _ in range(25):
        messages.send()
    handles = messages.receive(0)
    assert len(handles) == 25
    messages.delete(handles)
    left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert left["ApproximateNumberOfMessagesNotVisible"] == left["ApproximateNumberOfMessages"] == "0"


class FullQueue:
    """Of messages there is no end."""

    def __init__(self) -> None:
        self.waits: list[int] = []

    def receive_message(self, **request: Any) -> Any:
        self.waits.append(request["WaitTimeSeconds"])
        return {"Messages": [{"ReceiptHandle": "h"}] * request["MaxNumberOfMessages"]}


def test_of_very_many_messages_a_part_is_taken() -> None:
    queue: Any = FullQueue()
    assert len(Messages(queue, "url").receive(3)) == PAGE * PAGES
    assert queue.waits == [3] + [0] * (PAGES - 1)


def test_clients_are_of_the_clusters_region() -> None:
    cloud = Cloud(Node("demo", "eu-west-1", "t", "q", "", "", "", ""))
    assert [each.meta.region_name for each in (cloud.dynamodb, cloud.autoscaling, cloud.sqs)] == ["eu-west-1"] * 3
