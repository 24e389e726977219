from typing import Any

import pytest

from tests.unit.render.support import EBS, EFS, LUSTRE, NETWORK, QUEUE, RAID, of_type, resources, storage, subnet


def volume(entry: dict[str, Any]) -> dict[str, Any]:
    (only,) = of_type("AWS::EC2::Volume", resources(sharedStorage=[entry])).values()
    return only


def test_a_volume_is_in_the_head_nodes_zone_by_name():
    """A reference to the head node would replace the volume with it."""
    head = {"instanceType": "t3.medium", "subnetId": subnet(2)}
    (made,) = of_type("AWS::EC2::Volume", resources(sharedStorage=EBS[:1], headNode=head)).values()
    assert made["Properties"]["AvailabilityZone"] == "us-east-1b"


@pytest.mark.parametrize(
    ("ebs", "expected"),
    [
        ({}, {"Size": 20, "VolumeType": "gp3"}),
        ({"type": "sc1"}, {"Size": 500, "VolumeType": "sc1"}),
        ({"size": 64, "iops": 4000, "throughput": 500}, {"Size": 64, "Iops": 4000, "Throughput": 500}),
        ({"kmsKeyId": "alias/data"}, {"KmsKeyId": "alias/data"}),
        ({"snapshotId": "snap-0123456789abcdef0", "size": 30}, {"SnapshotId": "snap-0123456789abcdef0", "Size": 30}),
    ],
)
def test_every_setting_of_a_volume_is_passed(ebs: dict[str, Any], expected: dict[str, Any]):
    properties = volume(storage("data", ebs=ebs))["Properties"]
    assert properties.items() >= expected.items()


def test_a_snapshot_tells_the_size():
    assert "Size" not in volume(EBS[3])["Properties"]


@pytest.mark.parametrize("policy", ["Retain", "Snapshot", "Delete"])
def test_the_users_policy_holds_for_deletion_and_replacement(policy: str):
    made = volume(storage("data", ebs={}, deletionPolicy=policy))
    kept = {"Retain": "RetainExceptOnCreate"}.get(policy, policy)
    assert (made["DeletionPolicy"], made["UpdateReplacePolicy"]) == (kept, policy)


@pytest.mark.parametrize("entry", [EBS[4], EFS[2], LUSTRE[4]], ids=["ebs", "efs", "lustre"])
def test_what_exists_has_no_resource(entry: dict[str, Any]):
    assert set(resources(sharedStorage=[entry])) == set(resources())


def test_an_array_has_its_volumes():
    made = of_type("AWS::EC2::Volume", resources(sharedStorage=RAID))
    by_disk = {logical.partition("Of")[0]: volume for logical, volume in made.items()}
    assert sorted(by_disk) == [
        "VolumeMirrorDisk0",
        "VolumeMirrorDisk1",
        "VolumeStripeDisk0",
        "VolumeStripeDisk1",
        "VolumeStripeDisk2",
    ]
    assert all(by_disk[f"VolumeStripeDisk{number}"]["Properties"]["Throughput"] == 500 for number in range(3))


@pytest.mark.parametrize(
    "change",
    [{"snapshotId": "snap-0123456789abcdef0"}, {"encrypted": False}, {"kmsKeyId": "alias/other"}],
    ids=["snapshot", "encryption", "key"],
)
def test_what_cannot_be_changed_of_a_volume_makes_another(change: dict[str, Any]):
    (was,) = of_type("AWS::EC2::Volume", resources(sharedStorage=[storage("data", 1, ebs={"size": 50})]))
    (now,) = of_type("AWS::EC2::Volume", resources(sharedStorage=[storage("data", 1, ebs={"size": 50, **change})]))
    (grown,) = of_type("AWS::EC2::Volume", resources(sharedStorage=[storage("data", 1, ebs={"size": 60})]))
    assert was != now
    assert was == grown


def test_a_volume_says_what_is_to_become_of_it():
    (made,) = of_type("AWS::EC2::Volume", resources(sharedStorage=EBS[:1])).values()
    tags = {tag["Key"]: tag["Value"] for tag in made["Properties"]["Tags"]}
    assert tags["muster:deletion-policy"] == made["UpdateReplacePolicy"]


def targets(**spec: Any) -> list[str]:
    made = of_type("AWS::EFS::MountTarget", resources(sharedStorage=EFS[:1], **spec))
    return sorted(target["Properties"]["SubnetId"] for target in made.values())


def test_efs_has_one_mount_target_a_zone():
    assert targets() == [subnet(1), subnet(2)]


def test_of_the_subnets_in_a_zone_the_head_nodes_has_the_mount_target():
    head = {"instanceType": "t3.medium", "subnetId": subnet(3)}
    assert targets(headNode=head) == [subnet(2), subnet(3)]


def test_mount_targets_do_not_depend_on_the_order_of_the_subnets():
    queues = [{**QUEUE, "subnetIds": [subnet(3), subnet(1), subnet(2)]}]
    head = {"instanceType": "t3.medium", "subnetId": subnet(2)}
    assert targets(headNode=head, queues=queues) == targets(headNode=head) == [subnet(1), subnet(2)]


def test_mount_targets_are_where_nodes_are():
    assert targets(queues=[{**QUEUE, "subnetIds": [subnet(3)]}]) == [subnet(1)]


def test_nodes_come_after_the_mount_targets_and_go_before_them():
    made = resources(sharedStorage=EFS[:1])
    wanted = set(of_type("AWS::EFS::MountTarget", made))
    assert wanted <= set(made["HeadNode"]["DependsOn"])
    assert wanted <= set(made["GroupCompute"]["DependsOn"])


def test_every_setting_of_efs_is_passed():
    properties = resources(sharedStorage=EFS[1:2])["FileSystemQuick"]["Properties"]
    assert properties["ThroughputMode"] == "provisioned"
    assert properties["ProvisionedThroughputInMibps"] == 64.0
    assert properties["PerformanceMode"] == "generalPurpose"
    assert properties["Encrypted"] is False


def test_every_setting_of_lustre_is_passed():
    made = resources(sharedStorage=LUSTRE)
    lasting = made["FileSystemLasting"]["Properties"]
    assert (lasting["StorageCapacity"], lasting["StorageType"]) == (6000, "HDD")
    assert lasting["LustreConfiguration"] == {
        "AutomaticBackupRetentionDays": 7,
        "CopyTagsToBackups": True,
        "DailyAutomaticBackupStartTime": "03:00",
        "DataCompressionType": "LZ4",
        "DeploymentType": "PERSISTENT_1",
        "DriveCacheType": "READ",
        "PerUnitStorageThroughput": 12,
        "WeeklyMaintenanceStartTime": "7:05:00",
    }
    assert made["FileSystemLinked"]["Properties"]["LustreConfiguration"] == {
        "AutoImportPolicy": "NEW_CHANGED",
        "DeploymentType": "SCRATCH_2",
        "ExportPath": "s3://data/out",
        "ImportPath": "s3://data/in",
        "ImportedFileChunkSize": 1024,
    }


def test_a_backup_brings_its_own_capacity_type_and_version():
    properties = resources(sharedStorage=LUSTRE[3:4])["FileSystemBackup"]["Properties"]
    assert properties["BackupId"] == "backup-0123456789abcdef0"
    assert not {"StorageCapacity", "FileSystemTypeVersion", "LustreConfiguration"} & set(properties)


def test_a_change_of_the_nodes_groups_leaves_a_lustre_file_system_alone():
    """Its groups are fixed for life: FSx replaces a file system that is given others."""
    network = {**NETWORK, "securityGroupIds": ["sg-0123456789abcdef0"]}
    one, other = (
        resources(sharedStorage=LUSTRE[:1], network=chosen)["FileSystemScratch2"] for chosen in (NETWORK, network)
    )
    assert one == other


def test_a_retained_lustre_file_system_keeps_its_group():
    made = resources(sharedStorage=LUSTRE[1:2])
    assert made["SecurityGroupLasting"]["UpdateReplacePolicy"] == "Retain"
    assert "DeletionPolicy" not in resources(sharedStorage=EFS[:1])["SecurityGroupEfs"]


def test_the_nodes_uploads_are_cleaned_up_when_no_node_is_left():
    made = resources()
    assert made["NodesCleanup"]["Properties"] == {
        "ServiceToken": "arn:aws:lambda:us-east-1:123456789012:function:cleanup",
        "Bucket": "artifacts",
        "Prefix": "clusters/demo/nodes/",
    }
    for node in ("HeadNode", "GroupCompute"):
        assert {"NodesCleanup", "LogGroup"} <= set(made[node]["DependsOn"])


def test_the_log_group_goes_with_the_cluster_and_keeps_as_long_as_asked():
    made = resources(logs={"retentionDays": 90})["LogGroup"]
    assert made["Properties"]["LogGroupName"] == "/muster/demo"
    assert made["Properties"]["RetentionInDays"] == 90
    assert made["DeletionPolicy"] == "Delete"
