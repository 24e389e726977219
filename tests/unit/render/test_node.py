"""What user data does on a node, boot by boot."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.render import batches
from tests.unit.render.node import INSTANCE, Node
from tests.unit.render.support import ADDRESS, QUEUE, SYSTEM, VOLUME, all_user_data, cluster, rendered

HEAD, COMPUTE = "HeadNode", "LaunchTemplateCompute"
DIRECTORIES = ("/data", "/array", "/net", "/lustre", "/scratch")
EBS = {"name": "data", "mountDir": "/data", "ebs": {}}
RAID = {"name": "array", "mountDir": "/array", "raid": {"level": 0}}
EFS = {"name": "net", "mountDir": "/net", "efs": {}}
LUSTRE = {"name": "lustre", "mountDir": "/lustre", "fsxLustre": {"storageCapacity": 1200}}

Boots = Callable[..., Node]


def data_of(which: str, **spec: Any) -> str:
    # Every volume is filled in by the same id; arrays need several.
    text = dict(all_user_data(json.loads(rendered(cluster(**spec)).body)["Resources"]))[which]
    return text.replace(f"{VOLUME} {VOLUME}", f"{VOLUME} vol-11111111111111111")


@pytest.fixture
def node(tmp_path: Path) -> Boots:
    def make(which: str, **spec: Any) -> Node:
        return Node(tmp_path / "node", data_of(which, **spec), *DIRECTORIES)

    return make


@pytest.mark.parametrize("which", [HEAD, COMPUTE])
@pytest.mark.parametrize("os", ["alinux2023", "ubuntu2404"])
def test_a_node_without_storage_comes_up(node: Boots, which: str, os: str):
    of = node(which, image={"os": os})
    assert of.boot() == 0, of.log
    assert "bootstrap succeeded" in of.log


def test_the_log_goes_to_a_stream_named_after_the_instance(node: Boots):
    of = node(HEAD)
    of.boot()
    assert of.calls("aws logs create-log-stream") == [
        f"aws logs create-log-stream --log-group-name /muster/demo --log-stream-name {INSTANCE}"
    ]
    (event,) = json.loads(of.read("shipped"))
    assert "bootstrap of demo begins" in event["message"]
    assert event["timestamp"] > 0


def test_what_the_log_says_is_for_root_alone(node: Boots):
    of = node(HEAD)
    of.boot()
    for place in ("var/lib/muster", "var/log/muster-bootstrap.log"):
        assert (of.root / place).stat().st_mode & 0o077 == 0


def test_a_log_that_cannot_be_shipped_fails_nothing(node: Boots):
    of = node(COMPUTE)
    of.failing("aws logs create-log-stream", "aws logs put-log-events")
    assert of.boot() == 0
    assert "CONTINUE" in of.calls("aws autoscaling")[-1]


def test_a_compute_node_that_is_ready_says_so_to_its_group(node: Boots):
    of = node(COMPUTE)
    assert of.boot() == 0
    assert of.calls("aws autoscaling complete") == [
        "aws autoscaling complete-lifecycle-action --auto-scaling-group-name muster-demo.compute "
        f"--lifecycle-hook-name muster-launch --instance-id {INSTANCE} --lifecycle-action-result CONTINUE"
    ]


def test_a_compute_node_that_fails_says_so_and_leaves_its_log(node: Boots):
    of = node(COMPUTE, bootstrap={"postInstall": {"url": "https://example.com/x.sh"}})
    of.download("echo broken; exit 3")
    assert of.boot() == 3
    assert of.calls("aws autoscaling complete")[0].endswith("--lifecycle-action-result ABANDON")
    assert of.calls("aws s3 cp") == [f"aws s3 cp --quiet - s3://artifacts/clusters/demo/nodes/{INSTANCE}.log"]
    assert "broken" in of.read("uploaded")
    assert "broken" in of.read("dev/console")


def test_the_head_node_has_no_hook_to_answer(node: Boots):
    of = node(HEAD)
    of.boot()
    assert of.calls("aws autoscaling") == []


def test_a_node_still_at_work_says_so(node: Boots):
    of = node(COMPUTE, bootstrap={"postInstall": {"url": "https://example.com/x.sh"}})
    of.download(f"until grep -q heartbeat {of.root}/calls; do :; done")
    assert of.boot() == 0
    assert of.calls("sleep") == ["sleep 600", "sleep 600"]
    assert len(of.calls("aws autoscaling record-lifecycle-action-heartbeat")) == 1


def test_and_it_says_so_through_the_proxy(node: Boots):
    of = node(COMPUTE, proxy="http://proxy:3128", bootstrap={"postInstall": {"url": "https://example.com/x.sh"}})
    of.download(f"until grep -q heartbeat {of.root}/proxies; do :; done")
    assert of.boot() == 0
    assert "record-lifecycle-action-heartbeat http://proxy:3128\n" in of.read("proxies")


def test_metadata_is_asked_with_a_token_and_never_through_a_proxy(node: Boots):
    of = node(HEAD, proxy="http://proxy.example.com:3128", sharedStorage=[EBS])
    of.boot()
    asked = [call for call in of.calls("curl") if "169.254.169.254" in call]
    assert "-X PUT" in asked[0]
    assert all("X-aws-ec2-metadata-token: token" in call for call in asked[1:])
    assert all("--noproxy *" in call for call in asked)
    assert len(asked) > 2


def test_the_proxy_is_for_users_too(node: Boots):
    of = node(HEAD, proxy="http://proxy.example.com:3128")
    of.boot()
    assert "https_proxy=http://proxy.example.com:3128 " in of.read("etc/profile.d/muster-proxy.sh")
    assert "no_proxy=169.254.169.254" in of.read("etc/profile.d/muster-proxy.sh")
    assert of.calls("snap set") == [
        "snap set system proxy.http=http://proxy.example.com:3128 proxy.https=http://proxy.example.com:3128"
    ]


# Volumes


def test_a_blank_volume_gets_a_file_system_is_open_to_all_and_exported(node: Boots):
    of = node(HEAD, sharedStorage=[EBS])
    assert of.boot() == 0, of.log
    device = f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{VOLUME.replace('-', '')}"
    assert of.calls("mkfs.xfs") == [f"mkfs.xfs -q {device}"]
    assert of.calls("mount ")[0] == f"mount -o noatime {device} /data"
    assert of.calls("chmod 1777 /data") != []
    assert of.read("etc/exports.d/muster.exports").replace(str(of.root), "").splitlines() == [
        '"/data" 10.0.0.0/16(rw,sync,no_subtree_check)',
        '"/data" 10.1.0.0/16(rw,sync,no_subtree_check)',
    ]
    assert of.calls("exportfs") == ["exportfs -ra"]


def test_a_volume_that_holds_something_is_mounted_as_it_is(node: Boots):
    of = node(HEAD, sharedStorage=[EBS])
    of.holds(VOLUME, "xfs")
    assert of.boot() == 0
    assert of.calls("mkfs") == []
    assert of.calls("mount ") != []


def test_a_users_own_volume_is_never_formatted_opened_up_or_grown(node: Boots):
    of = node(HEAD, sharedStorage=[{**EBS, "ebs": {"volumeId": VOLUME}}])
    assert of.boot() == 0
    assert [call for call in of.calls() if call.startswith(("mkfs", "chmod 1777 /data", "xfs_growfs"))] == []
    assert of.calls("mount ") != []


def test_a_volume_that_cannot_be_read_is_not_formatted(node: Boots):
    of = node(HEAD, sharedStorage=[EBS])
    of.failing("wipefs")
    assert of.boot() == 1
    assert of.calls("mkfs") == []


def test_a_directory_that_is_in_use_keeps_its_mode(node: Boots):
    of = node(HEAD, sharedStorage=[EBS])
    (of.root / "data").mkdir()
    (of.root / "data" / "file").touch()
    of.boot()
    assert of.calls("chmod 1777 /data") == []


def test_a_device_name_that_is_taken_is_passed_over(node: Boots):
    of = node(HEAD, sharedStorage=[EBS])
    of.failing(f"{of.root}/dev/sdf", f"{of.root}/dev/sdg")
    assert of.boot() == 0, of.log
    assert [call.rpartition(" ")[2] for call in of.calls("aws ec2 attach-volume")] == [
        "/dev/sdf",
        "/dev/sdg",
        "/dev/sdh",
    ]


def test_a_volume_that_another_node_has_is_waited_for_and_then_given_up(node: Boots):
    of = node(HEAD, sharedStorage=[EBS])
    of.failing("aws ec2 attach-volume")
    assert of.boot() == 1
    assert len(of.calls("aws ec2 attach-volume")) > 5
    assert "gave up: attach" in of.log
    assert of.calls("mount ") == []


def test_the_next_boot_attaches_and_formats_nothing(node: Boots):
    of = node(HEAD, sharedStorage=[EBS])
    assert of.boot() == 0
    assert of.boot() == 0, of.log
    assert of.calls("aws ec2") == []
    assert of.calls("mkfs") == []
    assert of.calls("mount ") != []


def test_the_next_boot_takes_other_user_data(node: Boots):
    """A storage more: the node is stopped, given its new user data, and started."""
    of = node(HEAD)
    assert of.boot() == 0
    of.load(data_of(HEAD, sharedStorage=[EBS]))
    assert of.boot() == 0, of.log
    assert of.calls("mount ") != []


# Arrays


def test_an_array_of_blank_volumes_is_made(node: Boots):
    of = node(HEAD, sharedStorage=[RAID])
    assert of.boot() == 0, of.log
    (call,) = of.calls("mdadm")
    assert call.startswith(f"mdadm --create /dev/md/{VOLUME} --run --level=0 --raid-devices=2 ")
    assert of.calls("mkfs.xfs") == [f"mkfs.xfs -q /dev/md/{VOLUME}"]
    assert of.calls("mount ")[0] == f"mount -o noatime /dev/md/{VOLUME} /array"


def test_an_array_that_is_there_is_found(node: Boots):
    of = node(HEAD, sharedStorage=[RAID])
    of.boot()
    (of.root / f"dev/md/{VOLUME}").write_text("xfs\n")
    assert of.boot() == 0, of.log
    assert of.calls("mdadm") == []
    assert of.calls("mkfs") == []
    assert of.calls("mount ")[0] == f"mount -o noatime /dev/md/{VOLUME} /array"


def test_an_array_that_the_kernel_has_not_put_together_is(node: Boots):
    of = node(HEAD, sharedStorage=[RAID])
    for volume in (VOLUME, "vol-11111111111111111"):
        of.holds(volume, "linux_raid_member")
    (of.root / "dev/md").mkdir()
    (of.root / f"dev/md/{VOLUME}").write_text("xfs\n")
    assert of.boot() == 0, of.log
    assert of.calls("mdadm")[0].startswith(f"mdadm --assemble /dev/md/{VOLUME} ")
    assert of.calls("mkfs") == []


def test_an_array_with_one_blank_member_is_not_made_anew(node: Boots):
    of = node(HEAD, sharedStorage=[RAID])
    of.holds(VOLUME, "linux_raid_member")
    of.failing("mdadm")
    assert of.boot() == 1
    assert [call for call in of.calls("mdadm") if "--create" in call] == []
    assert of.calls("mkfs") == []


# File systems of the network


def test_compute_nodes_mount_what_the_head_node_exports(node: Boots):
    of = node(COMPUTE, sharedStorage=[EBS, RAID])
    assert of.boot() == 0, of.log
    assert of.calls("mount ")[:2] == [
        f"mount -t nfs4 -o hard,noatime,retry=0 {ADDRESS}:/data /data",
        f"mount -t nfs4 -o hard,noatime,retry=0 {ADDRESS}:/array /array",
    ]
    assert of.calls("aws ec2") == []


def test_a_head_node_that_exports_nothing_is_waited_for_and_then_given_up(node: Boots):
    of = node(COMPUTE, sharedStorage=[EBS])
    of.failing("mount")
    assert of.boot() == 1
    assert len(of.calls("mount ")) > 5
    assert of.calls("aws autoscaling complete")[0].endswith("ABANDON")


@pytest.mark.parametrize("which", [HEAD, COMPUTE])
def test_efs_is_mounted_by_every_node_and_opened_up_by_the_head_node(node: Boots, which: str):
    of = node(which, sharedStorage=[EFS])
    assert of.boot() == 0, of.log
    (call, *_) = of.calls("mount ")
    assert call.startswith("mount -t nfs4 -o nfsvers=4.1,")
    assert call.endswith(f" {SYSTEM}.efs.us-east-1.amazonaws.com:/ /net")
    assert (of.calls("chmod 1777 /net") != []) is (which == HEAD)


@pytest.mark.parametrize("which", [HEAD, COMPUTE])
def test_lustre_is_mounted_by_every_node_and_opened_up_by_the_head_node(node: Boots, which: str):
    of = node(which, sharedStorage=[LUSTRE])
    assert of.boot() == 0, of.log
    assert of.calls("mount ")[0] == (
        f"mount -t lustre -o noatime,flock {SYSTEM}.fsx.us-east-1.amazonaws.com@tcp:/abcdefgh /lustre"
    )
    assert (of.calls("chmod 1777 /lustre") != []) is (which == HEAD)


@pytest.mark.parametrize(
    ("os", "installer"),
    [
        ("alinux2023", "dnf install -y -q lustre-client"),
        ("ubuntu2404", "apt-get -q -y -o DPkg::Lock::Timeout=300 install lustre-client-modules-6.1.0 "),
    ],
)
def test_what_a_node_lacks_is_installed(node: Boots, os: str, installer: str):
    of = node(HEAD, sharedStorage=[LUSTRE], image={"os": os})
    (of.commands / "mount.lustre").unlink()
    assert of.boot() == 0, of.log
    assert of.calls(installer) != []


def test_what_a_node_has_is_not_installed(node: Boots):
    of = node(HEAD, sharedStorage=[EBS, EFS, LUSTRE])
    assert of.boot() == 0
    assert of.calls("dnf") == []


# Instance-store disks


def disk(of: Node, name: str = "dev/disk/by-id/nvme-Amazon_EC2_NVMe_Instance_Storage_AWS1") -> None:
    path = of.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")


def test_instance_store_disks_become_one_striped_volume(node: Boots):
    of = node(COMPUTE)
    for number in range(3):
        disk(of, f"dev/disk/by-id/nvme-Amazon_EC2_NVMe_Instance_Storage_AWS{number}")
    # The second name of a disk that is known already.
    (of.root / "dev/disk/by-id/nvme-Amazon_EC2_NVMe_Instance_Storage_AWS0-ns-1").symlink_to(
        of.root / "dev/disk/by-id/nvme-Amazon_EC2_NVMe_Instance_Storage_AWS0"
    )
    assert of.boot() == 0, of.log
    (group,) = of.calls("vgcreate")
    assert group.count("Instance_Storage") == 3
    assert of.calls("lvcreate") == ["lvcreate -y -n scratch -l 100%FREE -i 3 muster"]
    assert of.calls("mount ") == ["mount -o noatime /dev/muster/scratch /scratch"]
    assert of.calls("chmod 1777 /scratch") != []


def test_disks_that_are_no_nvme_devices_are_found_by_the_metadata(node: Boots):
    of = node(COMPUTE)
    disk(of, "dev/xvdb")
    assert of.boot() == 0, of.log
    assert of.calls("vgcreate") == ["vgcreate -y muster /dev/xvdb"]


def test_the_scratch_volume_is_found_again_at_the_next_boot(node: Boots):
    of = node(COMPUTE)
    disk(of)
    of.boot()
    assert of.boot() == 0, of.log
    assert of.calls("vgcreate") == []
    assert of.calls("mkfs") == []
    assert of.calls("mount ") != []


def test_without_such_disks_there_is_no_scratch_volume(node: Boots):
    of = node(COMPUTE)
    of.boot()
    assert of.calls("vgcreate") == []
    assert of.calls("mount ") == []


# The user's scripts


def test_scripts_run_with_their_arguments_as_they_are(node: Boots):
    arguments = ["two words", "$(touch pwned)", "`id`", "'", '"', ";", "é"]
    of = node(HEAD, bootstrap={"preInstall": {"url": "https://example.com/a.sh", "args": arguments}})
    of.download(f'printf "%s\\n" "$@" >{of.root}/said')
    assert of.boot() == 0, of.log
    assert of.read("said").splitlines() == arguments


def test_scripts_run_once_whatever_they_are_named_after(node: Boots):
    script = {"url": "https://example.com/a.sh"}
    of = node(HEAD, bootstrap={"preInstall": script, "postInstall": script})
    of.download(f"echo ran >>{of.root}/ran")
    of.boot()
    assert of.boot() == 0
    assert of.read("ran").splitlines() == ["ran", "ran"]


def test_a_script_that_failed_runs_again(node: Boots):
    of = node(HEAD, bootstrap={"preInstall": {"url": "https://example.com/a.sh"}})
    of.download("exit 1")
    assert of.boot() == 1
    of.download(f"echo ran >>{of.root}/ran")
    assert of.boot() == 0
    assert of.read("ran") == "ran\n"


def test_a_script_with_other_arguments_runs_again(node: Boots):
    def bootstrap(argument: str) -> dict[str, Any]:
        return {"preInstall": {"url": "https://example.com/a.sh", "args": [argument]}}

    of = node(HEAD, bootstrap=bootstrap("one"))
    of.download(f'echo "$1" >>{of.root}/ran')
    of.boot()
    of.load(data_of(HEAD, bootstrap=bootstrap("two")))
    of.boot()
    assert of.read("ran").splitlines() == ["one", "two"]


def test_scripts_are_fetched_over_https_or_from_s3(node: Boots):
    of = node(
        HEAD,
        bootstrap={"preInstall": {"url": "https://example.com/a.sh"}, "postInstall": {"url": "s3://scripts/b.sh"}},
    )
    assert of.boot() == 0
    (call,) = [call for call in of.calls("curl") if "example.com" in call]
    assert "--proto =https --proto-redir =https" in call
    assert of.calls("aws s3 cp")[0].startswith("aws s3 cp --quiet s3://scripts/b.sh ")


def test_the_storage_is_there_between_the_two_scripts(node: Boots):
    of = node(
        HEAD,
        sharedStorage=[EBS],
        bootstrap={"preInstall": {"url": "https://x.org/a.sh"}, "postInstall": {"url": "https://x.org/b.sh"}},
    )
    of.download(f"ls {of.root}/mounted >>{of.root}/seen 2>&1; true")
    of.boot()
    first, second = of.read("seen").splitlines()
    assert "No such file" in first
    assert second.endswith("mounted")


# Hyperthreading


@pytest.mark.parametrize(("asked", "state"), [(True, "off\n"), (False, "on\n")])
def test_hyperthreading_goes_off_when_asked(node: Boots, asked: bool, state: str):
    of = node(COMPUTE, queues=[{**QUEUE, "disableHyperthreading": asked}])
    assert of.boot() == 0, of.log
    assert of.read("sys/devices/system/cpu/smt/control") == state


def test_a_machine_without_hyperthreading_is_left_alone(node: Boots):
    of = node(COMPUTE, queues=[{**QUEUE, "disableHyperthreading": True}])
    (of.root / "sys/devices/system/cpu/smt/control").write_text("notsupported\n")
    assert of.boot() == 0
    assert of.read("sys/devices/system/cpu/smt/control") == "notsupported\n"


# Instances of AWS Batch


@pytest.fixture
def instance(tmp_path: Path) -> Boots:
    """The instance of a compute environment."""

    def make(**spec: Any) -> Node:
        made = json.loads(rendered(batches.cluster(**spec)).body)["Resources"]
        (text,) = [text for logical, text in all_user_data(made) if logical.startswith("LaunchAny")]
        return Node(tmp_path / "instance", text, *DIRECTORIES)

    return make


def test_an_instance_mounts_for_its_jobs_what_is_served(instance: Boots):
    of = instance(headNode=batches.HEAD_NODE, sharedStorage=[LUSTRE, EBS, EFS, RAID])
    assert of.boot() == 0
    assert of.read("etc/fstab").replace(str(of.root), "").splitlines() == [
        f"{ADDRESS}:/data /data nfs4 hard,noatime,_netdev 0 0",
        f"{ADDRESS}:/array /array nfs4 hard,noatime,_netdev 0 0",
        f"{SYSTEM}.fsx.us-east-1.amazonaws.com@tcp:/abcdefgh /lustre lustre noatime,flock,_netdev 0 0",
    ]
    assert of.calls("mount ") == ["mount -a -t nfs4", "mount -a -t lustre"]
    assert all((of.root / name).is_dir() for name in ("data", "array", "lustre"))
    assert of.calls("aws") == [], "the images of ECS have no command line of AWS"


def test_an_instance_without_its_mounts_takes_no_jobs(instance: Boots):
    """ECS's agent needs the mounts at every boot, whatever became of the script."""
    of = instance(headNode=batches.HEAD_NODE, sharedStorage=[EBS, LUSTRE])
    of.failing("mount")
    assert of.boot() == 1
    assert len(of.calls("mount ")) > 5, "it is tried for a while"
    unit = of.read("etc/systemd/system/ecs.service.d/muster.conf").replace(str(of.root), "")
    assert unit == '[Unit]\nRequiresMountsFor="/data"\nRequiresMountsFor="/lustre"\n'
    assert of.calls("systemctl") == ["systemctl daemon-reload"]


@pytest.mark.parametrize(
    ("storage", "package"),
    [
        ({"headNode": batches.HEAD_NODE, "sharedStorage": [EBS]}, "nfs-utils"),
        ({"sharedStorage": [LUSTRE]}, "lustre-client"),
    ],
)
def test_an_instance_installs_what_it_lacks(instance: Boots, storage: dict[str, Any], package: str):
    of = instance(**storage)
    for name in ("mount.nfs4", "mount.lustre"):
        (of.commands / name).unlink()
    assert of.boot() == 0
    assert of.calls("dnf") == [f"dnf install -y -q {package}"]


def test_a_mount_that_cannot_be_prepared_for_keeps_jobs_away_too(instance: Boots):
    of = instance(sharedStorage=[LUSTRE])
    (of.commands / "mount.lustre").unlink()
    of.failing("dnf")
    assert of.boot() == 1
    assert "/lustre" in of.read("etc/systemd/system/ecs.service.d/muster.conf")
    assert of.calls("mount ") == []


SCRATCH = {"batch": {"jobDefinitions": [{"name": "run", "image": "app", "scratch": True}]}}


def test_an_instance_makes_one_volume_of_its_disks_for_jobs_that_want_it(instance: Boots):
    of = instance(**SCRATCH)
    disks = of.root / "dev/disk/by-id"
    disks.mkdir(parents=True)
    for number in (1, 2):
        (disks / f"nvme-Amazon_EC2_NVMe_Instance_Storage_{number}").write_text("")
    assert of.boot() == 0
    assert of.calls("lvcreate")[0].startswith("lvcreate -y -n scratch -l 100%FREE -i 2 muster")
    assert of.calls("mount ") == ["mount -o noatime /dev/muster/scratch /scratch"]
    assert of.calls("curl") == [], "there is nothing to ask the metadata service"


def test_an_instance_without_disks_has_a_directory_that_is_open_to_all(instance: Boots):
    of = instance(**SCRATCH)
    assert of.boot() == 0
    assert of.calls("chmod") == ["chmod 1777 /scratch"]
    assert (of.root / "scratch").is_dir()
    assert of.calls("mount ") == []
