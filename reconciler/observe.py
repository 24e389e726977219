"""Reading AWS: what there is of a cluster, one call a service, and more only where something is the matter."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from reconciler import nodes
from reconciler.batch import PROJECT, BatchFacts
from reconciler.facts import (
    CLUSTER_TAG,
    DELETION_POLICY_TAG,
    HEADS,
    NODE_TAG,
    OWNER_TAG,
    QUEUE_TAG,
    Actual,
    Change,
    ChangeSet,
    Group,
    Instance,
    Launch,
    Leftover,
    Member,
    Stack,
    StackResource,
    stack_name,
)
from reconciler.observe_batch import observe_batch
from reconciler.outcomes import AwsError, outcome_of
from reconciler.statuses import EVENT, STACK_FAILED, Event, MemberStep
from reconciler.store import NAMES, decode, encode

if TYPE_CHECKING:
    from reconciler.clients import Clients
    from reconciler.record import Record

Filters = list[Any]
# How the description of an activity begins that launches an instance; one that failed ends otherwise than one that did.
LAUNCHING = "Launching a new EC2 instance"


def observe(
    clients: Clients,
    owner: str,
    record: Record,
    *,
    deleting: bool,
    images: Collection[str] = (),
    table: str = "",
) -> Actual:
    """What there is of a cluster of the control plane `owner`. Raises AwsError when AWS does not say.

    `deleting` asks also for what the stack holds, for volumes that may outlive it, and for all instances: else the head
    node is enough, for the groups tell of the others, and there may be thousands. `images` are the tags that are wanted
    in the cluster's repository. `table` is the state table, if it has rows of the cluster's nodes.
    """
    cluster = record.cluster
    ours = [
        {"Name": f"tag:{CLUSTER_TAG}", "Values": [cluster]},
        {"Name": f"tag:{OWNER_TAG}", "Values": [owner]},
    ]
    with asking("cluster " + cluster):
        stack = _stack(clients, stack_name(cluster))
        groups = tuple(_with_error(clients, group) for group in _groups(clients, ours))
        return Actual(
            stack=_with_failure(clients, stack) if stack else None,
            change_set=_change_set(clients, stack, record.change_set) if stack and record.change_set else None,
            groups=groups,
            instances=tuple(_instances(clients, ours if deleting else [*ours, HEADS])),
            volumes=tuple(_volumes(clients, ours)) if deleting and not stack else (),
            resources=tuple(_resources(clients, stack.id)) if deleting and stack else (),
            batch=_batch(clients, owner, record, stack, images, deleting=deleting),
            nodes=_nodes(clients, table, cluster) if table else None,
        )


def _nodes(clients: Clients, table: str, cluster: str) -> nodes.NodeFacts:
    """The rows up to the secrets. A consistent read: what wakes a pass for a row is faster than a replica may be."""
    pages = clients.dynamodb.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="#cluster = :cluster AND #row < :secret",
        ExpressionAttributeNames=NAMES,
        ExpressionAttributeValues=encode({":cluster": nodes.partition(cluster), ":secret": nodes.SECRET}),
        ConsistentRead=True,
    )
    return nodes.facts_of(decode(item) for page in pages for item in page["Items"])


def _batch(
    clients: Clients, owner: str, record: Record, stack: Stack | None, images: Collection[str], *, deleting: bool
) -> BatchFacts:
    """A cluster without AWS Batch has neither such outputs nor environments, and its services are not asked."""
    outputs: Mapping[str, str] = stack.outputs if stack and stack.owned_by(owner, record.cluster) else {}
    if PROJECT not in outputs and not record.environments:
        return BatchFacts()
    marks = {OWNER_TAG: owner, CLUSTER_TAG: record.cluster}
    return observe_batch(clients, marks, outputs, record.environments, images, deleting=deleting)


class asking:  # noqa: N801 - reads as a word in `with asking("stack x"):`
    """Turns what boto3 raises inside the block into an AwsError about `subject`."""

    def __init__(self, subject: str) -> None:
        self._subject = subject

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ClientError):
            said: Any = error.response.get("Error", {})
            code, message = said.get("Code", "Unknown"), said.get("Message", str(error))
            raise AwsError(self._subject, error.operation_name, code, message, outcome_of(code, message)) from error
        # An answer that cannot be parsed is no BotoCoreError, but it is AWS's trouble all the same.
        if isinstance(error, BotoCoreError | ResponseParserError):
            name = type(error).__name__
            raise AwsError(self._subject, "the call", name, str(error), outcome_of(name)) from error


def _stack(clients: Clients, name: str) -> Stack | None:
    try:
        found = clients.cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return stack_of(found[0])


def stack_of(found: Mapping[str, Any]) -> Stack:
    """A stack as DescribeStacks describes it."""
    return Stack(
        id=found["StackId"],
        name=found["StackName"],
        status=found["StackStatus"],
        reason=found.get("StackStatusReason", ""),
        tags=tags_of(found),
        outputs={output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", ())},
    )


def tags_of(found: Mapping[str, Any]) -> dict[str, str]:
    """The tags of a described resource, as a map."""
    return {tag["Key"]: tag.get("Value", "") for tag in found.get("Tags", ())}


def _with_failure(clients: Clients, stack: Stack) -> Stack:
    """The stack with the cause of its last failure: the oldest failed event since its last operation began.

    A status that is not in the table may be a failure too, so it is told.
    """
    if stack.status not in STACK_FAILED:
        return stack
    cause = ""
    # The newest come first, and only the pages up to the operation's beginning are read.
    pages: Any = clients.cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack.id)
    for event in (event for page in pages for event in page["StackEvents"]):
        status, reason = event.get("ResourceStatus", ""), event.get("ResourceStatusReason", "")
        of_stack = event.get("PhysicalResourceId") == stack.id
        told = EVENT.get(status)
        if of_stack and told is Event.BEGINS:
            # What happened before belongs to the operation before.
            break
        if told is None:
            reason = f"the status {status}, which this version of Muster does not know. {reason}"
        if told in (None, Event.FAILED, Event.NOT_DELETED) and "cancelled" not in reason and not of_stack:
            cause = f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason}"
    return replace(stack, failure=cause)


def _change_set(clients: Clients, stack: Stack, name: str) -> ChangeSet | None:
    changes: list[Change] = []
    token: dict[str, Any] = {}
    while True:
        try:
            found: Any = clients.cloudformation.describe_change_set(StackName=stack.name, ChangeSetName=name, **token)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in (
                "ChangeSetNotFound",
                "ChangeSetNotFoundException",
            ):
                return None
            raise
        changes += [_change(c["ResourceChange"]) for c in found.get("Changes", ()) if "ResourceChange" in c]
        if not found.get("NextToken"):
            break
        token = {"NextToken": found["NextToken"]}
    return ChangeSet(
        name=name,
        status=found["Status"],
        execution_status=found.get("ExecutionStatus", ""),
        reason=found.get("StatusReason", ""),
        changes=tuple(changes),
        id=found["ChangeSetId"],
    )


def _change(found: Mapping[str, Any]) -> Change:
    targets = [detail.get("Target", {}) for detail in found.get("Details", ())]
    causes = {
        target.get("Name") or target.get("Attribute", "")
        for target in targets
        if target.get("RequiresRecreation", "Never") != "Never"
    }
    return Change(
        found["Action"],
        found["LogicalResourceId"],
        found["ResourceType"],
        found.get("Replacement", ""),
        tuple(sorted(cause for cause in causes if cause)),
    )


def _groups(clients: Clients, ours: Filters) -> Iterable[Group]:
    pages = clients.autoscaling.get_paginator("describe_auto_scaling_groups").paginate(Filters=ours)
    return [group_of(found) for page in pages for found in page["AutoScalingGroups"]]


def group_of(found: Mapping[str, Any]) -> Group:
    """A group as DescribeAutoScalingGroups describes it."""
    policy = found.get("MixedInstancesPolicy", {})
    template = policy.get("LaunchTemplate", {}).get("LaunchTemplateSpecification", {})
    on_demand = policy.get("InstancesDistribution", {}).get("OnDemandPercentageAboveBaseCapacity")
    return Group(
        name=found["AutoScalingGroupName"],
        queue=tags_of(found).get(QUEUE_TAG, ""),
        min=found["MinSize"],
        max=found["MaxSize"],
        desired=found["DesiredCapacity"],
        suspended=tuple(sorted(p["ProcessName"] for p in found.get("SuspendedProcesses", ()))),
        template_version=str(template.get("Version", "")),
        capacity_type={100: "onDemand", 0: "spot"}.get(on_demand, ""),
        members=tuple(
            Member(
                member["InstanceId"],
                member["LifecycleState"],
                member.get("HealthStatus", ""),
                str(member.get("LaunchTemplate", {}).get("Version", "")),
                bool(member.get("ProtectedFromScaleIn", False)),
            )
            for member in sorted(found.get("Instances", ()), key=lambda member: member["InstanceId"])
        ),
    )


def _with_error(clients: Clients, group: Group) -> Group:
    """The group with its newest activities, if it lacks members: else nobody would read them."""
    if group.desired <= sum(1 for member in group.members if member.step is not MemberStep.GOING):
        return group
    found = clients.autoscaling.describe_scaling_activities(AutoScalingGroupName=group.name, MaxRecords=20)
    newest = next(iter(found["Activities"]), None)
    if newest is None:
        return group
    launches = [_launch(each) for each in found["Activities"] if each.get("Description", "").startswith(LAUNCHING)]
    return replace(group, activity=newest["StatusCode"], activity_message=_said(newest), launches=tuple(launches))


def _launch(activity: Mapping[str, Any]) -> Launch:
    began = activity["StartTime"].timestamp() if "StartTime" in activity else 0.0
    return Launch(activity.get("ActivityId", ""), activity["StatusCode"], _said(activity), began)


def _said(activity: Mapping[str, Any]) -> str:
    return activity.get("StatusMessage") or activity.get("Cause", "")


def _instances(clients: Clients, ours: Filters) -> Iterable[Instance]:
    pages = clients.ec2.get_paginator("describe_instances").paginate(Filters=ours)
    return [instance_of(found) for page in pages for r in page["Reservations"] for found in r.get("Instances", ())]


def instance_of(found: Mapping[str, Any]) -> Instance:
    """An instance as DescribeInstances describes it."""
    tags = tags_of(found)
    return Instance(
        id=found["InstanceId"],
        state=found["State"]["Name"],
        node=tags.get(NODE_TAG, ""),
        queue=tags.get(QUEUE_TAG, ""),
        private_ip=found.get("PrivateIpAddress", ""),
        public_ip=found.get("PublicIpAddress", ""),
        owner=tags.get(OWNER_TAG, ""),
        launched=found["LaunchTime"].timestamp() if "LaunchTime" in found else 0.0,
    )


def _volumes(clients: Clients, ours: Filters) -> Iterable[Leftover]:
    """Volumes of shared storage: their tag says what was to become of them. Root volumes go with their nodes."""
    pages = clients.ec2.get_paginator("describe_volumes").paginate(
        Filters=[*ours, {"Name": "tag-key", "Values": [DELETION_POLICY_TAG]}]
    )
    found = (volume for page in pages for volume in page["Volumes"])
    return [Leftover("volume", each.get("VolumeId", ""), tags_of(each)[DELETION_POLICY_TAG]) for each in found]


def _resources(clients: Clients, stack_id: str) -> Iterable[StackResource]:
    pages = clients.cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack_id)
    return [
        StackResource(
            found["LogicalResourceId"],
            found.get("PhysicalResourceId", ""),
            found["ResourceType"],
            found["ResourceStatus"],
            found.get("ResourceStatusReason", ""),
        )
        for page in pages
        for found in page["StackResourceSummaries"]
    ]
