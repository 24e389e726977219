"""The agents on machines of the local AWS: a head node and a group's nodes, with the rights that nodes have."""

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local import LocalAws, fixtures
from local.machine import unavailable
from reconciler import agent

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())

TRUST = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
COMMON = """#!/bin/bash
set -ex
apt-get install -y {daemon} slurm-client munge python3-boto3
mkdir -p /opt/muster /etc/muster /etc/systemd/system/slurmd.service.d
printf '[Unit]\\nConditionPathExists=\\n' >/etc/systemd/system/slurmd.service.d/muster.conf
aws s3 cp --quiet s3://{bucket}/node.pyz /opt/muster/node.pyz --region us-east-1
echo '{place}' >/etc/muster/node.json
serve() {{
  printf '%s\\n' "[Service]" "ExecStart=/usr/bin/env python3 /opt/muster/node.pyz $2" "Restart=always" "RestartSec=1" \\
    "[Install]" "WantedBy=multi-user.target" >"/etc/systemd/system/$1.service"
  systemctl daemon-reload
  systemctl enable --now "$1"
}}
"""
HEAD = COMMON + "serve muster-head head\n"
NODE = COMMON + "serve muster-node watch\npython3 /opt/muster/node.pyz join\n"
LOGS = "tail -n 40 /var/log/cloud-init-output.log /var/log/muster-*.log /var/log/services.log /var/log/slurm/*.log"


@dataclass
class Cluster:
    """A cluster without an operator: the test does what that would do."""

    aws: LocalAws
    clients: Callable[[str], Any]
    name: str
    head: str
    queue: str

    def look(self) -> None:
        """A message, such as the groups' notifications are."""
        self.clients("sqs").send_message(QueueUrl=self.queue, MessageBody="{}")

    def rows(self) -> dict[str, dict[str, Any]]:
        answer = self.clients("dynamodb").query(
            TableName=self.name,
            KeyConditionExpression="#c = :c",
            ExpressionAttributeNames={"#c": "cluster"},
            ExpressionAttributeValues={":c": {"S": f"{self.name}/nodes"}},
        )
        return {
            item["row"]["S"]: {key: next(iter(value.values())) for key, value in item.items()}
            for item in answer["Items"]
        }

    def nodes(self) -> dict[str, str]:
        """The rows' states by the instances' ids."""
        rows = self.rows().items()
        return {row.removeprefix("NODE#"): item["state"] for row, item in rows if row.startswith("NODE#")}

    def demand(self) -> Any:
        rows = self.rows()
        return json.loads(rows["DEMAND"]["document"]) if "DEMAND" in rows else {"queues": {"cpu": {}}}

    def size(self, desired: int) -> None:
        self.clients("autoscaling").set_desired_capacity(
            AutoScalingGroupName=f"{self.name}.cpu", DesiredCapacity=desired
        )

    def members(self) -> dict[str, str]:
        answer = self.clients("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[f"{self.name}.cpu"])
        return {each["InstanceId"]: each["LifecycleState"] for each in answer["AutoScalingGroups"][0]["Instances"]}

    def on_head(self, *command: str) -> str:
        done = subprocess.run(
            [*self.aws.enter(self.head), *command], capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout + done.stderr

    def logs(self) -> str:
        machines = [self.head, *(each for each in self.aws.machines() if each in self.nodes())]
        return "\n".join(
            subprocess.run(
                [*self.aws.enter(each), "sh", "-c", LOGS], capture_output=True, text=True, check=False
            ).stdout
            for each in machines
        )


@pytest.fixture
def cluster(
    aws: LocalAws, clients: Callable[[str], Any], network: fixtures.Network, image: str, name: str
) -> Iterator[Cluster]:
    aws.set(machines=name)
    clients("s3").create_bucket(Bucket=name)
    clients("s3").put_object(Bucket=name, Key="node.pyz", Body=agent.archive())
    clients("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("cluster", "row")],
        KeySchema=[{"AttributeName": "cluster", "KeyType": "HASH"}, {"AttributeName": "row", "KeyType": "RANGE"}],
    )
    url = clients("sqs").create_queue(QueueName=name)["QueueUrl"]
    _role(clients, name)
    queue = {"name": "cpu", "group": f"{name}.cpu", "max": 3, "cpus": 2, "memory": 1000, "gpus": 0}
    facts = json.dumps({"queues": [queue]})
    key = {"cluster": {"S": f"{name}/nodes"}, "row": {"S": "FACTS"}}
    clients("dynamodb").put_item(TableName=name, Item={**key, "document": {"S": facts}})
    place = {
        "cluster": name, "region": "us-east-1", "table": name, "queueUrl": url, "logGroup": "", "queue": "",
        "group": "", "head": "",
    }  # fmt: skip
    tags = [{"Key": "muster:cluster", "Value": name}]
    head = clients("ec2").run_instances(
        ImageId=image, InstanceType="m5.large", MinCount=1, MaxCount=1, SubnetId=network.subnet_ids[0],
        IamInstanceProfile={"Name": name}, TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        UserData=HEAD.format(daemon="slurmctld", bucket=name, place=json.dumps(place)),
    )["Instances"][0]  # fmt: skip
    place |= {"queue": "cpu", "group": f"{name}.cpu", "head": head["PrivateIpAddress"]}
    data = NODE.format(daemon="slurmd", bucket=name, place=json.dumps(place))
    clients("ec2").create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData={
            "ImageId": image,
            "InstanceType": "m5.large",
            "IamInstanceProfile": {"Name": name},
            "UserData": base64.b64encode(data.encode()).decode(),
        },
    )
    hook = {"LifecycleHookName": "muster-terminate", "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING"}
    clients("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=f"{name}.cpu", MinSize=0, MaxSize=3, DesiredCapacity=0,
        LaunchTemplate={"LaunchTemplateName": name}, VPCZoneIdentifier=network.subnet_ids[0],
        LifecycleHookSpecificationList=[{**hook, "HeartbeatTimeout": 900}],
        Tags=[{"Key": "muster:cluster", "Value": name, "PropagateAtLaunch": True}],
    )  # fmt: skip
    made = Cluster(aws, clients, name, head["InstanceId"], url)
    try:
        yield made
    finally:
        made.size(0)
        for instance in made.members():
            clients("autoscaling").complete_lifecycle_action(
                AutoScalingGroupName=f"{name}.cpu", LifecycleHookName="muster-terminate", InstanceId=instance,
                LifecycleActionResult="CONTINUE",
            )  # fmt: skip
        clients("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=f"{name}.cpu", ForceDelete=True)
        clients("ec2").terminate_instances(InstanceIds=[made.head])


def _role(clients: Callable[[str], Any], name: str) -> None:
    iam = clients("iam")
    actions = {
        "dynamodb": ["GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query"],
        "sqs": ["ReceiveMessage", "DeleteMessage", "SendMessage"],
        "autoscaling": ["DescribeAutoScalingGroups", "CompleteLifecycleAction"],
        "s3": ["GetObject"],
    }
    allowed = [f"{service}:{action}" for service, each in actions.items() for action in each]
    policy = {"Statement": [{"Effect": "Allow", "Action": allowed, "Resource": "*"}]}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [TRUST]}))
    iam.put_role_policy(RoleName=name, PolicyName="nodes", PolicyDocument=json.dumps(policy))
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)


def test_nodes_come_work_and_go(cluster: Cluster, eventually: Callable[..., Any]) -> None:
    try:
        _live(cluster, eventually)
    except BaseException as error:
        error.add_note(cluster.logs())
        raise


def _live(cluster: Cluster, eventually: Callable[..., Any]) -> None:
    eventually(lambda: cluster.rows().get("AGENT", {}).get("scheduler", "").startswith("slurm"))
    job = cluster.on_head("sbatch", "--parsable", "-N2", "--requeue", "--wrap", "srun hostname; sleep 600").strip()
    assert eventually(lambda: cluster.demand()["queues"]["cpu"].get("pending")) == [[1, 500, 0, 2, 1, 0]]

    cluster.size(2)
    cluster.look()
    eventually(lambda: [*cluster.nodes().values()] == ["ready"] * 2, 60)
    eventually(lambda: cluster.on_head("squeue", "-h", "-o", "%T", "-j", job).strip() == "RUNNING")
    eventually(lambda: cluster.demand()["queues"]["cpu"]["rooms"] == [[1, 500, 0, 2]])
    assert cluster.demand()["nodes"] == {"ready": 2}
    first, second = sorted(cluster.nodes())

    cluster.aws.set(notices={first: {"spot": {}}})
    eventually(lambda: cluster.nodes()[first] == "failed")
    assert cluster.rows()[f"NODE#{first}"]["reason"].startswith("Spot interruption at ")
    eventually(lambda: cluster.on_head("squeue", "-h", "-o", "%T", "-j", job).strip() == "PENDING")
    eventually(lambda: cluster.demand()["queues"]["cpu"]["idle"].keys() == {second})

    cluster.on_head("scancel", job)
    cluster.clients("dynamodb").update_item(
        TableName=cluster.name,
        Key={"cluster": {"S": f"{cluster.name}/nodes"}, "row": {"S": f"NODE#{second}"}},
        UpdateExpression="SET #s = :s",
        ExpressionAttributeNames={"#s": "state"},
        ExpressionAttributeValues={":s": {"S": "draining"}},
    )
    cluster.look()
    eventually(lambda: cluster.nodes()[second] == "drained")
    for instance in (first, second):
        cluster.clients("autoscaling").terminate_instance_in_auto_scaling_group(
            InstanceId=instance, ShouldDecrementDesiredCapacity=True
        )
    cluster.look()
    eventually(lambda: not cluster.members(), 60)
    states = cluster.on_head("sinfo", "--all", "-h", "-N", "-o", "%t").split()
    assert set(states) <= {"down", "down*", "down~"}
