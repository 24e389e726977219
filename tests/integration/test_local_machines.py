"""Instances that run: their user data is executed, and Slurm's daemons find each other over their network."""

import base64
import ipaddress
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local import LocalAws, fixtures
from local.machine import unavailable

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())

TRUST = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
ASKS = """#!/bin/bash
set -ex
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
imds() { curl -sf -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/$1"; }
cd /srv
imds meta-data/instance-id >instance-id
imds meta-data/local-ipv4 >address
imds meta-data/placement/availability-zone >zone
imds meta-data/instance-type >type
imds meta-data/block-device-mapping/ >devices
imds user-data >user-data
curl -s -o /dev/null -w '%{http_code}' http://169.254.169.254/latest/meta-data/instance-id >without-token
export AWS_DEFAULT_REGION=us-east-1
aws sts get-caller-identity >cli
python3 -c 'import boto3; print(boto3.client("sts").get_caller_identity()["Arn"])' >sdk
aws dynamodb list-tables >queues 2>&1 || echo denied >>queues
echo $((1 + $(cat boots || echo 0))) >boots
"""
MULTIPART = """Content-Type: multipart/mixed; boundary="=x="
MIME-Version: 1.0

--=x=
Content-Type: text/cloud-config

#cloud-config
cloud_final_modules:
- [scripts-user, always]

--=x=
Content-Type: text/x-shellscript

{}
--=x=--
"""
MUNGE = """#!/bin/bash
set -ex
echo {key} | base64 -d >/etc/munge/munge.key
chown munge:munge /etc/munge/munge.key
chmod 400 /etc/munge/munge.key
systemctl restart munge
"""
CONTROLLER = """
cat >/etc/slurm/slurm.conf <<END
ClusterName=test
SlurmctldHost=$(hostname)({address})
SlurmUser=slurm
StateSaveLocation=/var/lib/slurm/slurmctld
SlurmdSpoolDir=/var/lib/slurm/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SlurmctldParameters=enable_configless
SlurmdParameters=config_overrides
NodeName=cpu-1 NodeAddr={first} CPUs=1 RealMemory=100
NodeName=cpu-2 NodeAddr={second} CPUs=1 RealMemory=100
PartitionName=cpu Nodes=ALL Default=YES
END
systemctl restart slurmctld
"""
NODE = """
mkdir -p /etc/systemd/system/slurmd.service.d
printf '[Unit]\\nConditionPathExists=\\n' >/etc/systemd/system/slurmd.service.d/configless.conf
echo 'SLURMD_OPTIONS="-N {name} --conf-server {head}:6817"' >/etc/default/slurmd
systemctl daemon-reload
systemctl restart slurmd
"""
LOGS = "tail -n 30 /var/log/cloud-init-output.log /var/log/services.log /var/log/slurm*.log"
Launch = Callable[..., dict[str, Any]]


@pytest.fixture
def launch(aws: LocalAws, clients: Any, network: fixtures.Network, image: str, name: str):
    """Launch a machine with user data; all are ended after the test."""
    aws.set(machines=f"{name}*")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "muster:cluster", "Value": name}]}]
    made: list[str] = []

    def run(user_data: str, **options: Any) -> dict[str, Any]:
        answer = clients("ec2").run_instances(
            ImageId=image, InstanceType="m5.large", MinCount=1, MaxCount=1, SubnetId=network.subnet_ids[0],
            UserData=user_data, TagSpecifications=tags, **options,
        )  # fmt: skip
        made.append(answer["Instances"][0]["InstanceId"])
        return answer["Instances"][0]

    yield run
    if made:
        clients("ec2").terminate_instances(InstanceIds=made)


@pytest.fixture
def role(clients: Any, name: str) -> str:
    """An instance profile with a role of its name, which may do nothing."""
    iam = clients("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [TRUST]}))
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return name


def on(aws: LocalAws, instance: dict[str, Any], *command: str) -> "subprocess.CompletedProcess[str]":
    prefix = aws.enter(instance["InstanceId"])
    return subprocess.run([*prefix, *command], capture_output=True, text=True, timeout=60, check=False)


def read(aws: LocalAws, instance: dict[str, Any], path: str) -> str:
    root = aws.machines()[instance["InstanceId"]]["root"]
    file = Path(f"{root}{path}")
    return file.read_text() if root and file.exists() else ""


def finished(aws: LocalAws, instance: dict[str, Any]) -> str:
    told = aws.machines()[instance["InstanceId"]]
    assert not told["error"], told
    return read(aws, instance, "/var/lib/cloud/instance/boot-finished")


def test_a_machine_executes_its_user_data_in_its_roles_name_at_each_boot(
    aws: LocalAws, clients: Any, launch: Launch, role: str, eventually: Callable[..., Any]
) -> None:
    instance = launch(MULTIPART.format(ASKS), IamInstanceProfile={"Name": role})
    identifier, address = instance["InstanceId"], instance["PrivateIpAddress"]
    first = eventually(lambda: finished(aws, instance))
    log = read(aws, instance, "/var/log/cloud-init-output.log")
    files = ("instance-id", "address", "zone", "type", "devices", "without-token")
    told = {file: read(aws, instance, f"/srv/{file}") for file in files}
    zone = instance["Placement"]["AvailabilityZone"]
    assert told == {
        "instance-id": identifier, "address": address, "zone": zone, "type": "m5.large",
        "devices": "ami\nroot", "without-token": "401",
    }, log  # fmt: skip
    arn = f"arn:aws:sts::123456789012:assumed-role/{role}/{identifier}"
    assert json.loads(read(aws, instance, "/srv/cli"))["Arn"] == arn, log
    assert read(aws, instance, "/srv/sdk") == f"{arn}\n", log
    assert "AccessDenied" in read(aws, instance, "/srv/queues"), log
    assert read(aws, instance, "/srv/user-data") == MULTIPART.format(ASKS)

    pid = aws.machines()[identifier]["pid"]
    clients("ec2").stop_instances(InstanceIds=[identifier])
    clients("ec2").start_instances(InstanceIds=[identifier])
    eventually(lambda: finished(aws, instance) > first)
    assert read(aws, instance, "/srv/boots") == "2\n"
    files = Path(aws.machines()[identifier]["files"])
    clients("ec2").terminate_instances(InstanceIds=[identifier])
    assert identifier not in aws.machines()
    eventually(lambda: not files.exists() and not Path(f"/proc/{pid}").exists())


def test_slurms_daemons_find_each_other(
    aws: LocalAws, clients: Any, network: fixtures.Network, launch: Launch, eventually: Callable[..., Any]
) -> None:
    subnet = clients("ec2").describe_subnets(SubnetIds=[network.subnet_ids[0]])["Subnets"][0]
    head_at, *nodes_at = (str(ipaddress.ip_network(subnet["CidrBlock"])[number]) for number in (-11, -12, -13))
    munge = MUNGE.format(key=base64.b64encode(os.urandom(128)).decode())
    conf = CONTROLLER.format(address=head_at, first=nodes_at[0], second=nodes_at[1])
    head = launch(munge + conf, PrivateIpAddress=head_at)
    nodes = [
        launch(munge + NODE.format(name=f"cpu-{number}", head=head_at), PrivateIpAddress=address)
        for number, address in enumerate(nodes_at, 1)
    ]
    try:
        for each in (head, *nodes):
            eventually(lambda each=each: finished(aws, each))
        eventually(lambda: on(aws, head, "sinfo", "-h", "-t", "idle", "-o", "%D").stdout == "2\n")
        ran = on(aws, head, "srun", "-N2", "hostname")
        assert set(ran.stdout.split()) == {f"ip-{address.replace('.', '-')}" for address in nodes_at}, ran
    except BaseException as error:
        error.add_note("\n".join(on(aws, each, "sh", "-c", LOGS).stdout for each in (head, *nodes)))
        raise
