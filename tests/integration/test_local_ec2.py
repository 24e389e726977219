"""EC2 on the local AWS: launches are checked as AWS checks them, and what is asked is answered."""

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local import fixtures


@pytest.fixture
def ec2(aws, clients):
    return clients("ec2")


def _run(ec2, image: str, network, **options):
    request = {"ImageId": image, "InstanceType": "t3.micro", "SubnetId": network.subnet_ids[0]} | options
    return ec2.run_instances(MinCount=1, MaxCount=1, **request)["Instances"][0]


def test_an_instance_is_where_and_what_it_was_asked_to_be(ec2, image, network, name) -> None:
    group = ec2.create_placement_group(GroupName=name, Strategy="cluster")["PlacementGroup"]["GroupName"]
    made = _run(
        ec2,
        image,
        network,
        SubnetId=network.subnet_ids[1],
        Placement={"GroupName": group},
        KeyName=network.key_name,
        UserData="#!/bin/sh",
        BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 40, "Encrypted": True, "VolumeType": "gp3"}},
            {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 5, "DeleteOnTermination": False}},
        ],
        TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "name", "Value": name}]}],
    )
    subnet = ec2.describe_subnets(SubnetIds=[network.subnet_ids[1]])["Subnets"][0]
    assert made["Placement"]["AvailabilityZone"] == subnet["AvailabilityZone"]
    assert made["Placement"]["GroupName"] == group
    volumes = ec2.describe_volumes(Filters=[{"Name": "tag:name", "Values": [name]}])["Volumes"]
    assert sorted((each["Size"], each["Encrypted"]) for each in volumes) == [(5, False), (40, True)]
    data = ec2.describe_instance_attribute(InstanceId=made["InstanceId"], Attribute="userData")
    assert data["UserData"]["Value"] == "IyEvYmluL3No"
    with pytest.raises(ClientError, match=r"InvalidPlacementGroup\.InUse"):
        ec2.delete_placement_group(GroupName=group)
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    left = ec2.describe_volumes(Filters=[{"Name": "tag:name", "Values": [name]}])["Volumes"]
    assert [(each["Size"], each["State"]) for each in left] == [(5, "available")]
    ec2.delete_placement_group(GroupName=group)


@pytest.mark.parametrize(("kind", "architecture"), [("t3.micro", "x86_64"), ("m7g.large", "arm64")])
def test_an_image_starts_on_its_architecture(aws, ec2, network, kind, architecture) -> None:
    image = fixtures.image(aws, "ubuntu2404", architecture)
    assert _run(ec2, image, network, InstanceType=kind)["Architecture"] == architecture


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"SubnetId": "subnet-none"}, "InvalidSubnetID.NotFound"),
        ({"SecurityGroupIds": ["sg-none"]}, "InvalidGroup.NotFound"),
        ({"KeyName": "none"}, "InvalidKeyPair.NotFound"),
        ({"Placement": {"GroupName": "none"}}, "InvalidPlacementGroup.Unknown"),
        ({"ImageId": "ami-none"}, "InvalidAMIID.NotFound"),
        ({"InstanceType": "t3.none"}, "InvalidParameterValue"),
        ({"InstanceType": "m7g.large"}, "InvalidParameterValue"),
        ({"IamInstanceProfile": {"Name": "none"}}, "InvalidParameterValue"),
        ({"UserData": "x" * 16385}, "InvalidParameterValue"),
        ({"LaunchTemplate": {"LaunchTemplateName": "none"}}, "InvalidLaunchTemplateId.NotFound"),
    ],
)
def test_a_launch_that_aws_refuses_is_refused(ec2, image, network, wrong, code) -> None:
    with pytest.raises(ClientError) as caught:
        _run(ec2, image, network, **wrong)
    assert caught.value.response["Error"]["Code"] == code


def test_capacity_can_be_taken_away(aws, image, network) -> None:
    ec2 = aws.client("ec2", config=Config(retries={"total_max_attempts": 1}))
    aws.set(no_capacity=[{"InstanceType": "t3.micro", "SubnetId": network.subnet_ids[0]}])
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        _run(ec2, image, network)
    assert _run(ec2, image, network, SubnetId=network.subnet_ids[1])


def test_instances_are_found_by_filters_and_in_pages(ec2, image, network, name) -> None:
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "name", "Value": name}]}]
    ids = {_run(ec2, image, network, TagSpecifications=tags)["InstanceId"] for _ in range(3)}
    stopped = min(ids)
    ec2.stop_instances(InstanceIds=[stopped])
    mine = {"Name": "tag:name", "Values": [name]}

    def found(*filters: dict, **paging) -> list[list[str]]:
        pages = ec2.get_paginator("describe_instances").paginate(Filters=[mine, *filters], **paging)
        return [[i["InstanceId"] for r in page["Reservations"] for i in r["Instances"]] for page in pages]

    pages = found(PaginationConfig={"PageSize": 2})
    assert [len(page) for page in pages] == [2, 1]
    assert {each for page in pages for each in page} == ids
    assert found({"Name": "instance-state-name", "Values": ["stopped"]}) == [[stopped]]
    assert found({"Name": "subnet-id", "Values": [network.subnet_ids[1]]}) == [[]]
    with pytest.raises(ClientError, match="The filter 'no-such' is invalid"):
        found({"Name": "no-such", "Values": ["x"]})


def test_state_changes_are_told(ec2, image, network, inbox, eventually) -> None:
    made = _run(ec2, image, network)["InstanceId"]
    ec2.terminate_instances(InstanceIds=[made])

    def states() -> list[str]:
        details = [event["detail"] for event in inbox() if event["source"] == "aws.ec2"]
        return [detail["state"] for detail in details if detail["instance-id"] == made]

    eventually(lambda: states() == ["pending", "running", "shutting-down", "terminated"])


@pytest.mark.parametrize(
    ("kind", "architecture", "efa", "disks"),
    [
        ("t3.micro", "x86_64", False, False),
        ("m7g.large", "arm64", False, False),
        ("c7i.48xlarge", "x86_64", True, False),
        ("hpc7a.48xlarge", "x86_64", True, False),
        ("p5.48xlarge", "x86_64", True, True),
        ("g5.8xlarge", "x86_64", True, True),
    ],
)
def test_instance_types_are_told_apart(ec2, kind, architecture, efa, disks) -> None:
    found = ec2.describe_instance_types(InstanceTypes=[kind])["InstanceTypes"][0]
    assert found["ProcessorInfo"]["SupportedArchitectures"] == [architecture]
    assert found["NetworkInfo"]["EfaSupported"] is efa
    assert found["InstanceStorageSupported"] is disks


def test_an_instance_type_that_does_not_exist_is_an_error(ec2) -> None:
    with pytest.raises(ClientError, match=r"do not exist: \[x9.large\]"):
        ec2.describe_instance_types(InstanceTypes=["x9.large"])


def test_instance_types_are_filtered_by_name(ec2) -> None:
    """As AWS does: what does not exist is missing in the answer, and is no error."""

    def found(**asked: list[str]) -> list[str]:
        filters = [{"Name": name, "Values": values} for name, values in asked.items()]
        return [each["InstanceType"] for each in ec2.describe_instance_types(Filters=filters)["InstanceTypes"]]

    assert found(**{"instance-type": ["c6i.large", "x9.large"]}) == ["c6i.large"]
    assert {"c6i.large", "c6i.metal"} <= {*found(**{"instance-type": ["c6i.*"]})}
    with pytest.raises(ClientError, match="'bare-metal' is invalid"):
        found(**{"bare-metal": ["true"]})


def test_a_security_group_in_use_cannot_be_deleted(ec2, image, network, name) -> None:
    group = ec2.create_security_group(GroupName=name, Description="x", VpcId=network.vpc_id)["GroupId"]
    made = _run(ec2, image, network, SecurityGroupIds=[group])["InstanceId"]
    with pytest.raises(ClientError, match="DependencyViolation"):
        ec2.delete_security_group(GroupId=group)
    ec2.terminate_instances(InstanceIds=[made])
    ec2.delete_security_group(GroupId=group)


def test_public_images_are_named_by_parameters(aws, clients, ec2) -> None:
    for system in fixtures.OS_PARAMETERS:
        for architecture in ("x86_64", "arm64"):
            found = ec2.describe_images(ImageIds=[fixtures.image(aws, system, architecture)])["Images"][0]
            assert found["Architecture"] == architecture
