"""Stacks on the local AWS: the resource types we add, what a change set says of them, statuses, events, roles."""

import asyncio
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from local.additions.emulator import cloudformation
from local.additions.resources import RECREATION
from local.additions.stacks import _in_progress
from local.aws import ACCOUNT

Resources = dict[str, Any]
TOPIC: Resources = {"Topic": {"Type": "AWS::SNS::Topic"}}


def _resource(kind: str, attributes: Resources | None = None, **properties: Any) -> Resources:
    return {"Type": kind, "Properties": properties} | (attributes or {})


@pytest.fixture
def machine(image, network) -> Resources:
    """A head node with all that hangs on it."""
    return {
        "Group": _resource("AWS::EC2::SecurityGroup", GroupDescription="x", VpcId=network.vpc_id),
        "Inside": _resource(
            "AWS::EC2::SecurityGroupIngress",
            GroupId={"Ref": "Group"},
            SourceSecurityGroupId={"Ref": "Group"},
            IpProtocol="-1",
        ),
        "Near": _resource("AWS::EC2::PlacementGroup", Strategy="cluster"),
        "Head": _resource(
            "AWS::EC2::Instance",
            ImageId=image,
            InstanceType="t3.micro",
            SubnetId=network.subnet_ids[0],
            SecurityGroupIds=[{"Ref": "Group"}],
            PlacementGroupName={"Ref": "Near"},
            PropagateTagsToVolumeOnCreation=True,
            Tags=[{"Key": "muster:node", "Value": "head"}],
            UserData="Zmlyc3Q=",
        ),
        "Volume": _resource(
            "AWS::EC2::Volume",
            {"DeletionPolicy": "Snapshot"},
            Size=20,
            Encrypted=True,
            VolumeType="gp3",
            AvailabilityZone={"Fn::GetAtt": ["Head", "AvailabilityZone"]},
        ),
        "Attached": _resource(
            "AWS::EC2::VolumeAttachment", VolumeId={"Ref": "Volume"}, InstanceId={"Ref": "Head"}, Device="/dev/sdf"
        ),
        "Address": _resource("AWS::EC2::EIP"),
        "Reached": _resource(
            "AWS::EC2::EIPAssociation",
            AllocationId={"Fn::GetAtt": ["Address", "AllocationId"]},
            InstanceId={"Ref": "Head"},
        ),
    }


def _tags(ec2, resource_id: str) -> dict[str, str]:
    found = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [resource_id]}])["Tags"]
    return {tag["Key"]: tag["Value"] for tag in found}


def test_a_machine_is_made_bears_the_stacks_tags_and_goes(stacks, clients, machine, name) -> None:
    ec2 = clients("ec2")
    assert stacks.create(name, machine, Tags=[{"Key": "owner", "Value": name}]) == "CREATE_COMPLETE"
    head, volume = stacks.resource(name, "Head"), stacks.resource(name, "Volume")
    mine = [{"Name": "tag:owner", "Values": [name]}]
    found = ec2.describe_instances(Filters=mine)["Reservations"][0]["Instances"][0]
    assert (found["InstanceId"], found["State"]["Name"]) == (head, "running")
    assert found["Placement"]["GroupName"] == stacks.resource(name, "Near")
    assert _tags(ec2, head) == {
        "muster:node": "head",
        "owner": name,
        "aws:cloudformation:stack-name": name,
        "aws:cloudformation:stack-id": stacks.client.describe_stacks(StackName=name)["Stacks"][0]["StackId"],
        "aws:cloudformation:logical-id": "Head",
    }
    assert _tags(ec2, volume) == {"owner": name}, "system tags do not reach volumes"
    assert len(ec2.describe_volumes(Filters=mine)["Volumes"]) == 2, "the root volume bears the instance's tags"
    attached = ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["Attachments"][0]
    assert attached["InstanceId"] == head
    address = ec2.describe_addresses(Filters=mine)["Addresses"][0]
    assert (address["InstanceId"], address["PublicIp"]) == (head, stacks.resource(name, "Address"))

    assert stacks.delete(name) == "DELETE_COMPLETE"
    left = clients("resourcegroupstaggingapi").get_resources(TagFilters=[{"Key": "owner", "Values": [name]}])
    (snapshot,) = left["ResourceTagMappingList"]
    assert ":snapshot/" in snapshot["ResourceARN"]


def test_what_is_retained_stays(stacks, clients, name) -> None:
    kept = {
        "Volume": _resource("AWS::EC2::Volume", {"DeletionPolicy": "Retain"}, Size=1, AvailabilityZone="us-east-1a")
    }
    stacks.create(name, kept)
    volume = stacks.resource(name, "Volume")
    assert stacks.delete(name) == "DELETE_COMPLETE"
    assert clients("ec2").describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "available"


@pytest.mark.parametrize("kind", sorted(RECREATION))
def test_what_replaces_a_resource_is_what_its_published_schema_says(kind: str) -> None:
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    always, perhaps = (
        {path.removeprefix("/properties/") for path in schema.get(key) or []} - {"Tags"}
        for key in ("createOnlyProperties", "conditionalCreateOnlyProperties")
    )
    inner = {path for path in always | perhaps if "/" in path}  # of a property that does not always replace
    always, perhaps = always - inner, perhaps - inner | {path.partition("/")[0] for path in inner}
    assert (set(RECREATION[kind][0]), set(RECREATION[kind][1])) == (always, perhaps - always)


def test_a_change_set_tells_what_would_be_replaced(stacks, machine, network, name) -> None:
    stacks.create(name, machine)

    def said(logical_id: str, **properties: Any) -> str:
        changed = json.loads(json.dumps(machine))
        changed[logical_id]["Properties"].update(properties)
        return stacks.changes(name, changed)[logical_id]["Replacement"]

    assert said("Head", SubnetId=network.subnet_ids[1]) == "True"
    assert said("Head", ImageId="ami-1") == "True"
    assert said("Head", InstanceType="t3.large") == "Conditional"
    assert said("Head", UserData="c2Vjb25k") == "Conditional"
    assert said("Head", Tags=[]) == "False"
    assert said("Volume", Size=30) == "False"
    assert said("Group", GroupDescription="y") == "True"
    tags_alone = stacks.changes(name, machine, Tags=[{"Key": "hash", "Value": "1"}])
    assert {each["Replacement"] for each in tags_alone.values()} == {"False"}
    stacks.delete(name)


def test_a_head_node_changes_in_place_and_a_volume_grows(stacks, clients, machine, name) -> None:
    ec2 = clients("ec2")
    stacks.create(name, machine)
    head = stacks.resource(name, "Head")
    machine["Head"]["Properties"].update(InstanceType="t3.large", Tags=[{"Key": "new", "Value": "1"}])
    machine["Volume"]["Properties"].update(Size=30)
    assert stacks.update(name, machine) == "UPDATE_COMPLETE"
    found = ec2.describe_instances(InstanceIds=[head])["Reservations"][0]["Instances"][0]
    assert (found["InstanceType"], found["State"]["Name"]) == ("t3.large", "running")
    assert "muster:node" not in _tags(ec2, head)
    assert _tags(ec2, head)["new"] == "1"
    assert ec2.describe_volumes(VolumeIds=[stacks.resource(name, "Volume")])["Volumes"][0]["Size"] == 30
    stacks.delete(name)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Size": 10}, "New size cannot be smaller than existing size"),
        ({"Encrypted": False}, "Volume properties other than type, size, and IOPS cannot be updated"),
    ],
)
def test_a_volume_is_never_replaced(stacks, machine, name, change, reason) -> None:
    stacks.create(name, machine)
    volume = stacks.resource(name, "Volume")
    machine["Volume"]["Properties"].update(change)
    assert stacks.update(name, machine) == "UPDATE_ROLLBACK_COMPLETE"
    assert reason in stacks.reasons(name)
    assert stacks.resource(name, "Volume") == volume
    stacks.delete(name)


def test_a_replaced_head_node_cannot_take_a_volume_that_the_old_one_still_has(stacks, machine, name) -> None:
    stacks.create(name, machine)
    machine["Head"]["Properties"]["PrivateIpAddress"] = "172.31.0.77"
    assert stacks.update(name, machine) == "UPDATE_ROLLBACK_COMPLETE"
    assert "is already attached to an instance" in stacks.reasons(name)
    stacks.delete(name)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (
            _resource("AWS::EC2::SecurityGroup", GroupDescription="x", VpcId="vpc-none"),
            "The vpc ID 'vpc-none' does not",
        ),
        (_resource("AWS::EC2::Volume", AvailabilityZone="us-east-1a", SnapshotId="snap-none"), "'snap-none' does not"),
        (_resource("AWS::EC2::Instance", ImageId="ami-none", InstanceType="t3.micro"), "[ami-none]' does not exist"),
        (_resource("AWS::EFS::MountTarget", FileSystemId="fs-none", SubnetId="s-none", SecurityGroups=[]), "s-none"),
    ],
)
def test_what_cannot_be_made_rolls_the_stack_back(stacks, name, broken, reason) -> None:
    assert stacks.create(name, {"Broken": broken}) == "ROLLBACK_COMPLETE"
    assert reason in stacks.reasons(name)
    with pytest.raises(ClientError, match="AlreadyExists"):
        stacks.create(name, TOPIC)
    stacks.delete(name)


def test_each_change_of_status_is_an_event_with_the_callers_token(aws, stacks, inbox, eventually, name) -> None:
    aws.set(slow_stacks=name, held_stacks=[name])
    stacks.client.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": TOPIC}), ClientRequestToken="one")
    again = stacks.client.create_stack(
        StackName=name, TemplateBody=json.dumps({"Resources": TOPIC}), ClientRequestToken="one"
    )
    assert stacks.status(name) == "CREATE_IN_PROGRESS"
    with pytest.raises(ClientError, match="is in CREATE_IN_PROGRESS state and can not be updated"):
        stacks.changes(name, TOPIC)
    aws.set(held_stacks=[])
    stacks.settled(name)

    def told() -> list[tuple[str, str]]:
        details = [event["detail"] for event in inbox() if event["source"] == "aws.cloudformation"]
        mine = [detail for detail in details if detail["stack-id"] == again["StackId"]]
        return [(detail["status-details"]["status"], detail["client-request-token"]) for detail in mine]

    eventually(lambda: told() == [("CREATE_IN_PROGRESS", "one"), ("CREATE_COMPLETE", "one")])
    stacks.delete(name)


def test_a_stack_that_is_being_made_can_be_deleted(aws, stacks, name) -> None:
    aws.set(held_stacks=[name])
    stacks.client.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": TOPIC}))
    identifier = stacks.client.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    stacks.client.delete_stack(StackName=name)
    aws.set(held_stacks=[])
    assert stacks.settled(identifier) == "DELETE_COMPLETE"
    assert "CREATE_COMPLETE" not in str(stacks.client.describe_stack_events(StackName=identifier)["StackEvents"])


def test_a_stack_is_deleted_once(monkeypatch) -> None:
    """However often that is asked for: what a custom resource takes its time for is not begun again beside it."""
    begun = []
    monkeypatch.setattr(cloudformation, "_stacks", {"demo": {"StackStatus": "CREATE_COMPLETE"}})

    async def delete(*_: object) -> None:
        begun.append(cloudformation._stacks["demo"]["StackStatus"])
        await asyncio.sleep(0)
        cloudformation._stacks["demo"]["StackStatus"] = "DELETE_COMPLETE"

    async def ask_thrice() -> None:
        wrapped = _in_progress(delete, "DELETE_IN_PROGRESS")
        await asyncio.gather(*(wrapped("demo", "id") for _ in range(2)))
        await wrapped("demo", "id")

    asyncio.run(ask_thrice())
    assert begun == ["DELETE_IN_PROGRESS"]
    assert cloudformation._stacks["demo"]["StackStatus"] == "DELETE_COMPLETE"


def test_a_bucket_with_an_object_stops_the_deletion(stacks, clients, name) -> None:
    stacks.create(name, {"Bucket": {"Type": "AWS::S3::Bucket"}})
    bucket = stacks.resource(name, "Bucket")
    clients("s3").put_object(Bucket=bucket, Key="k", Body=b"x")
    assert stacks.delete(name) == "DELETE_FAILED"
    clients("s3").delete_object(Bucket=bucket, Key="k")
    assert stacks.delete(name) == "DELETE_COMPLETE"


def test_every_status_can_be_brought_about(aws, stacks, name) -> None:
    two = TOPIC | {"Queue": _resource("AWS::SQS::Queue", DelaySeconds=1) | {"DependsOn": "Topic"}}
    aws.set(failures=[{"Stack": name, "LogicalResourceId": "Queue", "Operation": "create", "Reason": "no queue"}])
    assert stacks.create(name, two, DisableRollback=True) == "CREATE_FAILED"
    assert stacks.reasons(name).startswith("Resource Queue failed: no queue")
    stacks.client.rollback_stack(StackName=name)
    assert stacks.settled(name) == "ROLLBACK_COMPLETE"
    stacks.delete(name)

    aws.set(failures=[])
    stacks.create(name, two)
    aws.set(failures=[{"Stack": name, "Operation": "update"}])
    two["Topic"] = _resource("AWS::SNS::Topic", DisplayName="new")
    two["Queue"]["Properties"] = {"DelaySeconds": 2}
    assert stacks.update(name, two) == "UPDATE_ROLLBACK_COMPLETE"

    aws.set(failures=[{"Stack": name, "LogicalResourceId": "Queue", "Operation": "update"},
                      {"Stack": name, "LogicalResourceId": "Topic", "Operation": "delete"}])  # fmt: skip
    gone = {"Queue": two["Queue"] | {"DependsOn": []}, "New": {"Type": "AWS::SNS::Topic"}}
    assert stacks.update(name, gone) == "UPDATE_ROLLBACK_COMPLETE"
    assert stacks.delete(name) == "DELETE_FAILED"
    left = stacks.client.list_stack_resources(StackName=name)["StackResourceSummaries"]
    assert [each["ResourceStatusReason"] for each in left] == ["delete of Topic failed, as the test wants"]
    aws.set(failures=[])
    assert stacks.delete(name) == "DELETE_COMPLETE"


def test_a_rollback_that_fails_can_be_continued(aws, stacks, name) -> None:
    two = TOPIC | {"Queue": _resource("AWS::SQS::Queue", DelaySeconds=1) | {"DependsOn": "Topic"}}
    stacks.create(name, two)
    changed = {
        "Topic": _resource("AWS::SNS::Topic", DisplayName="new"),
        "Queue": _resource("AWS::SQS::Queue", DelaySeconds=2) | {"DependsOn": "Topic"},
    }
    aws.set(failures=[{"Stack": name, "LogicalResourceId": "Queue", "Operation": "update"},
                      {"Stack": name, "LogicalResourceId": "Topic", "Operation": "rollback"}])  # fmt: skip
    assert stacks.update(name, changed) == "UPDATE_ROLLBACK_FAILED"
    aws.set(failures=[])
    stacks.client.continue_update_rollback(StackName=name)
    assert stacks.settled(name) == "UPDATE_ROLLBACK_COMPLETE"
    stacks.delete(name)


# --- rights


@pytest.fixture
def role(clients, name):
    """A CloudFormation role whose policy a test gives."""
    iam = clients("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "cloudformation.amazonaws.com"}, "Action": "sts:AssumeRole"}
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]["Arn"]

    def give(*statements: Resources) -> str:
        allowed = [{"Effect": "Allow"} | statement for statement in statements]
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps({"Statement": allowed}))
        return arn

    yield give
    iam.delete_role_policy(RoleName=name, PolicyName="p")
    iam.delete_role(RoleName=name)


def test_a_stack_can_do_what_its_role_may_and_no_more(stacks, role, network, name) -> None:
    group = {"Group": _resource("AWS::EC2::SecurityGroup", GroupDescription="x", VpcId=network.vpc_id)}
    tags = [{"Key": "owner", "Value": name}]
    arn = role({"Action": "ec2:CreateSecurityGroup", "Resource": "*"})
    assert stacks.create(name, group, RoleARN=arn, Tags=tags) == "ROLLBACK_COMPLETE"
    assert "is not authorized to perform: ec2:CreateTags" in stacks.reasons(name)
    stacks.delete(name)

    own = {"StringEquals": {"aws:ResourceTag/owner": name}}
    role(
        {"Action": "ec2:CreateSecurityGroup", "Resource": "*"},
        {"Action": "ec2:CreateTags", "Resource": "*", "Condition": {"StringEquals": {"aws:RequestTag/owner": name}}},
        {"Action": "ec2:DeleteSecurityGroup", "Resource": "*", "Condition": own},
    )
    assert stacks.create(name, group, RoleARN=arn) == "ROLLBACK_COMPLETE", "without the tag it may not"
    stacks.delete(name)
    assert stacks.create(name, group, RoleARN=arn, Tags=tags) == "CREATE_COMPLETE"
    assert stacks.client.describe_stacks(StackName=name)["Stacks"][0]["RoleARN"] == arn
    assert stacks.delete(name) == "DELETE_COMPLETE"


def test_a_role_is_passed_only_by_who_may_pass_it(aws, clients, role, name) -> None:
    arn = role({"Action": "sns:*", "Resource": "*"})
    iam = clients("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    user = aws.client(
        "cloudformation", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    )

    def create(*rights: Resources) -> None:
        allowed = [{"Effect": "Allow", "Action": "cloudformation:*", "Resource": "*"}, *rights]
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Statement": allowed}))
        user.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": TOPIC}), RoleARN=arn)

    with pytest.raises(ClientError, match=f"iam:PassRole on resource: arn:aws:iam::{ACCOUNT}:role/{name}"):
        create()
    service = {"StringEquals": {"iam:PassedToService": "cloudformation.amazonaws.com"}}
    create({"Effect": "Allow", "Action": "iam:PassRole", "Resource": arn, "Condition": service})
