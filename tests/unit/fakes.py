"""A CloudFormation that takes its time, and clients that count their calls and fail when they are told to.

moto makes a stack in one go, knows no tokens and lacks resource types; everything else a pass calls, it has.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from reconciler.clients import Clients


def client_error(operation: str, code: str, message: str = "because") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


Hook = Callable[[str], None]


def nothing(operation: str) -> None:
    """The hook of a test that has none."""


def emulated(service: str, operation: str, request: Any) -> None:
    """No stand-in: the emulator answers."""


class CountingClients(Clients):
    """Clients of the emulator. `calls` counts by operation, `sent` and `returned` hold the messages to
    queues and back to them; `faults` has the
    (code, message) to answer an operation with; `before` and `after` are called with the operation. `stand_in` answers
    in place of the emulator, given service, operation and request, unless it answers None.
    """

    # Clients are kept from test to test: to make one takes long.
    _made: ClassVar[dict[str, Any]] = {}

    def __init__(self, cloudformation: Any = None) -> None:
        super().__init__("us-east-1")
        self.calls: Counter[str] = Counter()
        self.faults: dict[str, tuple[str, str]] = {}
        self.sent: list[dict[str, Any]] = []
        self.returned: list[dict[str, Any]] = []
        self.before: Hook = nothing
        self.after: Hook = nothing
        self.stand_in: Callable[[str, str, Any], Any] = emulated
        self.cloudformation = cloudformation  # in place of the cached property

    def _make(self, service: Any) -> Any:
        if service not in self._made:
            self._made[service] = super()._make(service)
        made = self._made[service]
        hooks = {
            "provide-client-params.sqs.SendMessage": lambda params, **_: self.sent.append(params),
            "provide-client-params.sqs.ChangeMessageVisibility": lambda params, **_: self.returned.append(params),
            "before-parameter-build.*.*": lambda params, context, **_: context.update(asked=params),
            "before-call.*.*": self._count,
            "after-call.*.*": self._answered,
        }
        for event, hook in hooks.items():
            # The id takes the place of what the last test registered.
            made.meta.events.unregister(event, unique_id=event)
            made.meta.events.register(event, hook, unique_id=event)
        return made

    def _answered(self, model: Any, **_: Any) -> None:
        self.after(model.name)

    def _count(self, model: Any, context: Any, **_: Any) -> Any:
        self.calls[model.name] += 1
        self.before(model.name)
        if model.name in self.faults:
            raise client_error(model.name, *self.faults[model.name])
        return self.stand_in(model.service_model.service_name, model.name, context["asked"])


@dataclass
class FakeStack:
    """A stack and its operations. `template` is what it is, `target` what it is becoming."""

    id: str
    name: str
    status: str
    tags: dict[str, str]
    template: dict[str, Any]
    target: dict[str, Any] = field(default_factory=dict)
    target_tags: dict[str, str] = field(default_factory=dict)
    reason: str = ""
    events: list[dict[str, str]] = field(default_factory=list)
    change_sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    resources: list[dict[str, str]] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)


class FakeCloudFormation:
    """Operations stand in progress until a test ends them. `build` is called with the template of a stack that
    stands, and says what its logical ids refer to, `raze` when it is gone. The page size of DescribeStacks is
    CloudFormation's (about 100).
    """

    def __init__(self, read: Callable[[str], str]) -> None:
        self._read = read
        self.build: Callable[[Mapping[str, Any]], Mapping[str, str]] = lambda template: {}
        self.raze: Callable[[], None] = lambda: None
        self.stacks: list[FakeStack] = []
        self.calls: Counter[str] = Counter()
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.faults: dict[str, tuple[str, str]] = {}
        self.tokens: set[str] = set()
        self.next_changes: list[dict[str, Any]] = []
        self.events_page = 100
        self.before: Hook = nothing
        self.after: Hook = nothing

    def find(self, name: str) -> FakeStack:
        """The stack of a name (the living one) or of an id."""
        for stack in reversed(self.stacks):
            if stack.id == name or (stack.name == name and stack.status != "DELETE_COMPLETE"):
                return stack
        raise client_error("DescribeStacks", "ValidationError", f"Stack with id {name} does not exist")

    def _called(self, operation: str, request: dict[str, Any]) -> bool:
        """Count a call, fail it if a test wants so; whether its token is new."""
        self.calls[operation] += 1
        self.requests.append((operation, request))
        self.before(operation)
        if operation in self.faults:
            raise client_error(operation, *self.faults[operation])
        token = request.get("ClientRequestToken")
        new = token is None or token not in self.tokens
        self.tokens |= {token} if token else set()
        return new

    # What an operator asks.

    def describe_stacks(self, **request: Any) -> dict[str, Any]:
        self._called("DescribeStacks", request)
        return {"Stacks": [self._described(self.find(request["StackName"]))]}

    @staticmethod
    def _described(stack: FakeStack) -> dict[str, Any]:
        return {
            "StackId": stack.id,
            "StackName": stack.name,
            "StackStatus": stack.status,
            "StackStatusReason": stack.reason,
            "Tags": [{"Key": key, "Value": value} for key, value in stack.tags.items()],
            "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in stack.outputs.items()],
        }

    def describe_stack_events(self, **request: Any) -> dict[str, Any]:
        self._called("DescribeStackEvents", request)
        start = int(request.get("NextToken", 0))
        newest_first = self.find(request["StackName"]).events[::-1]
        page = {"StackEvents": newest_first[start : start + self.events_page]}
        more = start + self.events_page < len(newest_first)
        return {**page, "NextToken": str(start + self.events_page)} if more else page

    def describe_change_set(self, **request: Any) -> dict[str, Any]:
        self._called("DescribeChangeSet", request)
        found = self.find(request["StackName"]).change_sets.get(request["ChangeSetName"])
        if found is None:
            raise client_error("DescribeChangeSet", "ChangeSetNotFound", "ChangeSet does not exist")
        start = int(request.get("NextToken", 0))
        page = {**found, "Changes": found["Changes"][start : start + 2]}
        return {**page, "NextToken": str(start + 2)} if start + 2 < len(found["Changes"]) else page

    def get_paginator(self, operation: str) -> "Pages":
        return Pages(self, operation)

    def create_stack(self, **request: Any) -> dict[str, Any]:
        if not self._called("CreateStack", request):
            return {}
        if any(s.name == request["StackName"] and s.status != "DELETE_COMPLETE" for s in self.stacks):
            raise client_error("CreateStack", "AlreadyExistsException", "Stack already exists")
        identifier = f"arn:aws:cloudformation:us-east-1:123456789012:stack/{request['StackName']}/{len(self.stacks)}"
        stack = FakeStack(identifier, request["StackName"], "", _tags(request), self._template(request))
        self.stacks.append(stack)
        self._move(stack, "CREATE_IN_PROGRESS")
        self.after("CreateStack")
        return {"StackId": identifier}

    def create_change_set(self, **request: Any) -> dict[str, Any]:
        self._called("CreateChangeSet", request)
        stack = self.find(request["StackName"])
        if request["ChangeSetName"] in stack.change_sets:
            raise client_error("CreateChangeSet", "AlreadyExistsException", "ChangeSet already exists")
        stack.target, stack.target_tags = self._template(request), _tags(request)
        stack.change_sets[request["ChangeSetName"]] = {
            "ChangeSetId": f"arn:{request['ChangeSetName']}/{sum(self.calls.values())}",
            "Status": "CREATE_IN_PROGRESS",
            "ExecutionStatus": "UNAVAILABLE",
            "Changes": [],
        }
        return {}

    def execute_change_set(self, **request: Any) -> dict[str, Any]:
        new = self._called("ExecuteChangeSet", request)
        stack = self.find(request["StackName"])
        if request["ChangeSetName"] not in stack.change_sets:
            raise client_error("ExecuteChangeSet", "ChangeSetNotFound", "ChangeSet does not exist")
        if new:
            stack.change_sets.clear()
            self._move(stack, "UPDATE_IN_PROGRESS")
        return {}

    def delete_change_set(self, **request: Any) -> dict[str, Any]:
        self._called("DeleteChangeSet", request)
        self.find(request["StackName"]).change_sets.pop(request["ChangeSetName"], None)
        return {}

    def continue_update_rollback(self, **request: Any) -> dict[str, Any]:
        if self._called("ContinueUpdateRollback", request):
            self._move(self.find(request["StackName"]), "UPDATE_ROLLBACK_IN_PROGRESS")
        return {}

    def rollback_stack(self, **request: Any) -> dict[str, Any]:
        if self._called("RollbackStack", request):
            self._move(self.find(request["StackName"]), "UPDATE_ROLLBACK_IN_PROGRESS")
        return {}

    def delete_stack(self, **request: Any) -> dict[str, Any]:
        if self._called("DeleteStack", request):
            self._move(self.find(request["StackName"]), "DELETE_IN_PROGRESS")
        return {}

    # What a test decides.

    def end(self, status: str, *failures: str, stack: FakeStack | None = None) -> None:
        """End the operation of the newest stack. Each failure is an event `LogicalId: reason`, the first one first."""
        stack = stack or self.stacks[-1]
        for failure in failures:
            logical, _, reason = failure.partition(": ")
            self.tell(stack, logical, "UPDATE_FAILED", reason)
        self._move(stack, status)
        if status == "UPDATE_COMPLETE":
            stack.template, stack.tags = stack.target, stack.target_tags
        if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            refs, outputs = self.build(stack.template), stack.template.get("Outputs", {})
            named = {key: output["Value"].get("Ref") for key, output in outputs.items()}
            stack.outputs = {key: refs[name] for key, name in named.items() if name in refs}
        if status in ("DELETE_COMPLETE", "ROLLBACK_COMPLETE"):
            self.raze()

    def compute(self, *changes: dict[str, Any], reason: str = "") -> None:
        """End the making of the newest stack's change set: with changes, or with the reason of its failure."""
        (change_set,) = self.stacks[-1].change_sets.values()
        change_set["Status"] = "FAILED" if reason else "CREATE_COMPLETE"
        change_set["ExecutionStatus"] = "UNAVAILABLE" if reason else "AVAILABLE"
        change_set["StatusReason"] = reason
        change_set["Changes"] = [{"Type": "Resource", "ResourceChange": change} for change in changes]

    @staticmethod
    def tell(stack: FakeStack, logical: str, status: str, reason: str = "") -> None:
        """An event of a stack."""
        of_stack = logical == stack.name
        stack.events.append(
            {
                "LogicalResourceId": logical,
                "PhysicalResourceId": stack.id if of_stack else f"{logical}-id",
                "ResourceType": "AWS::CloudFormation::Stack" if of_stack else "AWS::Some::Thing",
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
            }
        )

    def _move(self, stack: FakeStack, status: str) -> None:
        stack.status = status
        self.tell(stack, stack.name, status)

    def _template(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return json.loads(self._read(request["TemplateURL"]))


@dataclass
class Pages:
    """A paginator of the fake."""

    of: FakeCloudFormation
    operation: str

    def paginate(self, **request: Any) -> Iterable[dict[str, Any]]:
        if self.operation == "list_stack_resources":
            self.of._called("ListStackResources", request)
            yield {"StackResourceSummaries": self.of.find(request["StackName"]).resources}
            return
        if self.operation == "describe_stack_events":
            token: str | None = "0"
            while token is not None:
                page = self.of.describe_stack_events(**request, NextToken=token)
                token = page.get("NextToken")
                yield page
            return
        assert self.operation == "describe_stacks"
        living = [stack for stack in self.of.stacks if stack.status != "DELETE_COMPLETE"]
        for start in range(0, max(len(living), 1), 100):
            self.of._called("DescribeStacks", request)
            yield {"Stacks": [self.of._described(stack) for stack in living[start : start + 100]]}


def _tags(request: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in request["Tags"]}
