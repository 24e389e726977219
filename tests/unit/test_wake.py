"""Whatever happens becomes the name of a cluster in the queue of wake-ups, or is dropped and counted."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID

import handlers.wake
from reconciler import nodes, wake
from reconciler.clients import Clients
from reconciler.cluster import Invalid, parse
from reconciler.wake import CLUSTER_NAME, Found, Ignored, Instance, Wake, origin_of, send, wake_of_record

EVENTS = Path(__file__).parents[2] / "events"
INSTANCE = "i-0123456789abcdef0"
ORIGINS = {
    "stack-status": Found("stack", "demo"),
    "group-launch-successful": Found("group", "demo"),
    "group-launch-unsuccessful": Found("group", "demo"),
    "group-terminate-successful": Found("group", "demo"),
    "group-terminate-unsuccessful": Found("group", "demo"),
    "codebuild-build": Found("build", "demo"),
    "ecr-image": Found("image", "demo"),
    "spot-interruption": Instance("spot", INSTANCE),
    "spot-rebalance": Instance("spot", INSTANCE),
    "instance-state": Instance("instance", INSTANCE),
    "timer": Found("timer", "demo"),
}
CONTEXT = SimpleNamespace(
    function_name="wake",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:wake",
    aws_request_id="request",
)


def sample(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_text())


def stack_event(stack: str) -> str:
    event = sample("stack-status")
    event["detail"]["stack-id"] = f"arn:aws:cloudformation:us-east-1:123456789012:stack/{stack}/uuid"
    return json.dumps(event)


def group_event(group: str) -> str:
    event = sample("group-launch-successful")
    event["detail"]["AutoScalingGroupName"] = group
    return json.dumps(event)


def build_event(project: str) -> str:
    return json.dumps(sample("codebuild-build") | {"detail": {"project-name": project}})


def image_event(repository: str) -> str:
    return json.dumps(sample("ecr-image") | {"detail": {"repository-name": repository}})


def inbox(*bodies: Any) -> dict[str, Any]:
    """A batch of the inbox, the n-th message with id m<n>."""
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    records = [{"messageId": f"m{place}", "body": text, "eventSource": "aws:sqs"} for place, text in enumerate(texts)]
    return {"Records": records}


# ------------------------------------------------------------------ reading


@pytest.mark.parametrize(("name", "origin"), ORIGINS.items(), ids=list(ORIGINS))
def test_every_sample_event_names_its_cluster_or_its_instance(name: str, origin: object) -> None:
    assert origin_of((EVENTS / f"{name}.json").read_text()) == origin


def test_the_sample_batch_of_the_inbox_holds_what_sqs_gives_at_once_with_one_event_of_each_kind() -> None:
    bodies = [json.loads(each["body"]) for each in sample("inbox")["Records"]]
    assert len(bodies) <= 10
    assert [each for each in bodies if each not in [sample(name) for name in ORIGINS]] == []
    origins = [origin_of(json.dumps(each)) for each in bodies]
    assert sorted(each.source for each in origins if not isinstance(each, Ignored)) == sorted(
        {origin.source for origin in ORIGINS.values()}
    )


@pytest.mark.parametrize("name", ["spec-insert", "spec-modify", "spec-remove"])
def test_a_record_of_the_specs_stream_names_its_cluster(name: str) -> None:
    [record] = sample(name)["Records"]
    assert wake_of_record(record) == Wake("demo", "spec", record["eventID"])


def test_what_jobs_want_names_its_cluster() -> None:
    [record] = sample("demand")["Records"]
    assert wake_of_record(record) == Wake("demo", "demand", record["eventID"])


@pytest.mark.parametrize(
    ("partition", "row"),
    [
        ("demo", "STATE"),
        ("demo", "DEMAND"),
        ("demo", "EVENT#0123"),
        ("demo/nodes", "AGENT"),
        ("demo/nodes", "FACTS"),
        ("demo/nodes", "NODE#i-0123"),
        ("!a/nodes", "DEMAND"),
        ("demo/nodes/nodes", "DEMAND"),
        ("/nodes", "DEMAND"),
        ("demo/nodesx", "DEMAND"),
    ],
)
def test_any_other_row_of_the_state_table_wakes_nobody(partition: str, row: str) -> None:
    [record] = sample("demand")["Records"]
    record["dynamodb"]["Keys"] = {"cluster": {"S": partition}, "row": {"S": row}}
    assert wake_of_record(record) == Ignored("foreign")


def test_the_rows_are_named_as_nodes_write_them() -> None:
    assert wake.DEMAND == nodes.DEMAND
    assert nodes.partition("demo") == f"demo{wake.NODES}"


@pytest.mark.parametrize(
    "body",
    [
        stack_event("muster"),
        stack_event("other-demo"),
        stack_event("muster-"),
        stack_event("muster-Demo"),
        stack_event(f"muster-{'a' * 61}"),
        group_event("other"),
        group_event("muster-.compute"),
        build_event("muster"),
        build_event("demo"),
        build_event("muster-Demo"),
        image_event("muster"),
        image_event("muster-demo"),
        image_event("muster/"),
        image_event("muster/demo/app"),
        json.dumps({"timer": {"cluster": "no/cluster"}}),
        json.dumps(sample("instance-state") | {"detail": {"instance-id": "mine"}}),
        json.dumps(sample("spot-rebalance") | {"detail": {"instance-id": ""}}),
    ],
)
def test_what_is_named_like_no_cluster_is_foreign(body: str) -> None:
    assert origin_of(body) == Ignored("foreign")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        "7",
        '"timer"',
        "{}",
        '{"timer": null}',
        '{"timer": {"cluster": 7}}',
        '{"source": "aws.ec2", "detail-type": "EC2 Instance State-change Notification"}',
        '{"source": "aws.ec2", "detail-type": "EC2 Instance State-change Notification", "detail": {}}',
        '{"source": ["aws.ec2"], "detail-type": {}, "detail": {}}',
        '{"source": "aws.ec2", "detail-type": "EC2 Instance State-change Notification", "detail": {"instance-id": {}}}',
        '{"source": "aws.health", "detail-type": "AWS Health Event", "detail": {}}',
        '{"source": "aws.cloudformation", "detail-type": "CloudFormation Stack Status Change",'
        ' "detail": {"stack-id": "muster-demo"}}',
        '{"source": "aws.codebuild", "detail-type": "CodeBuild Build State Change", "detail": {"project-name": 7}}',
        '{"source": "aws.ecr", "detail-type": "ECR Image Action", "detail": {"repository": "muster/demo"}}',
        "[" * 100_000,
    ],
)
def test_what_is_no_message_of_ours_is_unreadable(body: str) -> None:
    assert origin_of(body) == Ignored("unreadable")


@pytest.mark.parametrize("keys", [None, {}, {"name": {}}, {"name": {"S": 7}}, {"name": {"S": "\ud800"}}, "demo"])
def test_a_record_without_a_key_is_unreadable(keys: object) -> None:
    (record,) = sample("spec-insert")["Records"]
    assert wake_of_record({**record, "dynamodb": {"Keys": keys}}) == Ignored("unreadable")
    assert wake_of_record({}) == Ignored("unreadable")


@given(st.text() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_reading_never_raises(body: str) -> None:
    assert isinstance(origin_of(body), Found | Instance | Ignored)


@given(st.from_regex(CLUSTER_NAME, fullmatch=True) | st.text(max_size=70))
def test_the_pattern_of_names_is_that_of_the_resource(name: str) -> None:
    parsed = parse({"apiVersion": "muster/v1", "kind": "Cluster", "metadata": {"name": name}, "spec": {}})
    assert isinstance(parsed, Invalid)
    refused = any(error.field == "metadata.name" for error in parsed.errors)
    assert refused == (CLUSTER_NAME.fullmatch(name) is None)


@given(st.text(min_size=1, max_size=2048))
def test_any_key_of_the_table_makes_a_legal_message_group(name: str) -> None:
    group = Wake(name, "spec", "1").group
    assert 1 <= len(group) <= 128
    assert group.isascii()
    assert group.isprintable()
    assert " " not in group


# ------------------------------------------------------------------ sending


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "muster")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Muster")
    with mock_aws():
        clients = Clients()
        queue = clients.sqs.create_queue(
            QueueName="wakes.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        )
        monkeypatch.setenv("MUSTER_WAKES_QUEUE_URL", queue["QueueUrl"])
        monkeypatch.setenv("MUSTER_OWNER", "muster")
        monkeypatch.setattr(handlers.wake, "clients", clients)
        yield clients


def received(clients: Clients, queue_url: str | None = None) -> list[dict[str, Any]]:
    """All messages in the queue, each group's in order, with the group under `group`."""
    url = queue_url or clients.sqs.list_queues()["QueueUrls"][0]
    found: list[dict[str, Any]] = []
    while messages := clients.sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["MessageGroupId"]
    ).get("Messages"):
        for message in messages:
            found.append(json.loads(message["Body"]) | {"group": message["Attributes"]["MessageGroupId"]})
            clients.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def instance(clients: Clients, **tags: str) -> str:
    tag_set = [{"Key": f"muster:{key}", "Value": value} for key, value in tags.items()]
    answer = clients.ec2.run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tag_set}] if tag_set else [],
    )
    return answer["Instances"][0].get("InstanceId", "")


def state_event(instance_id: str) -> dict[str, Any]:
    event = sample("instance-state")
    event["detail"]["instance-id"] = instance_id
    return event


def metric(capsys: pytest.CaptureFixture[str], name: str) -> float:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    return sum(sum(line.get(name, [])) for line in lines)


@pytest.mark.parametrize("name", ["spec-insert", "spec-modify", "spec-remove"])
def test_a_change_of_a_spec_wakes_its_cluster(aws: Clients, name: str) -> None:
    event = sample(name)
    assert handlers.wake.handler(event, CONTEXT) == {"batchItemFailures": []}
    assert received(aws) == [
        {"cluster": "demo", "source": "spec", "id": event["Records"][0]["eventID"], "group": "demo"}
    ]


def test_a_spec_with_an_impossible_name_wakes_too_so_that_its_user_is_told(aws: Clients) -> None:
    event = sample("spec-insert")
    event["Records"][0]["dynamodb"]["Keys"]["name"]["S"] = "No Cluster's Name ☃"
    assert handlers.wake.handler(event, CONTEXT) == {"batchItemFailures": []}
    [message] = received(aws)
    assert message["cluster"] == "No Cluster's Name ☃"
    assert message["group"] == Wake("No Cluster's Name ☃", "spec", "1").group


def test_many_events_of_a_cluster_in_a_batch_are_one_wake_up(aws: Clients) -> None:
    event = inbox(stack_event("muster-a"), group_event("muster-a.x"), stack_event("muster-b"))
    assert handlers.wake.handler(event, CONTEXT) == {"batchItemFailures": []}
    messages = sorted(received(aws), key=lambda message: message["cluster"])
    assert [(message["cluster"], message["source"], message["id"]) for message in messages] == [
        ("a", "group", "m1"),
        ("b", "stack", "m2"),
    ]


def test_two_events_of_a_cluster_are_not_taken_for_one(aws: Clients) -> None:
    for event_id in ("1", "2"):
        event = sample("spec-modify")
        event["Records"][0]["eventID"] = event_id
        handlers.wake.handler(event, CONTEXT)
    assert [message["id"] for message in received(aws)] == ["1", "2"]


def test_more_clusters_than_one_call_takes_are_all_sent(aws: Clients) -> None:
    handlers.wake.handler(inbox(*(stack_event(f"muster-c{n}") for n in range(23))), CONTEXT)
    assert {message["cluster"] for message in received(aws)} == {f"c{n}" for n in range(23)}


def test_an_instance_wakes_the_cluster_in_its_tags(aws: Clients) -> None:
    ours = instance(aws, cluster="demo", owner="muster")
    event = inbox(state_event(ours))
    assert handlers.wake.handler(event, CONTEXT) == {"batchItemFailures": []}
    assert received(aws) == [{"cluster": "demo", "source": "instance", "id": "m0", "group": "demo"}]


def test_instances_that_are_others_or_gone_wake_nobody_and_hold_up_nobody(aws: Clients) -> None:
    others = [
        instance(aws),
        instance(aws, cluster="demo", owner="another-control-plane"),
        instance(aws, owner="muster"),
        INSTANCE,
    ]
    ours = instance(aws, cluster="demo", owner="muster")
    event = inbox(*(state_event(each) for each in [*others, ours]))
    assert handlers.wake.handler(event, CONTEXT) == {"batchItemFailures": []}
    assert [message["id"] for message in received(aws)] == ["m4"]


def test_all_instances_of_a_batch_are_looked_up_at_once(aws: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    aws.ec2.meta.events.register("before-call.ec2", lambda model, **_: calls.append(model.name))
    handlers.wake.handler(inbox(*(state_event(f"i-{n:017}") for n in range(10))), CONTEXT)
    assert calls == ["DescribeInstances"]


def test_messages_that_name_nobody_are_dropped_and_counted(aws: Clients, capsys: pytest.CaptureFixture[str]) -> None:
    event = inbox("no json", stack_event("muster-Demo"), stack_event("muster-demo"), "{}")
    assert handlers.wake.handler(event, CONTEXT) == {"batchItemFailures": []}
    assert [message["id"] for message in received(aws)] == ["m2"]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    [metrics] = lines
    assert (metrics["UnreadableMessages"], metrics["ForeignMessages"], metrics["Wakes"]) == (
        [1.0, 1.0],
        [1.0],
        [1.0],
    )


# ------------------------------------------------------------------ failing


def throttled(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "RequestLimitExceeded", "Message": "slow down"}}, operation)


def test_a_throttled_look_up_gives_back_the_instances_messages_alone(
    aws: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise throttled("DescribeInstances")

    monkeypatch.setattr(handlers.wake, "find_clusters", refuse)
    event = inbox(state_event("i-1"), stack_event("muster-demo"), state_event("i-2"))
    assert handlers.wake.handler(event, CONTEXT) == {
        "batchItemFailures": [{"itemIdentifier": "m0"}, {"itemIdentifier": "m2"}]
    }
    assert [message["cluster"] for message in received(aws)] == ["demo"]


class RefusingQueue:
    """An SQS that takes no message of some groups."""

    def __init__(self, *groups: str) -> None:
        self.groups = groups

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        refused = [each for each in Entries if each["MessageGroupId"] in self.groups]
        return {"Failed": [{"Id": each["Id"], "Code": "InternalError", "SenderFault": False} for each in refused]}


def test_a_wake_up_that_the_queue_refused_gives_back_all_that_asked_for_it(
    aws: Clients, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(handlers.wake, "clients", SimpleNamespace(sqs=RefusingQueue("a")))
    event = inbox(stack_event("muster-a"), stack_event("muster-b"), group_event("muster-a.x"))
    assert handlers.wake.handler(event, CONTEXT) == {
        "batchItemFailures": [{"itemIdentifier": "m0"}, {"itemIdentifier": "m2"}]
    }
    assert metric(capsys, "Wakes") == 1


def test_a_stream_record_that_could_not_be_sent_is_given_back_by_its_sequence_number(
    aws: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers.wake, "clients", SimpleNamespace(sqs=RefusingQueue("demo")))
    event = sample("spec-modify")
    sequence = event["Records"][0]["dynamodb"]["SequenceNumber"]
    assert handlers.wake.handler(event, CONTEXT) == {"batchItemFailures": [{"itemIdentifier": sequence}]}


def test_refusals_are_found_in_every_call_of_a_long_batch() -> None:
    wakes = [Wake(f"c{n}", "spec", str(n)) for n in range(25)]
    assert send(RefusingQueue("c3", "c24"), "url", wakes) == {"c3", "c24"}  # pyright: ignore[reportArgumentType]


def test_a_queue_that_cannot_be_reached_fails_the_batch_so_that_it_comes_again(
    aws: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSTER_WAKES_QUEUE_URL", f"https://sqs.us-east-1.amazonaws.com/{DEFAULT_ACCOUNT_ID}/none.fifo")
    with pytest.raises(ClientError):
        handlers.wake.handler(sample("spec-insert"), CONTEXT)


def test_the_function_starts_without_the_models() -> None:
    code = "import sys, handlers.wake; print('pydantic' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={"POWERTOOLS_SERVICE_NAME": "muster", "POWERTOOLS_METRICS_NAMESPACE": "Muster"},
        cwd=EVENTS.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == "False"


def test_an_unreadable_record_of_the_stream_holds_up_no_other(aws: Clients, capsys: pytest.CaptureFixture[str]) -> None:
    event = sample("spec-insert")
    event["Records"].insert(0, {"eventSource": "aws:dynamodb"})
    assert handlers.wake.handler(event, CONTEXT) == {"batchItemFailures": []}
    assert [message["cluster"] for message in received(aws)] == ["demo"]
    assert metric(capsys, "UnreadableMessages") == 1
