from typing import Any

import pytest

from tests.unit.render.support import NETWORK, resources, subnet

HEAD = {"instanceType": "t3.medium"}


def node(**spec: Any) -> dict[str, Any]:
    return resources(**spec)["HeadNode"]["Properties"]


def test_a_change_of_groups_or_addresses_changes_no_property_that_replaces_the_node():
    """What replaces an instance, by the schema of AWS::EC2::Instance."""
    fatal = {"ImageId", "KeyName", "LaunchTemplate", "NetworkInterfaces", "SubnetId", "AvailabilityZone"}
    before = node()
    network = {**NETWORK, "additionalSecurityGroupIds": ["sg-0123456789abcdef0"], "publicIps": True}
    after = node(network=network, headNode={**HEAD, "instanceType": "m5.large"}, proxy="http://proxy:80")
    assert before != after
    assert {name: before.get(name) for name in fatal} == {name: after.get(name) for name in fatal}
    assert "NetworkInterfaces" not in before


def test_it_is_as_the_spec_says():
    properties = node(headNode={**HEAD, "subnetId": subnet(2), "keyName": "ops"})
    assert properties["InstanceType"] == "t3.medium"
    assert properties["SubnetId"] == subnet(2)
    assert properties["KeyName"] == "ops"
    assert properties["IamInstanceProfile"] == {"Ref": "HeadProfile"}
    assert properties["PropagateTagsToVolumeOnCreation"] is True
    assert {tag["Key"]: tag["Value"] for tag in properties["Tags"]} == {
        "Name": "demo head",
        "muster:cluster": "demo",
        "muster:node": "head",
        "muster:owner": "muster",
    }


def test_without_a_subnet_of_its_own_it_is_in_the_first():
    assert node()["SubnetId"] == subnet(1)


@pytest.mark.parametrize("asked", [True, False])
def test_a_fixed_address_is_made_when_it_is_asked_for(asked: bool):
    made = resources(headNode={**HEAD, "elasticIp": asked})
    assert ("HeadElasticIp" in made) is asked
    if asked:
        assert made["HeadElasticIpAssociation"]["Properties"] == {
            "AllocationId": {"Fn::GetAtt": ["HeadElasticIp", "AllocationId"]},
            "InstanceId": {"Ref": "HeadNode"},
        }


def test_the_root_volume_is_as_asked():
    volume = {"size": 100, "type": "io2", "iops": 9000, "kmsKeyId": "alias/root"}
    root = node(headNode={**HEAD, "rootVolume": volume})["BlockDeviceMappings"][0]["Ebs"]
    assert (root["VolumeSize"], root["VolumeType"], root["Iops"]) == (100, "io2", 9000)
    assert root["KmsKeyId"] == "alias/root"


def test_a_root_volumes_throughput_takes_a_launch_template():
    """AWS::EC2::Instance has no property for it."""
    made = resources(headNode={**HEAD, "rootVolume": {"throughput": 250}})
    assert "BlockDeviceMappings" not in made["HeadNode"]["Properties"]
    assert made["HeadNode"]["Properties"]["LaunchTemplate"] == {
        "LaunchTemplateId": {"Ref": "HeadDisks"},
        "Version": {"Fn::GetAtt": ["HeadDisks", "LatestVersionNumber"]},
    }
    root = made["HeadDisks"]["Properties"]["LaunchTemplateData"]["BlockDeviceMappings"][0]["Ebs"]
    assert (root["Throughput"], root["Encrypted"]) == (250, True)
