"""Stack operations nearer to AWS: events, visible progress, repeated requests, service roles.

Sources: CloudFormation API Reference (CreateStack: ClientRequestToken, RoleARN), the user guide's pages on
EventBridge events and on service roles.
"""

import asyncio
import re
from collections.abc import Callable, Coroutine
from fnmatch import fnmatch
from typing import Any
from urllib.parse import urlsplit

from local.additions.access import DeniedError, check_pass_role, check_right
from local.additions.emulator import changesets, cloudformation, handlers, provisioners, stacks
from local.additions.events import emit
from local.additions.settings import settings

Parameters = dict[str, Any]
Answer = tuple[int, dict[str, str], bytes]
Action = Callable[[Parameters], Answer]
_MODULES = (stacks, changesets, handlers)
# From these no change set can be made.
CLOSED = ("CREATE_FAILED", "DELETE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "UPDATE_ROLLBACK_FAILED")
GOING = ("DELETE_IN_PROGRESS", "DELETE_COMPLETE")
STARTS = ("CreateStack", "UpdateStack", "DeleteStack", "CreateChangeSet", "ContinueUpdateRollback", "RollbackStack")


def register() -> None:
    """Wrap MiniStack's functions where they are called."""
    _replace("_add_event", _announced(stacks._add_event))
    _replace("_deploy_stack_async", _in_progress(stacks._deploy_stack_async))
    _replace("_delete_stack_async", _in_progress(stacks._delete_stack_async, GOING[0]))
    _replace(
        "_continue_update_rollback_async",
        _in_progress(stacks._continue_update_rollback_async, "UPDATE_ROLLBACK_IN_PROGRESS"),
    )
    provisioners._with_stack_tags = stacks._with_stack_tags = _with_group_tags(stacks._with_stack_tags)
    actions = cloudformation._ACTION_HANDLERS
    for name in STARTS:
        actions[name] = _with_role(_with_template(actions[name]))
    actions["CreateChangeSet"] = _create_change_set(actions["CreateChangeSet"])
    actions["CreateStack"] = _create_stack(actions["CreateStack"])
    actions["DescribeStacks"] = _describe_stacks(actions["DescribeStacks"])
    actions["ListStackResources"] = _list_stack_resources(actions["ListStackResources"])


def _replace(name: str, function: Any) -> None:
    """MiniStack's modules import each other's functions by name."""
    for module in _MODULES:
        if hasattr(module, name):
            setattr(module, name, function)


def _announced(add_event: Callable[..., None]) -> Callable[..., None]:
    """Every change of a stack's status is a "CloudFormation Stack Status Change" event."""

    def add(
        stack_id: str, stack_name: str, logical_id: str, resource_type: str, status: str, *rest: Any, **named: Any
    ) -> None:
        add_event(stack_id, stack_name, logical_id, resource_type, status, *rest, **named)
        if resource_type == "AWS::CloudFormation::Stack" and logical_id == stack_name:
            event = cloudformation._stack_events[stack_id][-1]
            detail: dict[str, Any] = {
                "stack-id": stack_id,
                "status-details": {"status": status, "status-reason": event["ResourceStatusReason"]},
            }
            if token := event.get("ClientRequestToken"):
                detail["client-request-token"] = token
            emit("aws.cloudformation", "CloudFormation Stack Status Change", detail, [stack_id])

    return add


def _in_progress(
    operation: Callable[..., Coroutine[Any, Any, None]], status: str | None = None
) -> Callable[..., Coroutine[Any, Any, None]]:
    """Let a stack be seen in progress before the operation does all its work at one go.

    A deletion that starts meanwhile takes the place of the waiting operation, as on AWS; another changes nothing.
    """

    async def run(stack_name: str, stack_id: str, *rest: Any, **named: Any) -> None:
        stack = cloudformation._stacks.get(stack_name)
        if stack is not None:
            if status == GOING[0] and stack["StackStatus"] in GOING:
                return
            stack["StackStatus"] = status or stack["StackStatus"]
            before = stack["StackStatus"]
            await asyncio.sleep(settings.stack_seconds if fnmatch(stack_name, settings.slow_stacks) else 0)
            while stack_name in settings.held_stacks:
                await asyncio.sleep(0.02)
            if stack["StackStatus"] != before:
                return
        await operation(stack_name, stack_id, *rest, **named)

    return run


def _with_group_tags(with_stack_tags: Callable[..., Parameters]) -> Callable[..., Parameters]:
    """The stack's tags on an Auto Scaling group are propagated to its instances."""

    def tagged(resource_type: str, *rest: Any) -> Parameters:
        props = with_stack_tags(resource_type, *rest)
        if resource_type == "AWS::AutoScaling::AutoScalingGroup":
            props["Tags"] = [{"PropagateAtLaunch": True, **tag} for tag in props["Tags"]]
        return props

    return tagged


def _with_role(action: Action) -> Action:
    """Whoever passes a role needs iam:PassRole on it; the stack keeps it and uses it from then on."""

    def answer(params: Parameters) -> Answer:
        role = handlers._p(params, "RoleARN")
        if role:
            try:
                check_pass_role(role, "cloudformation.amazonaws.com")
            except DeniedError as denied:
                return handlers._error("AccessDenied", str(denied), 403)
        result = action(params)
        stack = handlers._resolve_stack(handlers._p(params, "StackName"))
        if role and stack:
            stack["_role"] = role
        return result

    return answer


def _with_template(action: Action) -> Action:
    """CloudFormation fetches the template with its caller's rights (user guide, "Selecting a stack template")."""

    def answer(params: Parameters) -> Answer:
        try:
            if url := handlers._p(params, "TemplateURL"):
                check_right("s3:GetObject", "s3", f"arn:aws:s3:::{urlsplit(url).path.removeprefix('/')}")
        except DeniedError as denied:
            return handlers._error("AccessDenied", str(denied), 403)
        return action(params)

    return answer


def _create_stack(action: Action) -> Action:
    """The same request again (by its token) gives the same stack; a stack that was rolled back is in the way."""

    def answer(params: Parameters) -> Answer:
        name, token = handlers._p(params, "StackName"), handlers._p(params, "ClientRequestToken")
        stack = cloudformation._stacks.get(name)
        if stack and token and stack.get("_create_token") == token:
            inner = f"<CreateStackResult><StackId>{stack['StackId']}</StackId></CreateStackResult>"
            return handlers._xml(200, "CreateStackResponse", inner)
        if stack and stack["StackStatus"] == "ROLLBACK_COMPLETE":
            return handlers._error("AlreadyExistsException", f"Stack [{name}] already exists")
        result = action(params)
        if made := cloudformation._stacks.get(name):
            made.setdefault("_create_token", token)
        return result

    return answer


def _create_change_set(action: Action) -> Action:
    """Not while an operation runs, nor from a status that an update cannot start from."""

    def answer(params: Parameters) -> Answer:
        stack = handlers._resolve_stack(handlers._p(params, "StackName")) or {"StackStatus": ""}
        status = stack["StackStatus"]
        running = status.endswith("IN_PROGRESS") and status != "REVIEW_IN_PROGRESS"
        if running or status in CLOSED:
            message = f"Stack:{stack['StackId']} is in {status} state and can not be updated."
            return handlers._error("ValidationError", message)
        return action(params)

    return answer


def _describe_stacks(action: Action) -> Action:
    def answer(params: Parameters) -> Answer:
        status, headers, body = action(params)
        roles = {stack["StackId"]: stack.get("_role") for stack in cloudformation._stacks.values()}

        def with_role(found: re.Match[str]) -> str:
            role = roles.get(found[1])
            return f"{found[0]}<RoleARN>{role}</RoleARN>" if role else found[0]

        return status, headers, re.sub("<StackId>([^<]*)</StackId>", with_role, body.decode()).encode()

    return answer


def _list_stack_resources(action: Action) -> Action:
    """Each resource with the reason of its status, which MiniStack gives in its other answers only."""

    def answer(params: Parameters) -> Answer:
        status, headers, body = action(params)
        stack = handlers._resolve_stack(handlers._p(params, "StackName")) or {}
        resources = stack.get("_resources", {})

        def with_reason(found: re.Match[str]) -> str:
            return f"{found[0]}{handlers._resource_status_reason_xml(resources.get(found[1], {}))}"

        listed = re.sub("<LogicalResourceId>([^<]*)</LogicalResourceId>", with_reason, body.decode())
        return status, headers, listed.encode()

    return answer
