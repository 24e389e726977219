"""Rights are what the policies say: every denial here has beside it a call of the same role that is allowed."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from reconciler.store import encode, state_key
from tests.e2e.world import Cluster, World, queue

DENIALS = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
TOPIC = '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}

Role = Callable[[str], Any]


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """The call inside is refused for want of a right, and for nothing else."""
    with pytest.raises(ClientError) as caught:
        yield
    assert caught.value.response.get("Error", {}).get("Code") in DENIALS, caught.value


@pytest.fixture(scope="module")
def mine(world: World) -> Cluster:
    """A running cluster for all calls that are made as somebody."""
    cluster = Cluster(world, "rights-mine")
    cluster.put(world.spec(sharedStorage=[{"name": "home", "mountDir": "/shared", "ebs": {}}]))
    cluster.until_ready(1)
    return cluster


@pytest.fixture(scope="module")
def theirs(world: World) -> Cluster:
    """Another one."""
    cluster = Cluster(world, "rights-theirs")
    cluster.put()
    cluster.until_ready(1)
    return cluster


@pytest.fixture(scope="module")
def reconcile(world: World) -> Role:
    return world.as_role(world.physical("ReconcileRole"))


def test_wake_sends_wake_ups_and_writes_no_state(world: World) -> None:
    wake = world.as_role(world.physical("WakeRole"))
    body = json.dumps({"cluster": "nobody", "source": "timer", "id": "1"})
    wake("sqs").send_message(QueueUrl=world.out("WakesQueueUrl"), MessageBody=body, MessageGroupId="nobody")
    with refused():
        wake("sqs").send_message(QueueUrl=world.out("BackgroundQueueUrl"), MessageBody=body, MessageGroupId="nobody")
    for table in ("StateTable", "SpecsTable"):
        with refused():
            wake("dynamodb").put_item(
                TableName=world.out(table), Item=encode({"name": "x", "cluster": "x", "row": "y"})
            )


def test_the_operator_never_writes_what_users_write(world: World, reconcile: Role, mine: Cluster) -> None:
    key, table = encode({"name": mine.name}), world.out("SpecsTable")
    wanted = {table: {"Keys": [key]}}
    assert reconcile("dynamodb").batch_get_item(RequestItems=wanted)["Responses"][table]
    with refused():
        reconcile("dynamodb").put_item(TableName=table, Item=key)
    with refused():
        reconcile("dynamodb").delete_item(TableName=table, Key=key)


def test_the_operator_resizes_its_own_groups_and_deletes_none(world: World, reconcile: Role, mine: Cluster) -> None:
    autoscaling, own = world.client("autoscaling"), mine.group()
    assert own
    reconcile("autoscaling").update_auto_scaling_group(AutoScalingGroupName=mine.group_name(), MinSize=2)
    with refused():
        reconcile("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=mine.group_name(), ForceDelete=True)
    like = {
        "MinSize": 0,
        "MaxSize": 0,
        "MixedInstancesPolicy": own["MixedInstancesPolicy"],
        "VPCZoneIdentifier": own["VPCZoneIdentifier"],
    }
    owner = {"Key": "muster:owner", "Value": world.plane.stack}
    others = {"muster-untagged.compute": [], "named-otherwise": [owner]}
    for name, tags in others.items():
        autoscaling.create_auto_scaling_group(AutoScalingGroupName=name, Tags=tags, **like)
        with refused():
            reconcile("autoscaling").update_auto_scaling_group(AutoScalingGroupName=name, MaxSize=1)
        with refused():
            reconcile("autoscaling").resume_processes(AutoScalingGroupName=name)
        autoscaling.delete_auto_scaling_group(AutoScalingGroupName=name)


def test_the_operator_terminates_only_instances_of_its_own(world: World, reconcile: Role, mine: Cluster) -> None:
    ec2 = world.client("ec2")
    image = next(each["ImageId"] for each in mine.instances)
    stranger = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)["Instances"][0]
    with refused():
        reconcile("ec2").terminate_instances(InstanceIds=[stranger["InstanceId"]])
    with refused():
        reconcile("ec2").run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    reconcile("ec2").terminate_instances(InstanceIds=[min(mine.nodes())])
    ec2.terminate_instances(InstanceIds=[stranger["InstanceId"]])


def test_the_operator_deletes_only_volumes_of_its_own(world: World, reconcile: Role) -> None:
    ec2, zone = world.client("ec2"), "us-east-1a"
    tags = [{"ResourceType": "volume", "Tags": [{"Key": "muster:owner", "Value": world.plane.stack}]}]
    own = ec2.create_volume(AvailabilityZone=zone, Size=1, TagSpecifications=tags)["VolumeId"]
    stranger = ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    reconcile("ec2").delete_volume(VolumeId=own)
    with refused():
        reconcile("ec2").delete_volume(VolumeId=stranger)
    ec2.delete_volume(VolumeId=stranger)


def test_the_operator_touches_no_stack_of_another_name(world: World, reconcile: Role, mine: Cluster) -> None:
    cloudformation = reconcile("cloudformation")
    assert cloudformation.describe_stacks(StackName=mine.stack_name)["Stacks"]
    world.client("cloudformation").create_stack(StackName="somebody", TemplateBody=TOPIC)
    for name in ("somebody", world.plane.stack):
        with refused():
            cloudformation.delete_stack(StackName=name)
        with refused():
            cloudformation.describe_stacks(StackName=name)
    with refused():
        cloudformation.create_stack(StackName="anybody", TemplateBody=TOPIC)


def test_the_operator_lends_cloudformation_one_role_and_no_other(world: World, reconcile: Role) -> None:
    role = world.client("iam").get_role(RoleName=world.physical("WakeRole"))["Role"]["Arn"]
    with refused():
        reconcile("cloudformation").create_stack(StackName="muster-lent", TemplateBody=TOPIC, RoleARN=role)


@pytest.mark.parametrize("path", ["/muster/inside/", "/", "/musterful/", "/other/muster/"])
def test_cloudformations_role_makes_roles_below_muster_only(world: World, path: str) -> None:
    cloudformation, name = world.client("cloudformation"), f"muster-roles{path.count('/')}-{len(path)}"
    role = {"Type": "AWS::IAM::Role", "Properties": {"Path": path, "AssumeRolePolicyDocument": TRUST}}
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=json.dumps({"Resources": {"Role": role}}),
        RoleARN=world.out("StackRoleArn"),
        Capabilities=["CAPABILITY_IAM"],
    )
    made = Cluster(world, name.removeprefix("muster-"))
    made.until("the end", lambda: made.stack and not made.stack["StackStatus"].endswith("_IN_PROGRESS"))
    assert made.stack
    assert made.stack["StackStatus"] == ("CREATE_COMPLETE" if path == "/muster/inside/" else "ROLLBACK_COMPLETE")
    told = json.dumps(cloudformation.describe_stack_events(StackName=name)["StackEvents"], default=str)
    assert ("not authorized to perform: iam:CreateRole" in told) == (path != "/muster/inside/")


def test_cloudformations_role_changes_no_role_of_the_control_plane(world: World) -> None:
    iam, name = world.as_role(world.physical("ClusterStackRole"))("iam"), world.physical("ReconcileRole")
    with refused():
        iam.put_role_policy(RoleName=name, PolicyName="more", PolicyDocument=json.dumps(TRUST))
    with refused():
        iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")


@pytest.mark.parametrize("node", ["HeadRole", "ComputeRole"])
def test_a_node_reads_and_writes_the_rows_of_its_own_cluster_alone(
    world: World, mine: Cluster, theirs: Cluster, node: str
) -> None:
    table = world.out("StateTable")
    dynamodb = world.as_role(mine.resources[node]["PhysicalResourceId"])("dynamodb")
    if node == "HeadRole":
        _query(dynamodb, table, f"{mine.name}/nodes")
    own = encode({"cluster": f"{mine.name}/nodes", "row": "INSTANCE#i-1"})
    dynamodb.put_item(TableName=table, Item=own)
    assert dynamodb.get_item(TableName=table, Key=own)["Item"] == own
    other = encode({"cluster": f"{theirs.name}/nodes", "row": "INSTANCE#i-1"})
    for key in (state_key(mine.name), state_key(theirs.name), other):
        with refused():
            dynamodb.get_item(TableName=table, Key=key)
        with refused():
            dynamodb.put_item(TableName=table, Item=key)
    for partition in (mine.name, f"{theirs.name}/nodes"):
        with refused():
            _query(dynamodb, table, partition)
    with refused():
        dynamodb.scan(TableName=table)
    with refused():
        dynamodb.get_item(TableName=world.out("SpecsTable"), Key=encode({"name": mine.name}))


@pytest.mark.parametrize("node", ["HeadRole", "ComputeRole"])
def test_a_node_uploads_to_its_own_prefix_and_uses_its_own_queue(
    world: World, mine: Cluster, theirs: Cluster, node: str
) -> None:
    role, bucket = world.as_role(mine.resources[node]["PhysicalResourceId"]), world.out("ArtifactsBucket")
    role("s3").put_object(Bucket=bucket, Key=f"{mine.prefix}nodes/log", Body=b"")
    for key in (f"{mine.prefix}templates/x.json", f"{theirs.prefix}nodes/log", "clusters/log"):
        with refused():
            role("s3").put_object(Bucket=bucket, Key=key, Body=b"")
    own, others = _outputs(mine)["QueueUrl"], _outputs(theirs)["QueueUrl"]
    call = _receive if node == "HeadRole" else _send
    call(role("sqs"), own)
    with refused():
        call(role("sqs"), others)
    with refused():
        (_send if node == "HeadRole" else _receive)(role("sqs"), own)
    with refused():
        role("ec2").terminate_instances(InstanceIds=[theirs.head])
    with refused():
        role("cloudformation").describe_stacks()


def _query(dynamodb: Any, table: str, partition: str) -> None:
    dynamodb.query(
        TableName=table,
        KeyConditionExpression="#cluster = :partition",
        ExpressionAttributeNames={"#cluster": "cluster"},
        ExpressionAttributeValues=encode({":partition": partition}),
    )


def _send(sqs: Any, url: str) -> None:
    sqs.send_message(QueueUrl=url, MessageBody="x")


def _receive(sqs: Any, url: str) -> None:
    sqs.receive_message(QueueUrl=url)


def _outputs(cluster: Cluster) -> dict[str, str]:
    assert cluster.stack
    return {each["OutputKey"]: each["OutputValue"] for each in cluster.stack["Outputs"]}


def test_the_head_node_attaches_its_volume_to_itself_and_to_no_other(
    world: World, mine: Cluster, theirs: Cluster
) -> None:
    ec2 = world.as_role(mine.resources["HeadRole"]["PhysicalResourceId"])("ec2")
    (volume,) = mine.made("AWS::EC2::Volume")
    with refused():
        ec2.attach_volume(VolumeId=volume, InstanceId=theirs.head, Device="/dev/sdf")
    stranger = world.client("ec2").create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    with refused():
        ec2.attach_volume(VolumeId=stranger, InstanceId=mine.head, Device="/dev/sdg")
    ec2.attach_volume(VolumeId=volume, InstanceId=mine.head, Device="/dev/sdf")
    world.client("ec2").detach_volume(VolumeId=volume)


def test_the_clean_up_deletes_in_no_other_bucket(world: World) -> None:
    s3, bucket = world.client("s3"), "somebodys-bucket"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a", Body=b"")
    role = world.as_role(world.physical("CleanupRole"))
    role("s3").list_object_versions(Bucket=world.out("ArtifactsBucket"))
    with refused():
        role("s3").list_object_versions(Bucket=bucket)
    with refused():
        role("s3").delete_object(Bucket=bucket, Key="a")


def test_a_right_taken_from_the_operator_is_told_and_its_return_is_noticed(running: Cluster, world: World) -> None:
    with world.denied("ReconcileRole", "autoscaling:UpdateAutoScalingGroup"):
        running.edit(queues=[queue(size=3)])
        stalled = running.until_condition("Stalled", True, generation=2)
        assert stalled["reason"] in DENIALS
        assert running.group_name() in stalled["message"]
        assert "autoscaling:UpdateAutoScalingGroup" in stalled["message"]
        assert running.condition("Ready")["status"] == "False"
        assert running.sizes() == (2, 2, 2, 2)
        assert running.until_event("CallFailed")["type"] == "Warning"
    running.pass_time()
    running.until_ready(2)
    assert running.sizes() == (3, 3, 3, 3)


def test_an_operator_that_may_not_look_says_so_and_changes_nothing(running: Cluster, world: World) -> None:
    picture = running.picture
    with world.denied("ReconcileRole", "ec2:DescribeInstances"):
        running.edit(queues=[queue(size=3)])
        stalled = running.until_condition("Stalled", True)
        assert stalled["reason"] == "UnauthorizedOperation"
        assert "DescribeInstances" in stalled["message"]
        assert running.picture == picture
    running.pass_time()
    running.until_ready()
    assert running.sizes() == (3, 3, 3, 3)


def test_a_right_taken_from_cloudformations_role_is_told_with_the_resource(cluster: Cluster, world: World) -> None:
    with world.denied("ClusterStackRole", "ec2:RunInstances"):
        cluster.put()
        failed = cluster.until_condition("StackReady", False, "CreateFailed")
        assert "HeadNode (AWS::EC2::Instance)" in failed["message"]
        assert "ec2:RunInstances" in failed["message"]
    cluster.pass_time()
    cluster.until_ready(1)


def test_a_stack_that_may_not_be_made_is_told_and_made_later(cluster: Cluster, world: World) -> None:
    with world.denied("ReconcileRole", "cloudformation:CreateStack"):
        cluster.put()
        stalled = cluster.until_condition("Stalled", True)
        assert cluster.stack_name in stalled["message"]
        assert "cloudformation:CreateStack" in stalled["message"]
        assert cluster.status["phase"] == "Failed"
    cluster.pass_time()
    cluster.until_ready(1)
