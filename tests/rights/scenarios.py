"""Small stories that between them make the control plane and CloudFormation use their rights.

Each is a function of a cluster that nobody else knows, and returns when its end has come about. It waits by
`cluster.until` alone, so that a mutant that has failed already need not be waited for.
"""

import json
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from reconciler.facts import CLUSTER_TAG, DELETION_POLICY_TAG, OWNER_TAG, repository_name
from reconciler.store import encode, state_key
from tests.e2e import test_batch as batches
from tests.e2e.batch_stacks import MIXED, BatchStack, changed
from tests.e2e.test_life import STORAGE
from tests.e2e.test_stack_statuses import failing, status_of
from tests.e2e.world import FUNCTIONS, Cluster, Json, queue

Scenario = Callable[[Cluster], object]


def created(cluster: Cluster) -> None:
    """A spec becomes a cluster."""
    cluster.put()
    cluster.until_ready(1)


def astray(cluster: Cluster) -> None:
    """A spec that names a VPC which does not exist is told so."""
    spec = cluster.world.spec()
    cluster.put({**spec, "network": {**spec["network"], "vpcId": "vpc-0123456789abcdef0"}})
    cluster.until("a refusal", lambda: "the VPC does not exist" in cluster.condition("SpecAccepted").get("message", ""))


def deleted(cluster: Cluster) -> None:
    """It goes, with the rows that its nodes wrote, and more than one template."""
    created(cluster)
    older = f"{cluster.prefix}templates/older.json"
    cluster.world.client("s3").put_object(Bucket=cluster.world.out("ArtifactsBucket"), Key=older, Body=b"{}")
    row = encode({"cluster": f"{cluster.name}/nodes", "row": "INSTANCE#i-0"})
    cluster.world.client("dynamodb").put_item(TableName=cluster.world.out("StateTable"), Item=row)
    cluster.delete()
    cluster.until_gone()
    assert cluster.stack is None
    assert cluster.world.objects(cluster.prefix) == []


def stored(cluster: Cluster) -> None:
    """With an address and all kinds of storage, changed where they can be, and gone."""
    world = cluster.world
    cluster.put(world.spec(sharedStorage=STORAGE, headNode={"instanceType": "t3.medium", "elasticIp": True}))
    cluster.until_ready(1)
    ebs, raid, efs, lustre = STORAGE
    bigger: list[Json] = [
        {**ebs, "ebs": {**ebs["ebs"], "size": 60}},
        raid,
        {**efs, "efs": {"throughputMode": "bursting"}},
        {**lustre, "fsxLustre": {**lustre["fsxLustre"], "weeklyMaintenanceStartTime": "1:05:00"}},
    ]
    cluster.edit(sharedStorage=bigger, consent=["headNode"])
    cluster.until_ready(2)
    cluster.delete()
    cluster.until_gone()


def updated(cluster: Cluster) -> None:
    """Everything of the smallest cluster that an update can change in place.

    That its change set can be read no event tells: the operator's own timer has to.
    """
    created(cluster)
    cluster.edit(
        headNode={"instanceType": "t3.large"},
        queues=[queue(instanceTypes=["c6i.xlarge", "c5.xlarge"])],
        logs={"retentionDays": 30},
        s3Access=[{"resource": "arn:aws:s3:::data", "access": "read"}],
        tags={"team": "physics"},
        consent=["headNode"],
    )
    cluster.until_ready(2)
    cluster.until("the timer", lambda: cluster.wakes("timer"))


def withdrawn(cluster: Cluster) -> None:
    """An edit that needs consent is taken back."""
    created(cluster)
    spec = cluster.spec
    cluster.edit(network={**spec["network"], "subnetIds": spec["network"]["subnetIds"][::-1]})
    cluster.until_condition("StackReady", False, "ConsentRequired", generation=2)
    cluster.put(spec)
    cluster.until_ready(3)
    left = cluster.world.client("cloudformation").list_change_sets(StackName=cluster.stack_name)["Summaries"]
    assert [each for each in left if each["ExecutionStatus"] == "AVAILABLE"] == []


def grouped(cluster: Cluster) -> None:
    """A queue in a placement group of its own."""
    cluster.put(cluster.world.spec(queues=[queue(placementGroup="dynamic", subnetIds=_first(cluster))]))
    cluster.until_ready(1)
    cluster.delete()
    cluster.until_gone()


def _first(cluster: Cluster) -> list[str]:
    return [cluster.world.net.subnet_ids[0]]


def resumed(cluster: Cluster) -> None:
    """Processes that somebody suspended are resumed."""
    created(cluster)
    cluster.until_quiet()
    cluster.world.client("autoscaling").suspend_processes(
        AutoScalingGroupName=cluster.group_name(), ScalingProcesses=["Launch"]
    )
    cluster.wake()
    cluster.until_event("ProcessesResumed")


def held_on_to(cluster: Cluster) -> None:
    """Nodes that are protected from scaling in go when their cluster is deleted."""
    created(cluster)
    cluster.world.client("autoscaling").set_instance_protection(
        AutoScalingGroupName=cluster.group_name(), InstanceIds=sorted(cluster.nodes()), ProtectedFromScaleIn=True
    )
    cluster.delete()
    cluster.until_gone()


def swept(cluster: Cluster) -> None:
    """The sweep finds what no event told."""
    created(cluster)
    cluster.until_quiet()
    cluster.world.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=cluster.group_name(), MinSize=1)
    assert cluster.world.sweep()[cluster.name] == "facts"
    cluster.until_event("GroupResized")


def logged(cluster: Cluster) -> None:
    """Each function's log tells of the cluster, from its making to its end."""
    deleted(cluster)
    cluster.world.sweep()
    for function in FUNCTIONS:
        cluster.until(f"a line of {function}", partial(cluster.world.logs, function, cluster.born))


def warned(cluster: Cluster) -> None:
    """An event that names only an instance wakes its cluster."""
    created(cluster)
    detail = {"instance-id": min(cluster.nodes()), "instance-action": "terminate"}
    event = {"source": "aws.ec2", "detail-type": "EC2 Spot Instance Interruption Warning", "detail": detail}
    _inbox(cluster, event)
    cluster.until("the wake-up", lambda: cluster.wakes("spot"))


def _inbox(cluster: Cluster, message: Json) -> None:
    world = cluster.world
    world.client("sqs").send_message(QueueUrl=world.out("InboxQueueUrl"), MessageBody=json.dumps(message))


def refused(cluster: Cluster) -> None:
    """A pass that finds the lease held gives its message back, and comes again soon."""
    created(cluster)
    cluster.until_quiet()
    cluster.world.client("dynamodb").update_item(
        TableName=cluster.world.out("StateTable"),
        Key=state_key(cluster.name),
        UpdateExpression="SET leaseOwner = :nobody, leaseExpires = :soon",
        ExpressionAttributeValues=encode({":nobody": "nobody", ":soon": int(time.time()) + 2}),
    )
    cluster.wake()
    cluster.until("a pass", lambda: cluster.passes("timer"))


def short_of_nodes(cluster: Cluster) -> None:
    """Why a group lacks nodes is told in Auto Scaling's words."""
    kinds = ["z1d.large"]
    with cluster.world.behaving(no_capacity=[{"InstanceType": kinds[0]}]):
        cluster.put(cluster.world.spec(queues=[queue(size=1, instanceTypes=kinds)]))
        cluster.until_condition("FleetReady", False, "LaunchFailed")


def failed(cluster: Cluster) -> None:
    """Why a stack could not be made is told."""
    failure = failing(cluster, LogicalResourceId="HeadNode", Operation="create", Reason="No such luck.")
    with cluster.world.behaving(failures=[failure]):
        cluster.put()
        cluster.until("the reason", lambda: "No such luck." in cluster.condition("StackReady").get("message", ""))


def rolled_back(cluster: Cluster) -> None:
    """A rollback that failed is continued."""
    created(cluster)
    failures = [
        failing(cluster, LogicalResourceId="LaunchTemplateExtra", Operation="create", Reason="No."),
        failing(cluster, Operation="rollback", Reason="Not now."),
    ]
    with cluster.world.behaving(failures=failures):
        cluster.edit(queues=[queue(), queue("extra", size=1)], logs={"retentionDays": 30})
        cluster.until("the failed rollback", lambda: status_of(cluster) == "UPDATE_ROLLBACK_FAILED")
    cluster.until_event("RollbackContinued")
    cluster.pass_time()
    cluster.until("the rollback", lambda: status_of(cluster) == "UPDATE_ROLLBACK_COMPLETE")


def left_halfway(cluster: Cluster) -> None:
    """An update by hand that failed, and was told not to roll back, is rolled back."""
    created(cluster)
    cloudformation = cluster.world.client("cloudformation")
    template = cloudformation.get_template(StackName=cluster.stack_name)["TemplateBody"]
    text = template if isinstance(template, str) else json.dumps(template, separators=(",", ":"))
    with cluster.world.behaving(failures=[failing(cluster, LogicalResourceId="LogGroup", Operation="update")]):
        cloudformation.update_stack(
            StackName=cluster.stack_name,
            TemplateBody=text.replace('"RetentionInDays":14', '"RetentionInDays":90'),
            Capabilities=["CAPABILITY_NAMED_IAM"],
            DisableRollback=True,
        )
        cluster.until("the failed update", lambda: status_of(cluster) == "UPDATE_FAILED")
    cluster.until("the rollback", lambda: status_of(cluster) in ("UPDATE_ROLLBACK_COMPLETE", "UPDATE_COMPLETE"))


def left_over(cluster: Cluster) -> None:
    """An instance and a volume that outlived the stack go too."""
    created(cluster)
    world = cluster.world
    ec2 = world.client("ec2")
    image = ec2.describe_instances(InstanceIds=[cluster.head])["Reservations"][0]["Instances"][0]["ImageId"]
    marks = {CLUSTER_TAG: cluster.name, OWNER_TAG: world.plane.stack}
    ours = [{"Key": key, "Value": value} for key, value in marks.items()]
    data = [*ours, {"Key": DELETION_POLICY_TAG, "Value": "Delete"}]
    instance = ec2.run_instances(
        ImageId=image,
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": ours}],
    )["Instances"][0]["InstanceId"]
    volume = ec2.create_volume(
        AvailabilityZone="us-east-1a", Size=1, TagSpecifications=[{"ResourceType": "volume", "Tags": data}]
    )["VolumeId"]
    cluster.delete()
    cluster.until_gone()
    assert instance not in [each["InstanceId"] for each in cluster.instances]
    assert volume not in [each["VolumeId"] for each in ec2.describe_volumes()["Volumes"]]


def cleaned(cluster: Cluster) -> None:
    """The stack's own clean-up empties what its nodes uploaded: it is deleted by hand, while the operator is paused."""
    _uploaded(cluster)
    cluster.world.client("cloudformation").delete_stack(StackName=cluster.stack_name)
    cluster.until("the end of the stack", lambda: cluster.stack is None)
    assert cluster.world.objects(f"{cluster.prefix}nodes/") == []


def _uploaded(cluster: Cluster) -> None:
    created(cluster)
    cluster.edit(paused=True)
    cluster.until("the pause", lambda: cluster.status["phase"] == "Paused")
    s3, key = cluster.world.client("s3"), f"{cluster.prefix}nodes/i-0.log"
    for _ in range(2):
        s3.put_object(Bucket=cluster.world.out("ArtifactsBucket"), Key=key, Body=b"log")


def continued(cluster: Cluster) -> None:
    """A clean-up whose time is up goes on in another invocation. With a minute's timeout it has none to begin with."""
    functions, name = cluster.world.client("lambda"), cluster.world.physical("CleanupFunction")
    _uploaded(cluster)
    functions.update_function_configuration(FunctionName=name, Timeout=60)
    try:
        cluster.world.client("cloudformation").delete_stack(StackName=cluster.stack_name)
        cluster.until("the last run", lambda: "not empty after 5 runs" in json.dumps(cluster._stack_events()))
    finally:
        functions.update_function_configuration(FunctionName=name, Timeout=900)


def unpacked(cluster: Cluster) -> None:
    """The images of a repository of the cluster go."""
    world = cluster.world
    ecr, name = world.client("ecr"), repository_name(cluster.name)
    owner = [{"Key": OWNER_TAG, "Value": world.plane.stack}]
    ecr.create_repository(repositoryName=name, tags=owner)
    ecr.put_image(repositoryName=name, imageManifest='{"schemaVersion": 2}', imageTag="latest")
    bucket, key = world.out("ArtifactsBucket"), f"answers/{uuid.uuid4().hex}"
    url = world.client("s3").generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": key})
    request: dict[str, Any] = {
        "RequestType": "Delete",
        "ResponseURL": url,
        "StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/muster-x/1",
        "RequestId": uuid.uuid4().hex,
        "ResourceType": "Custom::EcrCleanup",
        "LogicalResourceId": "Images",
        "PhysicalResourceId": name,
        "ResourceProperties": {"ServiceToken": "x", "RepositoryName": name},
    }
    function = world.physical("CleanupFunction")
    world.client("lambda").invoke(FunctionName=function, Payload=json.dumps(request).encode())
    assert ecr.list_images(repositoryName=name)["imageIds"] == []


def batch_made(cluster: Cluster) -> BatchStack:
    """The stack of a cluster of AWS Batch."""
    stack = BatchStack(cluster)
    stack.create(MIXED)
    return stack


def batch_updated(cluster: Cluster) -> None:
    """Another environment takes over, and what can be is changed in place."""
    batch_made(cluster).update(changed(MIXED))


def batch_deleted(cluster: Cluster) -> None:
    """All but the environments goes with it."""
    batch_made(cluster).delete()


def batch_failed(cluster: Cluster) -> None:
    """One that cannot be made leaves no environment."""
    stack = BatchStack(cluster)
    failure = failing(cluster, LogicalResourceId="BuildProject", Operation="create")
    with cluster.world.behaving(failures=[failure]):
        stack.start(MIXED)
        stack.ends_as("ROLLBACK_COMPLETE")
    assert stack.environments() == {}


def batch_built(cluster: Cluster) -> None:
    """A cluster of AWS Batch whose image takes a while."""
    with batches.held_builds(cluster):
        cluster.put(batches.spec(cluster.world))
        cluster.until("a build under way", lambda: batches.shown_build(cluster) or cluster.wake())
    cluster.until_ready(1)


def batch_put_back(cluster: Cluster) -> None:
    """What somebody disabled is found by the sweep, and enabled."""
    batch_built(cluster)
    cluster.until_quiet()
    batch = cluster.world.client("batch")
    [environment] = batches.environments(cluster)
    batch.update_compute_environment(computeEnvironment=environment["computeEnvironmentName"], state="DISABLED")
    batch.update_job_queue(jobQueue=batches.job_queue(cluster)["jobQueueName"], state="DISABLED")
    assert cluster.world.sweep()[cluster.name] == "facts"
    cluster.until("the queue", lambda: batches.job_queue(cluster)["state"] == "ENABLED" or cluster.wake())
    cluster.until("the environment", lambda: batches.environments(cluster)[0]["state"] == "ENABLED" or cluster.wake())


def batch_replaced(cluster: Cluster) -> None:
    """An environment that another has replaced goes."""
    batch_built(cluster)
    batches.edit(cluster, computeEnvironments=[{"name": "cpu", "instanceTypes": ["c7i.large"]}])
    cluster.until_condition("StackReady", True, generation=2)
    cluster.until("the end of the old one", lambda: len(batches.environments(cluster)) == 1 or cluster.wake())


def batch_ended(cluster: Cluster) -> None:
    """It goes while its image is being built."""
    with batches.held_builds(cluster):
        cluster.put(batches.spec(cluster.world))
        cluster.until("a build under way", lambda: batches.shown_build(cluster) or cluster.wake())
        build = batches.shown_build(cluster)["id"]
        cluster.delete()
        cluster.until("its end", lambda: cluster.record is None or cluster.wake())
    stopped = cluster.world.client("codebuild").batch_get_builds(ids=[build])["builds"][0]
    assert stopped["buildStatus"] == "STOPPED"
    assert batches.environments(cluster) == []


SCENARIOS: dict[str, Scenario] = {
    each.__name__: each
    for each in (
        created, astray, deleted, stored, updated, withdrawn, grouped, resumed, held_on_to, swept, logged, warned,
        refused, short_of_nodes, failed, rolled_back, left_halfway, left_over, cleaned, continued, unpacked, batch_made,
        batch_updated, batch_deleted, batch_failed, batch_built, batch_put_back, batch_replaced, batch_ended,
    )
}  # fmt: skip
