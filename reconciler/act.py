"""Carrying out a plan's actions. Each is idempotent: "already done" and "not found" are success.

The caller announces each action in the record, under the fence, before it is made here.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from reconciler import actions, agent, nodes
from reconciler.actions import Action, subject
from reconciler.batch import TAG_VARIABLE
from reconciler.cleanup import CleanupError, empty_prefix
from reconciler.facts import agent_key, artifacts_prefix, sources_prefix
from reconciler.observe import asking
from reconciler.outcomes import AwsError, Outcome
from reconciler.store import ROW, encode

if TYPE_CHECKING:
    from reconciler.clients import Clients
    from reconciler.render import Rendered
    from reconciler.settings import Settings

CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM")
# What a build of another processor than the project's overrides of it (CodeBuild user guide, "Docker images provided by
# CodeBuild").
_BUILDERS: dict[str, Any] = {
    "x86_64": {},
    "arm64": {
        "environmentTypeOverride": "ARM_CONTAINER",
        "imageOverride": "aws/codebuild/amazonlinux-aarch64-standard:3.0",
    },
}
# Seconds that an action leaves of the pass, to report in; what would need them is left to the next pass.
MARGIN = 10.0
# Calls about single nodes that are made at once: more would be throttled sooner than done.
SIDE_BY_SIDE = 4


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
    # Its state is another by now, or its row is gone.
    actions.DrainNodes: ("ConditionalCheckFailedException",),
    # The last is of a group that is at its least size: somebody has put it there since, and the next pass sees it.
    actions.EndNodes: ("not found", "not part of", "violate group's min size"),
    actions.TerminateInstances: ("InvalidInstanceID.NotFound",),
    actions.DeleteVolumes: ("InvalidVolume.NotFound",),
    actions.StopBuild: ("ResourceNotFoundException",),
    actions.DeleteComputeEnvironment: ("does not exist", "not found"),
    actions.DeleteJobQueue: ("does not exist", "not found"),
}


def act(hands: Hands, action: Action) -> None:
    """Carry out one action. Raises AwsError, except where AWS says that it is done already."""
    with _tolerant(action), asking(subject(action)):
        _DO[type(action)](hands, action)


@contextmanager
def _tolerant(action: Action) -> Generator[None]:
    """Takes for done what AWS says is done already."""
    try:
        yield
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


def _upload_agent(hands: Hands, digest: str) -> None:
    """Put what nodes run where their user data fetches it: the first of them may boot before the next pass."""
    assert digest == agent.digest()
    hands.clients.s3.put_object(
        Bucket=hands.settings.artifacts_bucket, Key=agent_key(hands.cluster, digest), Body=agent.archive()
    )


def _stack_input(hands: Hands) -> dict[str, Any]:
    assert hands.rendered is not None
    if hands.rendered.agent:
        _upload_agent(hands, hands.rendered.agent)
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


def _put_facts(hands: Hands, action: actions.PutFacts) -> None:
    item = {"cluster": nodes.partition(action.cluster), ROW: nodes.FACTS, "document": action.document}
    hands.clients.dynamodb.put_item(TableName=hands.settings.state_table, Item=encode(item))


def _each(hands: Hands, ids: Sequence[str], do: Callable[[str], None]) -> None:
    """Do something about each node: of many, a few side by side. What fails ends it, once what is under way is over.

    When the pass has no time left the others are left to the next, which finds them as they are.
    """

    def in_time(each: str) -> None:
        if hands.seconds_left() > MARGIN:
            do(each)

    if len(ids) <= SIDE_BY_SIDE:
        for each in ids:
            in_time(each)
        return
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for _ in pool.map(in_time, ids):
            pass


def _drain_nodes(hands: Hands, action: actions.DrainNodes) -> None:
    dynamodb = hands.clients.dynamodb

    def drain(each: str) -> None:
        with _tolerant(action), asking(f"node {each}"):
            dynamodb.update_item(
                TableName=hands.settings.state_table,
                Key=encode({"cluster": nodes.partition(action.cluster), ROW: f"{nodes.NODE}{each}"}),
                UpdateExpression="SET #state = :draining, since = :at, reason = :reason",
                ConditionExpression="#state IN (:booting, :ready)",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues=encode(
                    {
                        ":draining": nodes.NodeState.DRAINING.value,
                        ":booting": nodes.NodeState.BOOTING.value,
                        ":ready": nodes.NodeState.READY.value,
                        ":at": Decimal(str(round(action.at, 3))),
                        ":reason": action.reason,
                    }
                ),
            )

    _each(hands, action.ids, drain)


def _end_nodes(hands: Hands, action: actions.EndNodes) -> None:
    autoscaling = hands.clients.autoscaling

    def end(each: str) -> None:
        with _tolerant(action), asking(f"node {each}"):
            autoscaling.terminate_instance_in_auto_scaling_group(
                InstanceId=each, ShouldDecrementDesiredCapacity=not action.replace
            )

    _each(hands, action.ids, end)


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


def _start_build(hands: Hands, action: actions.StartBuild) -> None:
    variables: list[Any] = [{"name": TAG_VARIABLE, "value": action.tag}]
    source = action.source or _upload_source(hands, action)
    hands.clients.codebuild.start_build(
        projectName=action.project,
        sourceTypeOverride="S3",
        sourceLocationOverride=source,
        environmentVariablesOverride=variables,
        idempotencyToken=action.token,
        **_BUILDERS[action.architecture],
    )


def _upload_source(hands: Hands, action: actions.StartBuild) -> str:
    """Put an archive that holds the Dockerfile alone where the build can read it; the answer is BUCKET/KEY."""
    key = f"{sources_prefix(hands.cluster)}{action.tag}.zip"
    bucket = hands.settings.artifacts_bucket
    hands.clients.s3.put_object(Bucket=bucket, Key=key, Body=_zipped(action.dockerfile), ContentType="application/zip")
    return f"{bucket}/{key}"


def _zipped(dockerfile: str) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        # With a time of its own the same Dockerfile gives the same bytes.
        archive.writestr(zipfile.ZipInfo("Dockerfile"), dockerfile)
    return body.getvalue()


def _stop_build(hands: Hands, action: actions.StopBuild) -> None:
    hands.clients.codebuild.stop_build(id=action.id)


def _update_compute_environment(hands: Hands, action: actions.UpdateComputeEnvironment) -> None:
    sizes = {"minvCpus": action.min, "maxvCpus": action.max, "desiredvCpus": action.desired}
    given: dict[str, Any] = {key: value for key, value in sizes.items() if value is not None}
    changed: dict[str, Any] = {"state": action.state} if action.state else {}
    if given:
        changed["computeResources"] = given
    hands.clients.batch.update_compute_environment(computeEnvironment=action.environment, **changed)


def _delete_compute_environment(hands: Hands, action: actions.DeleteComputeEnvironment) -> None:
    hands.clients.batch.delete_compute_environment(computeEnvironment=action.environment)


def _update_job_queue(hands: Hands, action: actions.UpdateJobQueue) -> None:
    changed: dict[str, Any] = {"state": action.state} if action.state else {}
    if action.priority is not None:
        changed["priority"] = action.priority
    if action.environments is not None:
        order = enumerate(action.environments, 1)
        changed["computeEnvironmentOrder"] = [{"order": place, "computeEnvironment": each} for place, each in order]
    hands.clients.batch.update_job_queue(jobQueue=action.queue, **changed)


def _delete_job_queue(hands: Hands, action: actions.DeleteJobQueue) -> None:
    hands.clients.batch.delete_job_queue(jobQueue=action.queue)


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
    actions.PutFacts: _put_facts,
    actions.DrainNodes: _drain_nodes,
    actions.EndNodes: _end_nodes,
    actions.TerminateInstances: _terminate_instances,
    actions.DeleteVolumes: _delete_volumes,
    actions.DeleteArtifacts: _delete_artifacts,
    actions.StartBuild: _start_build,
    actions.StopBuild: _stop_build,
    actions.UpdateComputeEnvironment: _update_compute_environment,
    actions.DeleteComputeEnvironment: _delete_compute_environment,
    actions.UpdateJobQueue: _update_job_queue,
    actions.DeleteJobQueue: _delete_job_queue,
}
