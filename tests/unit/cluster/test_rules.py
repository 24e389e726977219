"""Every rule between fields: what it refuses, what it lets pass, and that nothing else refuses it."""

from typing import Any, NamedTuple

import pytest

from reconciler.cluster import Cluster, Invalid, parse
from reconciler.cluster.rules import RULES, Rule, batch, compute, filesystems, general, network, slurm, unsupported
from reconciler.cluster.rules import storage as storages
from tests.unit.cluster.documents import (
    AMI,
    FILE_SYSTEM,
    GROUP,
    OTHER_SUBNET,
    SUBNET,
    VOLUME,
    document,
    queue,
    storage,
)


class Case(NamedTuple):
    rule: Rule
    spec: dict[str, Any]
    field: str
    words: str


SLURM = {"scheduler": "slurm", "image": {"os": "ubuntu2404"}}
TWO_SUBNETS = {"network": {"subnetIds": [SUBNET, OTHER_SUBNET]}}
LUSTRE = "spec.sharedStorage[0].fsxLustre"
EBS = "spec.sharedStorage[0].ebs"


def lustre(**fields: Any) -> dict[str, Any]:
    return storage({"fsxLustre": {"storageCapacity": 1200, **fields}})


def named(*names: str) -> dict[str, Any]:
    return {"queues": [{"name": name, "instanceTypes": ["c7i.large"]} for name in names]}


def scripts(*args: str) -> dict[str, Any]:
    return {"bootstrap": {"preInstall": {"url": "s3://scripts/a", "args": list(args)}}}


REFUSED = [
    Case(
        unsupported.not_supported_yet,
        {"scratch": {"encrypted": True}},
        "spec.scratch.encrypted",
        "not supported yet",
    ),
    Case(
        slurm.slurm_comes_with_its_system,
        {"scheduler": "slurm"},
        "spec.image",
        "(missing): scheduler slurm needs image.os ubuntu2404: Slurm's packages are from its archive; "
        "set image.os: ubuntu2404, or scheduler: none",
    ),
    Case(
        slurm.slurm_comes_with_its_system,
        {"scheduler": "slurm", "image": {"ami": AMI}},
        "spec.image.os",
        "(missing): scheduler slurm needs image.os ubuntu2404",
    ),
    Case(
        slurm.slurm_comes_with_its_system,
        {"scheduler": "slurm", "image": {"os": "ubuntu2204", "ami": AMI}},
        "spec.image.os",
        '"ubuntu2204": scheduler slurm needs image.os ubuntu2404',
    ),
    Case(slurm.queues_are_partitions, {**SLURM, **named("a", "default")}, "spec.queues[1].name", "Slurm reserves it"),
    Case(slurm.only_with_slurm, {"idleTime": 10}, "spec.idleTime", "10: only with scheduler slurm; remove idleTime"),
    Case(slurm.only_with_slurm, {"fleet": "running"}, "spec.fleet", '"running": only with scheduler slurm'),
    Case(slurm.only_with_slurm, {"scheduler": "none", "fleet": "stopped"}, "spec.fleet", "only with scheduler slurm"),
    Case(
        slurm.only_with_slurm,
        queue(allOrNothing=False),
        "spec.queues[0].allOrNothing",
        "false: only with scheduler slurm; remove allOrNothing",
    ),
    Case(compute.queue_names_differ, named("a", "b", "a"), "spec.queues[2].name", "spec.queues[0] has this name"),
    Case(compute.size_or_bounds, queue(size=2, minSize=0), "spec.queues[0].minSize", "size excludes it"),
    Case(compute.size_or_bounds, queue(size=2, maxSize=2), "spec.queues[0].maxSize", "size excludes it"),
    Case(compute.least_is_below_most, queue(minSize=3, maxSize=2), "spec.queues[0].minSize", "above maxSize, 2"),
    Case(compute.least_is_below_most, queue(minSize=11), "spec.queues[0].minSize", "maxSize, 10 (the default)"),
    Case(
        compute.spot_fields_need_spot,
        queue(spotMaxPrice=0.1),
        "spec.queues[0].spotMaxPrice",
        "only for capacityType spot",
    ),
    Case(
        compute.spot_fields_need_spot,
        queue(spotAllocationStrategy="lowest-price"),
        "spec.queues[0].spotAllocationStrategy",
        "only for capacityType spot",
    ),
    Case(
        compute.queue_has_one_architecture,
        queue(instanceTypes=["c7i.large", "c7g.large"]),
        "spec.queues[0].instanceTypes",
        "all must have one architecture",
    ),
    Case(
        compute.shared_image_has_one_architecture,
        {"image": {"ami": AMI}, **queue(instanceTypes=["c7g.large"])},
        "spec.image.ami",
        "one image has one architecture",
    ),
    Case(
        compute.placement_group_lies_in_one_subnet,
        {**TWO_SUBNETS, **queue(placementGroup="dynamic")},
        "spec.queues[0].subnetIds",
        "cluster placement group lies in one",
    ),
    Case(
        compute.placement_group_lies_in_one_subnet,
        queue(placementGroup="mine", subnetIds=[SUBNET, OTHER_SUBNET]),
        "spec.queues[0].subnetIds",
        "exactly one subnet",
    ),
    Case(
        compute.placement_group_takes_no_shared_cpu,
        queue(placementGroup="dynamic", instanceTypes=["c7i.large", "t3.large"]),
        "spec.queues[0].instanceTypes[1]",
        "burstable and flex types",
    ),
    Case(
        compute.placement_group_takes_no_shared_cpu,
        queue(placementGroup="dynamic", instanceTypes=["c7i-flex.large"]),
        "spec.queues[0].instanceTypes[0]",
        "burstable and flex types",
    ),
    Case(
        compute.efa_lies_in_one_subnet,
        {**TWO_SUBNETS, **queue(efa=True, instanceTypes=["c7i.48xlarge"])},
        "spec.queues[0].subnetIds",
        "EFA traffic",
    ),
    Case(
        compute.hyperthreading_is_x86,
        queue(disableHyperthreading=True, instanceTypes=["c7g.large"]),
        "spec.queues[0].disableHyperthreading",
        "x86_64",
    ),
    Case(compute.no_mac, {"headNode": {"instanceType": "mac2.metal"}}, "spec.headNode.instanceType", "no Linux"),
    Case(compute.no_mac, queue(instanceTypes=["mac1.metal"]), "spec.queues[0].instanceTypes[0]", "no Linux"),
    Case(
        compute.root_volumes_fit_their_type,
        {"headNode": {"rootVolume": {"type": "gp2", "size": 16385}}},
        "spec.headNode.rootVolume.size",
        "gp2 volumes have 1 to 16384 GiB",
    ),
    Case(
        compute.root_volumes_fit_their_type,
        queue(rootVolume={"type": "gp2", "iops": 3000}),
        "spec.queues[0].rootVolume.iops",
        "take no iops",
    ),
    Case(
        network.given_groups_exclude_ssh_from,
        {"network": {"securityGroupIds": [GROUP], "sshFrom": ["10.0.0.0/8"]}},
        "spec.network.sshFrom",
        "securityGroupIds excludes it",
    ),
    Case(
        network.security_groups_fit_an_interface,
        {
            "network": {
                "securityGroupIds": ["sg-00000001", "sg-00000002", "sg-00000003"],
                "additionalSecurityGroupIds": ["sg-00000004", "sg-00000005", "sg-00000006"],
            }
        },
        "spec.network.additionalSecurityGroupIds",
        "5 security groups in all",
    ),
    Case(
        network.ranges_start_at_their_network,
        {"network": {"sshFrom": ["10.0.0.0/8", "10.1.2.3/12"]}},
        "spec.network.sshFrom[1]",
        "write 10.0.0.0/12",
    ),
    Case(storages.exactly_one_kind, storage({}), "spec.sharedStorage[0]", "exactly one of"),
    Case(storages.exactly_one_kind, storage({"ebs": {}, "efs": {}}), "spec.sharedStorage[0]", "ebs and efs"),
    Case(
        storages.storage_names_differ,
        storage({"name": "a", "ebs": {}}, {"name": "a", "ebs": {}}),
        "spec.sharedStorage[1].name",
        "has this name",
    ),
    Case(
        storages.mount_dirs_are_apart,
        storage({"ebs": {}, "mountDir": "/a"}, {"ebs": {}, "mountDir": "/a"}),
        "spec.sharedStorage[1].mountDir",
        "the same as spec.sharedStorage[0].mountDir",
    ),
    Case(
        storages.mount_dirs_are_apart,
        storage({"ebs": {}, "mountDir": "/a"}, {"ebs": {}, "mountDir": "/a/b"}),
        "spec.sharedStorage[1].mountDir",
        "below",
    ),
    Case(
        storages.mount_dirs_are_apart,
        storage({"ebs": {}, "mountDir": "/a/b"}, {"ebs": {}, "mountDir": "/a"}),
        "spec.sharedStorage[1].mountDir",
        "above",
    ),
    Case(
        storages.mount_dirs_are_apart,
        storage({"ebs": {}, "mountDir": "/scratch/x"}),
        "spec.sharedStorage[0].mountDir",
        "below spec.scratch.mountDir",
    ),
    Case(
        storages.mount_dirs_leave_the_system_alone,
        storage({"ebs": {}, "mountDir": "/usr/local"}),
        "spec.sharedStorage[0].mountDir",
        "the system needs",
    ),
    Case(
        storages.mount_dirs_leave_the_system_alone,
        storage({"ebs": {}, "mountDir": "/home"}),
        "spec.sharedStorage[0].mountDir",
        "/home/NAME",
    ),
    Case(
        storages.mount_dirs_leave_the_system_alone,
        {"scratch": {"mountDir": "/tmp"}},
        "spec.scratch.mountDir",
        "the system needs",
    ),
    Case(
        storages.existing_storage_is_given_alone,
        storage({"ebs": {"volumeId": VOLUME, "size": 20}}),
        f"{EBS}.size",
        "keeps its settings",
    ),
    Case(
        storages.existing_storage_is_given_alone,
        storage({"ebs": {"volumeId": VOLUME, "encrypted": True}}),
        f"{EBS}.encrypted",
        "keeps its settings",
    ),
    Case(
        storages.existing_storage_is_given_alone,
        storage({"efs": {"fileSystemId": FILE_SYSTEM, "performanceMode": "generalPurpose"}}),
        "spec.sharedStorage[0].efs.performanceMode",
        "keeps its settings",
    ),
    Case(
        storages.existing_storage_is_given_alone,
        lustre(fileSystemId=FILE_SYSTEM, mountName="abc"),
        f"{LUSTRE}.storageCapacity",
        "keeps its settings",
    ),
    Case(
        storages.deletion_policy_fits,
        storage({"efs": {}, "deletionPolicy": "Snapshot"}),
        "spec.sharedStorage[0].deletionPolicy",
        "only ebs and raid",
    ),
    Case(
        storages.deletion_policy_fits,
        storage({"ebs": {"volumeId": VOLUME}, "deletionPolicy": "Delete"}),
        "spec.sharedStorage[0].deletionPolicy",
        "never deleted",
    ),
    Case(
        storages.storage_is_used_once,
        storage({"ebs": {"volumeId": VOLUME}}, {"ebs": {"volumeId": VOLUME}}),
        "spec.sharedStorage[1]",
        "used already by spec.sharedStorage[0]",
    ),
    Case(storages.few_volumes, storage(*[{"ebs": {}}] * 6), "spec.sharedStorage", "at most 5"),
    Case(
        storages.few_volumes,
        storage(*[{"raid": {"level": 0, "volumes": 4}}] * 3),
        "spec.sharedStorage",
        "device names for 11",
    ),
    Case(storages.volumes_fit_their_type, storage({"ebs": {"type": "st1", "size": 124}}), f"{EBS}.size", "125 to"),
    Case(storages.volumes_fit_their_type, storage({"ebs": {"type": "io1"}}), f"{EBS}.iops", "required for io1"),
    Case(storages.volumes_fit_their_type, storage({"ebs": {"iops": 2999}}), f"{EBS}.iops", "gp3 volumes take 3000 to"),
    Case(
        storages.volumes_fit_their_type,
        storage({"ebs": {"type": "io1", "size": 10, "iops": 501}}),
        f"{EBS}.iops",
        "50 a GiB, so 500 at 10 GiB",
    ),
    Case(
        storages.volumes_fit_their_type,
        storage({"ebs": {"type": "io2", "size": 4, "iops": 4001}}),
        f"{EBS}.iops",
        "1000 a GiB, so 4000",
    ),
    Case(storages.volumes_fit_their_type, storage({"ebs": {"size": 7, "iops": 3501}}), f"{EBS}.iops", "500 a GiB"),
    Case(
        storages.volumes_fit_their_type,
        storage({"ebs": {"throughput": 751}}),
        f"{EBS}.throughput",
        "a quarter of iops, so 750 at 3000",
    ),
    Case(
        storages.volumes_fit_their_type,
        storage({"raid": {"level": 1, "type": "gp2", "throughput": 200}}),
        "spec.sharedStorage[0].raid.throughput",
        "take no throughput",
    ),
    Case(
        storages.keys_need_encryption,
        storage({"efs": {"encrypted": False, "kmsKeyId": "alias/mine"}}),
        "spec.sharedStorage[0].efs.kmsKeyId",
        "only with encrypted: true",
    ),
    Case(
        filesystems.efs_throughput_goes_with_its_mode,
        storage({"efs": {"throughputMode": "provisioned"}}),
        "spec.sharedStorage[0].efs.provisionedThroughput",
        "required",
    ),
    Case(
        filesystems.efs_throughput_goes_with_its_mode,
        storage({"efs": {"provisionedThroughput": 100}}),
        "spec.sharedStorage[0].efs.provisionedThroughput",
        "only with throughputMode provisioned",
    ),
    Case(
        filesystems.efs_max_io_is_not_elastic,
        storage({"efs": {"performanceMode": "maxIO", "throughputMode": "elastic"}}),
        "spec.sharedStorage[0].efs.performanceMode",
        "not with throughputMode elastic",
    ),
    Case(
        filesystems.existing_lustre_has_both_names,
        storage({"fsxLustre": {"fileSystemId": FILE_SYSTEM}}),
        f"{LUSTRE}.mountName",
        "required with fileSystemId",
    ),
    Case(
        filesystems.existing_lustre_has_both_names,
        lustre(mountName="abc"),
        f"{LUSTRE}.mountName",
        "only with fileSystemId",
    ),
    Case(
        filesystems.backup_has_the_rest,
        lustre(backupId="backup-01234567"),
        f"{LUSTRE}.storageCapacity",
        "backupId excludes it",
    ),
    Case(
        filesystems.lustre_is_of_a_kind_that_exists,
        lustre(storageType="HDD", driveCacheType="NONE"),
        f"{LUSTRE}.storageType",
        "only with deploymentType PERSISTENT_1",
    ),
    Case(
        filesystems.lustre_throughput_fits,
        lustre(deploymentType="PERSISTENT_1"),
        f"{LUSTRE}.perUnitStorageThroughput",
        "one of 50, 100, 200",
    ),
    Case(
        filesystems.lustre_throughput_fits,
        lustre(deploymentType="PERSISTENT_2", perUnitStorageThroughput=200),
        f"{LUSTRE}.perUnitStorageThroughput",
        "one of 125, 250, 500, 1000",
    ),
    Case(
        filesystems.lustre_throughput_fits,
        lustre(perUnitStorageThroughput=50),
        f"{LUSTRE}.perUnitStorageThroughput",
        "takes none",
    ),
    Case(
        filesystems.lustre_capacity_fits,
        storage({"fsxLustre": {}}),
        f"{LUSTRE}.storageCapacity",
        "required for a new file system",
    ),
    Case(
        filesystems.lustre_capacity_fits,
        lustre(storageCapacity=3600),
        f"{LUSTRE}.storageCapacity",
        "1200 or a multiple of 2400",
    ),
    Case(
        filesystems.lustre_capacity_fits,
        lustre(deploymentType="SCRATCH_1", storageCapacity=4800),
        f"{LUSTRE}.storageCapacity",
        "1200 or 2400 or a multiple of 3600",
    ),
    Case(
        filesystems.lustre_capacity_fits,
        lustre(
            deploymentType="PERSISTENT_1",
            storageType="HDD",
            driveCacheType="NONE",
            perUnitStorageThroughput=12,
            storageCapacity=1800,
        ),
        f"{LUSTRE}.storageCapacity",
        "a multiple of 6000",
    ),
    Case(
        filesystems.drive_cache_goes_with_hdd,
        lustre(deploymentType="PERSISTENT_1", storageType="HDD", perUnitStorageThroughput=40, storageCapacity=1800),
        f"{LUSTRE}.driveCacheType",
        "required with storageType HDD",
    ),
    Case(
        filesystems.drive_cache_goes_with_hdd,
        lustre(driveCacheType="READ"),
        f"{LUSTRE}.driveCacheType",
        "only with storageType HDD",
    ),
    Case(filesystems.lustre_needs_are_met, lustre(kmsKeyId="alias/mine"), f"{LUSTRE}.kmsKeyId", "PERSISTENT"),
    Case(
        filesystems.lustre_needs_are_met,
        lustre(exportPath="s3://data/out"),
        f"{LUSTRE}.exportPath",
        "only with importPath",
    ),
    Case(
        filesystems.lustre_needs_are_met,
        lustre(autoImportPolicy="NEW"),
        f"{LUSTRE}.autoImportPolicy",
        "only with importPath",
    ),
    Case(
        filesystems.lustre_needs_are_met,
        lustre(importedFileChunkSize=10),
        f"{LUSTRE}.importedFileChunkSize",
        "only with importPath",
    ),
    Case(
        filesystems.lustre_needs_are_met,
        lustre(deploymentType="PERSISTENT_2", perUnitStorageThroughput=125, importPath="s3://data"),
        f"{LUSTRE}.importPath",
        "PERSISTENT_2 has no link",
    ),
    Case(
        filesystems.lustre_needs_are_met,
        lustre(automaticBackupRetentionDays=7),
        f"{LUSTRE}.automaticBackupRetentionDays",
        "only for PERSISTENT",
    ),
    Case(
        filesystems.lustre_needs_are_met,
        lustre(
            deploymentType="PERSISTENT_1",
            perUnitStorageThroughput=50,
            importPath="s3://data",
            copyTagsToBackups=True,
        ),
        f"{LUSTRE}.copyTagsToBackups",
        "without importPath",
    ),
    Case(
        filesystems.export_goes_to_the_imported_bucket,
        lustre(importPath="s3://data/in", exportPath="s3://other/out"),
        f"{LUSTRE}.exportPath",
        "start it with s3://data/",
    ),
    Case(
        filesystems.backup_time_needs_backups,
        lustre(deploymentType="PERSISTENT_1", perUnitStorageThroughput=50, dailyAutomaticBackupStartTime="02:00"),
        f"{LUSTRE}.dailyAutomaticBackupStartTime",
        "automaticBackupRetentionDays above 0",
    ),
    Case(general.tags_are_not_reserved, {"tags": {"AWS:x": "y"}}, 'spec.tags["AWS:x"]', "reserved"),
    Case(general.tags_are_not_reserved, {"tags": {"muster:x": "y"}}, 'spec.tags["muster:x"]', "reserved"),
    Case(general.tags_are_not_reserved, {"tags": {"Name": "y"}}, "spec.tags.Name", "reserved"),
    Case(general.arguments_fit, scripts("a" * 1500, "b" * 600), "spec.bootstrap", "at most 2048 bytes"),
    Case(general.arguments_fit, {**SLURM, **scripts("a" * 513)}, "spec.bootstrap", "at most 512 bytes with scheduler"),
    # Fewer characters than the limit, but each quote takes five when it is quoted itself.
    Case(general.arguments_fit, scripts("'" * 500), "spec.bootstrap", "at most 2048 bytes"),
    Case(
        general.s3_access_fits,
        {"s3Access": [{"resource": f"arn:aws:s3:::data/{'k' * 500}{n}", "access": "read"} for n in range(3)]},
        "spec.s3Access",
        "at most 1536 characters",
    ),
]

# Next to what is refused, and right: no rule may reach this far.
ACCEPTED: list[dict[str, Any]] = [
    {"scheduler": "none", "scratch": {"encrypted": False, "mountDir": "/local/nvme"}},
    named("a", "a-b", "ab"),
    queue(size=0),
    queue(minSize=10),
    queue(minSize=5, maxSize=5),
    queue(capacityType="spot", spotMaxPrice=0.001, spotAllocationStrategy="capacity-optimized-prioritized"),
    {"image": {"ami": AMI}, **queue(instanceTypes=["c7g.large"], ami="ami-0123456789abcdef1")},
    {"image": {"ami": AMI}, "headNode": {"ami": "ami-0123456789abcdef1"}, **queue(instanceTypes=["c7g.large"])},
    queue(instanceTypes=["c7g.large"]),
    {**TWO_SUBNETS, **queue(placementGroup="dynamic", subnetIds=[OTHER_SUBNET])},
    {**TWO_SUBNETS, **queue(efa=True, subnetIds=[OTHER_SUBNET], instanceTypes=["c7i.48xlarge"])},
    queue(placementGroup="mine", instanceTypes=["t3.large"]),
    queue(disableHyperthreading=True),
    {"headNode": {"rootVolume": {"type": "io2", "size": 8, "iops": 8000}}},
    {"network": {"securityGroupIds": [GROUP], "additionalSecurityGroupIds": ["sg-0123456789abcdef1"]}},
    {"network": {"sshFrom": ["0.0.0.0/0", "10.1.2.3/32", "10.1.2.128/25"]}},
    storage(*[{"ebs": {}}] * 5, {"raid": {"level": 0, "volumes": 5}}),
    storage({"ebs": {}, "mountDir": "/home/data"}, {"ebs": {}, "mountDir": "/home/datasets"}),
    storage({"ebs": {"volumeId": VOLUME}, "deletionPolicy": "Retain"}),
    storage({"ebs": {"snapshotId": "snap-01234567", "type": "io1", "iops": 64000}}),
    storage({"ebs": {"type": "st1"}}, {"ebs": {"type": "standard", "size": 1}}),
    storage({"ebs": {"size": 1, "iops": 3000, "throughput": 750}}),
    storage({"ebs": {"size": 160, "iops": 80000, "throughput": 2000}}),
    storage({"raid": {"level": 1}, "deletionPolicy": "Snapshot"}),
    storage({"efs": {"throughputMode": "provisioned", "provisionedThroughput": 12.5}, "deletionPolicy": "Delete"}),
    storage({"fsxLustre": {"fileSystemId": FILE_SYSTEM, "mountName": "fsx"}}),
    storage({"fsxLustre": {"backupId": "backup-01234567", "automaticBackupRetentionDays": 3}}),
    lustre(importPath="s3://data", exportPath="s3://data/out", autoImportPolicy="NEW_CHANGED_DELETED"),
    lustre(
        deploymentType="PERSISTENT_1",
        storageType="HDD",
        driveCacheType="READ",
        perUnitStorageThroughput=40,
        storageCapacity=3600,
        kmsKeyId="alias/mine",
        automaticBackupRetentionDays=90,
        dailyAutomaticBackupStartTime="23:59",
        copyTagsToBackups=True,
    ),
    lustre(deploymentType="PERSISTENT_2", perUnitStorageThroughput=1000, storageCapacity=4800),
    SLURM,
    {**SLURM, "idleTime": 1, "fleet": "stopped", **queue(maxSize=5000, allOrNothing=True)},
    {**SLURM, "idleTime": 10080, **queue(size=3), "image": {"os": "ubuntu2404", "ami": AMI}},
    {**SLURM, **named("all", "none", "a-1", "a")},
    named("default"),
    {"tags": {"name": "x", "awsome": "y", "musterer": "z"}},
    scripts("a" * 2048),
    {**SLURM, **scripts("a" * 512)},
]


def errors_of(spec: dict[str, Any]) -> dict[str, str]:
    result = parse(document(spec))
    return {error.field: str(error) for error in result.errors} if isinstance(result, Invalid) else {}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case.rule.__name__}: {case.words}")
def test_rule_refuses(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    assert case.words in errors_of(case.spec)[case.field]

    others = tuple(rule for rule in RULES if rule is not case.rule)
    monkeypatch.setattr("reconciler.cluster.parsing.RULES", others)

    assert case.words not in errors_of(case.spec).get(case.field, "")


@pytest.mark.parametrize("spec", ACCEPTED, ids=str)
def test_rules_let_pass(spec: dict[str, Any]) -> None:
    result = parse(document(spec))

    assert isinstance(result, Cluster), str(result)


def test_every_rule_has_a_case() -> None:
    """Those of AWS Batch have a table of their own."""
    assert {case.rule for case in REFUSED} == set(RULES) - set(batch.RULES)


def test_all_rules_are_applied_at_once() -> None:
    found = errors_of(
        {"scheduler": "slurm", "scratch": {"encrypted": True}, **queue(size=1, minSize=1), "tags": {"Name": "x"}}
    )

    assert set(found) == {"spec.image", "spec.scratch.encrypted", "spec.queues[0].minSize", "spec.tags.Name"}
