"""Instances that run: their user data is executed, and Slurm's daemons find each other over their network."""

import base64
import ipaddress
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local import LocalAws, fixtures, local_aws
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
python3 -c 'import boto3' || apt-get -q -y -o DPkg::Lock::Timeout=300 install python3-boto3
aws sts get-caller-identity >cli
python3 -c 'import boto3; print(boto3.client("sts").get_caller_identity()["Arn"])' >sdk
aws dynamodb list-tables >queues 2>&1 || echo denied >>queues
role=$(imds meta-data/iam/security-credentials/)
aws logs create-log-stream --log-group-name "$role" --log-stream-name "boot-$(date +%s%N)"
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
if command -v sinfo; then exit 1; fi
systemctl mask slurmd
apt-get install -y {daemon} slurm-client
systemctl is-active munge
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
systemctl unmask slurmd
systemctl daemon-reload
systemctl restart slurmd
"""
IMDS = """
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
curl -s -w '\\n%{{http_code}}' -H "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/meta-data/{path}
"""
UNITS = r"""
cd /etc/systemd/system
cat >again.service <<'END'
[Unit]
StartLimitIntervalSec=0
[Service]
Environment=FIRST=one "SECOND=two"
EnvironmentFile=-/nowhere
User=daemon
ExecStart=/bin/sh -c 'printf x >>/srv/count; echo $0 ${SECOND} $$(id -un) $$(wc -c </srv/count); exit 3' $FIRST
Restart=on-failure
RestartSec=200ms
[Install]
WantedBy=multi-user.target
END
touch /srv/count && chown daemon /srv/count
printf '[Unit]\nConditionPathExists=/nowhere\n[Service]\nExecStart=/bin/sleep 100\n' >never.service
printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n' >once.service
printf '[Service]\nExecStart=/nowhere\n' >broken.service
printf '[Service]\nType=notify\nExecStart=/usr/bin/env python3 /srv/says.py\n' >says.service
cat >/srv/says.py <<'END'
import os, pathlib, signal, socket
child = os.fork()
if child:
    pathlib.Path("/srv/child").write_text(str(child))
    box = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    box.sendto(f"MAINPID={child}\nREADY=1".encode(), os.environ["NOTIFY_SOCKET"])
else:
    signal.pause()
END
"""
HOOK = """#!/bin/bash
id=$(cat /var/lib/cloud/data/instance-id)
sleep 1
aws autoscaling complete-lifecycle-action --auto-scaling-group-name {group} --lifecycle-hook-name launch \\
  --instance-id "$id" --lifecycle-action-result CONTINUE --region us-east-1
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
            UserData=user_data, **{"TagSpecifications": tags, **options},
        )  # fmt: skip
        made.append(answer["Instances"][0]["InstanceId"])
        return answer["Instances"][0]

    yield run
    if made:
        clients("ec2").terminate_instances(InstanceIds=made)


@pytest.fixture
def role(clients: Any, name: str) -> str:
    """An instance profile with a role of its name."""
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


def imds(aws: LocalAws, instance: dict[str, Any], path: str) -> tuple[str, Any]:
    """Status, and what the metadata service says in JSON."""
    done = on(aws, instance, "bash", "-c", IMDS.format(path=path))
    body, _, status = done.stdout.rpartition("\n")
    return status, json.loads(body) if status == "200" else None


def finished(aws: LocalAws, instance: dict[str, Any]) -> str:
    told = aws.machines()[instance["InstanceId"]]
    assert not told["error"], told
    return read(aws, instance, "/var/lib/cloud/instance/boot-finished")


def test_a_machine_executes_its_user_data_in_its_roles_name_at_each_boot(
    aws: LocalAws, clients: Any, launch: Launch, role: str, eventually: Callable[..., Any]
) -> None:
    stream = {"Effect": "Allow", "Action": "logs:CreateLogStream", "Resource": f"arn:*:logs:*:*:log-group:{role}:*"}
    clients("iam").put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=json.dumps({"Statement": [stream]}))
    clients("logs").create_log_group(logGroupName=role)
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

    for kind, path in {"spot": "spot/instance-action", "rebalance": "events/recommendations/rebalance"}.items():
        assert imds(aws, instance, path)[0] == "404"
        aws.set(notices={identifier: {kind: {}}})
        assert imds(aws, instance, path)[0] == "200"
    assert imds(aws, instance, "events/maintenance/scheduled") == ("200", [])
    aws.set(notices={identifier: {"maintenance": {"Code": "instance-retirement"}, "spot": {"action": "stop"}}})
    assert imds(aws, instance, "events/maintenance/scheduled")[1][0]["Code"] == "instance-retirement"
    assert imds(aws, instance, "spot/instance-action")[1]["action"] == "stop"

    pid = aws.machines()[identifier]["pid"]
    clients("ec2").stop_instances(InstanceIds=[identifier])
    clients("ec2").start_instances(InstanceIds=[identifier])
    eventually(lambda: finished(aws, instance) > first)
    assert read(aws, instance, "/srv/boots") == "2\n"
    assert len(clients("logs").describe_log_streams(logGroupName=role)["logStreams"]) == 2
    files = Path(aws.machines()[identifier]["files"])
    clients("ec2").terminate_instances(InstanceIds=[identifier])
    assert identifier not in aws.machines()
    eventually(lambda: not files.exists() and not alive(pid))


def test_of_a_cluster_the_head_node_alone_can_be_a_machine(aws: LocalAws, name: str, launch: Launch) -> None:
    aws.set(machines=f"{name}/head")
    kinds: dict[str, str] = {}
    for kind in ("compute", "head"):
        tags = [{"Key": "muster:cluster", "Value": name}, {"Key": "muster:node", "Value": kind}]
        instance = launch("", TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])
        kinds[kind] = instance["InstanceId"]
    shown = aws.machines()
    assert {kind: instance in shown for kind, instance in kinds.items()} == {"compute": False, "head": True}


def test_services_are_kept_as_their_units_say(aws: LocalAws, launch: Launch, eventually: Callable[..., Any]) -> None:
    machine = launch("")
    eventually(lambda: aws.machines()[machine["InstanceId"]]["pid"])

    def systemctl(*words: str) -> tuple[int, str]:
        done = on(aws, machine, "systemctl", *words)
        return done.returncode, done.stdout.strip()

    assert on(aws, machine, "sh", "-c", UNITS).returncode == 0
    assert systemctl("enable", "--now", "again", "never", "once", "absent") == (5, "")
    assert systemctl("is-active", "again.service", "never", "once") == (0, "active\ninactive\nactive")
    assert systemctl("is-enabled", "again", "once") == (0, "enabled\nenabled")
    eventually(lambda: read(aws, machine, "/var/log/again.log").startswith("one two daemon 1\none two daemon 2\n"))
    assert systemctl("mask", "again") == (1, "")  # its file is in the way
    assert systemctl("stop", "again") == (0, "")
    assert systemctl("is-active", "again") == (3, "inactive")
    starts = read(aws, machine, "/srv/count")
    time.sleep(0.5)
    assert read(aws, machine, "/srv/count") == starts
    assert systemctl("mask", "other") == (0, "")
    assert systemctl("start", "other") == (1, "")
    assert systemctl("start", "broken") == (1, "")
    assert systemctl("is-failed", "broken") == (0, "failed")


def test_a_service_says_when_it_is_ready_and_who_goes_on_in_its_name(
    aws: LocalAws, launch: Launch, eventually: Callable[..., Any]
) -> None:
    """As Slurm's daemons do of newer versions, whenever they read their configuration again."""
    machine = launch("")
    eventually(lambda: aws.machines()[machine["InstanceId"]]["pid"])
    assert on(aws, machine, "sh", "-c", UNITS).returncode == 0
    assert on(aws, machine, "systemctl", "start", "says").returncode == 0
    child = read(aws, machine, "/srv/child")
    eventually(lambda: read(aws, machine, "/run/services/says.service/main") == child)
    assert on(aws, machine, "systemctl", "is-active", "says").stdout == "active\n"
    assert on(aws, machine, "systemctl", "stop", "says").returncode == 0
    eventually(lambda: on(aws, machine, "kill", "-0", child).returncode)


def test_slurms_daemons_find_each_other(
    aws: LocalAws, clients: Any, network: fixtures.Network, launch: Launch, eventually: Callable[..., Any]
) -> None:
    subnet = clients("ec2").describe_subnets(SubnetIds=[network.subnet_ids[0]])["Subnets"][0]
    head_at, *nodes_at = (str(ipaddress.ip_network(subnet["CidrBlock"])[number]) for number in (-11, -12, -13))
    key = base64.b64encode(os.urandom(128)).decode()
    conf = CONTROLLER.format(address=head_at, first=nodes_at[0], second=nodes_at[1])
    head = launch(MUNGE.format(key=key, daemon="slurmctld") + conf, PrivateIpAddress=head_at)
    munge = MUNGE.format(key=key, daemon="slurmd")
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


def test_a_groups_machines_complete_its_launch_hook_and_wait_at_its_end(
    aws: LocalAws, clients: Any, network: fixtures.Network, image: str, name: str, role: str,
    eventually: Callable[..., Any],
) -> None:  # fmt: skip
    aws.set(machines=name)
    allow = {"Effect": "Allow", "Action": "autoscaling:CompleteLifecycleAction", "Resource": "*"}
    clients("iam").put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=json.dumps({"Statement": [allow]}))
    data = {
        "ImageId": image,
        "InstanceType": "m5.large",
        "IamInstanceProfile": {"Name": role},
        "UserData": base64.b64encode(HOOK.format(group=name).encode()).decode(),
    }
    clients("ec2").create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
    groups = clients("autoscaling")
    transitions = {"launch": "autoscaling:EC2_INSTANCE_LAUNCHING", "end": "autoscaling:EC2_INSTANCE_TERMINATING"}
    groups.create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=0,
        MaxSize=8,
        DesiredCapacity=8,
        LaunchTemplate={"LaunchTemplateName": name},
        VPCZoneIdentifier=",".join(network.subnet_ids),
        LifecycleHookSpecificationList=[
            {"LifecycleHookName": hook, "LifecycleTransition": transition, "HeartbeatTimeout": 300}
            for hook, transition in transitions.items()
        ],
        Tags=[{"Key": "muster:cluster", "Value": name, "PropagateAtLaunch": True}],
    )

    def states() -> dict[str, str]:
        group = groups.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
        return {each["InstanceId"]: each["LifecycleState"] for each in group["Instances"]}

    eventually(lambda: [*states().values()] == ["Pending:Wait"] * 8)
    eventually(lambda: [*states().values()] == ["InService"] * 8, 60)
    groups.update_auto_scaling_group(AutoScalingGroupName=name, DesiredCapacity=0)
    eventually(lambda: [*states().values()] == ["Terminating:Wait"] * 8)
    pids = [aws.machines()[each]["pid"] for each in states()]
    assert all(map(alive, pids))
    groups.complete_lifecycle_action(
        AutoScalingGroupName=name,
        LifecycleHookName="end",
        InstanceId=next(iter(states())),
        LifecycleActionResult="CONTINUE",
    )
    eventually(lambda: len(states()) == 7 and sum(map(alive, pids)) == 7)
    groups.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)  # which waits for no hook
    eventually(lambda: not any(map(alive, pids)))


def test_machines_of_two_local_aws_do_not_meet_and_die_with_theirs(
    aws: LocalAws, clients: Any, eventually: Callable[..., Any]
) -> None:
    """Both have the same VPC. One server is killed, which leaves nothing of its machines."""
    ours = "172.31.0.20", "172.31.0.21"
    theirs = "172.31.0.22", "172.31.0.20"
    others = pair(aws, *theirs, eventually)
    with local_aws() as killed:
        machines = pair(killed, *ours, eventually)
        inside = machines[ours[0]]["enter"]
        assert "refused" in connect(inside, ours[1])  # there is somebody
        assert "No route" in connect(inside, theirs[0])
        os.kill(killed.pid, signal.SIGKILL)
        eventually(lambda: not any(alive(each["pid"]) for each in machines.values()), 5)
    assert all(alive(each["pid"]) for each in others.values())
    assert not killed.log.parent.exists()
    clients("ec2").terminate_instances(InstanceIds=[each["id"] for each in others.values()])


def pair(aws: LocalAws, first: str, second: str, eventually: Callable[..., Any]) -> dict[str, dict[str, Any]]:
    """Two machines that run, by their addresses."""
    aws.set(machines="c")
    subnet, image = fixtures.network(aws).subnet_ids[0], fixtures.image(aws)
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "muster:cluster", "Value": "c"}]}]
    for address in (first, second):
        aws.client("ec2").run_instances(
            ImageId=image, InstanceType="m5.large", MinCount=1, MaxCount=1, SubnetId=subnet,
            PrivateIpAddress=address, TagSpecifications=tags,
        )  # fmt: skip
    eventually(lambda: all(each["pid"] for each in aws.machines().values()))
    shown = aws.machines().items()
    return {each["address"]: each | {"id": instance} for instance, each in shown if each["cluster"] == "c"}


def connect(inside: list[str], address: str) -> str:
    """What becomes of a connection to a port where nobody listens."""
    command = [*inside, "bash", "-c", f"echo >/dev/tcp/{address}/9"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stderr


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
