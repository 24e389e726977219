"""Carrying out a plan's actions. Each is idempotent: "already done" and "not found" are success.

The caller announces each action in the record, under the fence, before it is made here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler import actions
from reconciler.actions import Action, subject
from reconciler.cleanup import CleanupError, empty_prefix
from reconciler.facts import artifacts_prefix
from reconciler.observe import asking
from reconciler.outcomes import AwsError, Outcome

if TYPE_CHECKING:
    from reconciler.clients import Clients
    from reconciler.render import Rendered
    from reconciler.settings import Settings

CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM")
# Seconds that an action leaves of the pass, to report in; what would need them is left to the next pass.
MARGIN = 10.0


@dataclass(frozen=True, slots=True)
class Hands:
    """What an action needs to be carried out. `seconds_left` is what remains of the pass."""

    clients: Clients
    settings: Settings
    cluster: str
    rendered: Rendered | None
    seconds_left: Callable[[], float]


# What AWS says when an action is done already, or has nothing left to be done to: an error code, or a part of the
# message where the code is only ValidationError.
ALREADY: dict[type[Action], tuple[str, ...]] = {
    actions.CreateStack: ("AlreadyExistsException", "TokenAlreadyExistsException"),
    actions.CreateChangeSet: ("AlreadyExistsException",),
    actions.ExecuteChangeSet: ("ChangeSetNotFound", "TokenAlreadyExistsException"),
    actions.DeleteChangeSet: ("ChangeSetNotFound", "does not exist"),
    actions.ContinueUpdateRollback: ("TokenAlreadyExistsException",),
    actions.RollbackStack: ("TokenAlreadyExistsException",),
    actions.DeleteStack: ("does not exist", "TokenAlreadyExistsException"),
    actions.ResizeGroup: ("not found",),
    actions.ResumeProcesses: ("not found",),
    actions.TerminateInstances: ("InvalidInstanceID.NotFound",),
    actions.DeleteVolumes: ("InvalidVolume.NotFound",),
}


def act(hands: Hands, action: Action) -> None:
    """Carry out one action. Raises AwsError, except where AWS says that it is done already."""
    try:
        with asking(subject(action)):
            _DO[type(action)](hands, action)
    except AwsError as error:
        if not any(words in f"{error.code}: {error.message}" for words in ALREADY.get(type(action), ())):
            raise


def _upload(hands: Hands) -> str:
    """Put the template where CloudFormation can read it: a body in the call may have 51,200 bytes, an object 1 MB."""
    assert hands.rendered is not None
    key = f"{artifacts_prefix(hands.cluster)}templates/{hands.rendered.hash}.json"
    bucket = hands.settings.artifacts_bucket
    hands.clients.s3.put_object(
        Bucket=bucket, Key=key, Body=hands.rendered.body.encode(), ContentType="application/json"
    )
    # The endpoint that took the object names the partition's domain as well.
    return f"{hands.clients.s3.meta.endpoint_url}/{bucket}/{key}"


def _stack_input(hands: Hands) -> dict[str, Any]:
    assert hands.rendered is not None
    return {
        "TemplateURL": _upload(hands),
        "Capabilities": CAPABILITIES,
        "RoleARN": hands.settings.stack_role_arn,
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(hands.rendered.tags.items())],
    }


def _create_stack(hands: Hands, action: actions.CreateStack) -> None:
    hands.clients.cloudformation.create_stack(
        StackName=action.stack,
        ClientRequestToken=action.token,
        OnFailure="ROLLBACK",
        **_stack_input(hands),
    )


def _create_change_set(hands: Hands, action: actions.CreateChangeSet) -> None:
    hands.clients.cloudformation.create_change_set(
        StackName=action.stack, ChangeSetName=action.name, ChangeSetType="UPDATE", **_stack_input(hands)
    )


def _execute_change_set(hands: Hands, action: actions.ExecuteChangeSet) -> None:
    hands.clients.cloudformation.execute_change_set(
        StackName=action.stack, ChangeSetName=action.name, ClientRequestToken=action.token
    )


def _delete_change_set(hands: Hands, action: actions.DeleteChangeSet) -> None:
    hands.clients.cloudformation.delete_change_set(StackName=action.stack, ChangeSetName=action.name)


def _continue_update_rollback(hands: Hands, action: actions.ContinueUpdateRollback) -> None:
    hands.clients.cloudformation.continue_update_rollback(
        StackName=action.stack, ClientRequestToken=action.token, RoleARN=hands.settings.stack_role_arn
    )


def _rollback_stack(hands: Hands, action: actions.RollbackStack) -> None:
    hands.clients.cloudformation.rollback_stack(
        StackName=action.stack, ClientRequestToken=action.token, RoleARN=hands.settings.stack_role_arn
    )


def _delete_stack(hands: Hands, action: actions.DeleteStack) -> None:
    hands.clients.cloudformation.delete_stack(
        StackName=action.stack_id, ClientRequestToken=action.token, RoleARN=hands.settings.stack_role_arn
    )


def _resize_group(hands: Hands, action: actions.ResizeGroup) -> None:
    sizes: dict[str, Any] = {} if action.desired is None else {"DesiredCapacity": action.desired}
    hands.clients.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName=action.group, MinSize=action.min, MaxSize=action.max, **sizes
    )


def _resume_processes(hands: Hands, action: actions.ResumeProcesses) -> None:
    hands.clients.autoscaling.resume_processes(
        AutoScalingGroupName=action.group, ScalingProcesses=list(action.processes)
    )


def _terminate_instances(hands: Hands, action: actions.TerminateInstances) -> None:
    hands.clients.ec2.terminate_instances(InstanceIds=list(action.ids))


def _delete_volumes(hands: Hands, action: actions.DeleteVolumes) -> None:
    for volume in action.ids:
        with asking(f"volume {volume}"):
            hands.clients.ec2.delete_volume(VolumeId=volume)


def _delete_artifacts(hands: Hands, action: actions.DeleteArtifacts) -> None:
    about, bucket = f"artifacts {action.prefix}", hands.settings.artifacts_bucket
    try:
        done = empty_prefix(hands.clients.s3, bucket, action.prefix, lambda: hands.seconds_left() - MARGIN)
    except CleanupError as error:
        raise AwsError(about, "DeleteObjects", "NotDeleted", str(error), Outcome.RETRY) from error
    if not done:
        message = "there are more objects than one pass can delete; the next goes on"
        raise AwsError(about, "DeleteObjects", "Unfinished", message, Outcome.RETRY)


_DO: dict[type[Action], Callable[[Hands, Any], None]] = {
    actions.CreateStack: _create_stack,
    actions.CreateChangeSet: _create_change_set,
    actions.ExecuteChangeSet: _execute_change_set,
    actions.DeleteChangeSet: _delete_change_set,
    actions.ContinueUpdateRollback: _continue_update_rollback,
    actions.RollbackStack: _rollback_stack,
    actions.DeleteStack: _delete_stack,
    actions.ResizeGroup: _resize_group,
    actions.ResumeProcesses: _resume_processes,
    actions.TerminateInstances: _terminate_instances,
    actions.DeleteVolumes: _delete_volumes,
    actions.DeleteArtifacts: _delete_artifacts,
}
