"""One local AWS for all tests of a run; each test names its own resources and leaves the settings as they were."""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local import LocalAws, fixtures, local_aws

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def running() -> Iterator[LocalAws]:
    with local_aws() as aws:
        yield aws


@pytest.fixture
def aws(running: LocalAws) -> Iterator[LocalAws]:
    before = running.set()
    yield running
    running.set(**before)


@pytest.fixture(scope="session")
def network(running: LocalAws) -> fixtures.Network:
    return fixtures.network(running)


@pytest.fixture(scope="session")
def image(running: LocalAws) -> str:
    return fixtures.image(running)


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return f"test-{next(_numbers)}"


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    """Ask until the answer is true; fail with the last answer after `timeout` seconds."""

    def ask(question: Callable[[], Any], timeout: float = 90) -> Any:
        deadline = time.monotonic() + timeout
        while not (answer := question()):
            if time.monotonic() > deadline:
                pytest.fail(f"not so after {timeout} s; the last answer was {answer!r}")
            time.sleep(0.02)
        return answer

    return ask


@pytest.fixture(scope="session")
def clients(running: LocalAws) -> Callable[[str], Any]:
    """The administrator's clients, each made once."""
    return running.client


@pytest.fixture
def inbox(clients: Any, name: str) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """All events of AWS's services from now on, as EventBridge delivers them to a queue."""
    sqs, events = clients("sqs"), clients("events")
    url = sqs.create_queue(QueueName=f"{name}-inbox")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [{"prefix": "aws."}]}))
    events.put_targets(Rule=name, Targets=[{"Id": "inbox", "Arn": arn}])
    received: list[dict[str, Any]] = []

    def receive() -> list[dict[str, Any]]:
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            received.extend(json.loads(message["Body"]) for message in messages)
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return received

    yield receive
    events.remove_targets(Rule=name, Ids=["inbox"])
    events.delete_rule(Name=name)
    sqs.delete_queue(QueueUrl=url)


class Stacks:
    """Stack operations, each awaited to its end."""

    def __init__(self, client: Any, eventually: Callable[..., Any]) -> None:
        self.client, self.eventually = client, eventually

    def create(self, stack: str, resources: dict[str, Any], **options: Any) -> str:
        template = json.dumps({"Resources": resources})
        identifier = self.client.create_stack(
            StackName=stack, TemplateBody=template, Capabilities=["CAPABILITY_NAMED_IAM"], **options
        )["StackId"]
        return self.settled(identifier)

    def update(self, stack: str, resources: dict[str, Any], **options: Any) -> str:
        template = json.dumps({"Resources": resources})
        self.client.update_stack(
            StackName=stack, TemplateBody=template, Capabilities=["CAPABILITY_NAMED_IAM"], **options
        )
        return self.settled(stack)

    def delete(self, stack: str, **options: Any) -> str:
        identifier = self.client.describe_stacks(StackName=stack)["Stacks"][0]["StackId"]
        self.client.delete_stack(StackName=stack, **options)
        self.eventually(lambda: self.status(identifier).startswith("DELETE"))
        return self.settled(identifier)

    def settled(self, stack: str) -> str:
        self.eventually(lambda: not self.status(stack).endswith("IN_PROGRESS"))
        return self.status(stack)

    def status(self, stack: str) -> str:
        return self.client.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]

    def resource(self, stack: str, logical_id: str) -> str:
        found = self.client.describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)
        return found["StackResourceDetail"]["PhysicalResourceId"]

    def reasons(self, stack: str) -> str:
        events = self.client.describe_stack_events(StackName=stack)["StackEvents"]
        failed = (event for event in events if event["ResourceStatus"].endswith("FAILED"))
        return "\n".join(event.get("ResourceStatusReason", "") for event in failed)

    def changes(self, stack: str, resources: dict[str, Any], **options: Any) -> dict[str, Any]:
        template = json.dumps({"Resources": resources})
        self.client.create_change_set(StackName=stack, ChangeSetName="c", TemplateBody=template, **options)
        found = self.client.describe_change_set(StackName=stack, ChangeSetName="c")["Changes"]
        self.client.delete_change_set(StackName=stack, ChangeSetName="c")
        return {each["ResourceChange"]["LogicalResourceId"]: each["ResourceChange"] for each in found}


@pytest.fixture
def stacks(aws: LocalAws, clients: Any, eventually: Callable[..., Any]) -> Stacks:
    return Stacks(clients("cloudformation"), eventually)
