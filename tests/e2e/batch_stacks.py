"""Stacks of clusters of AWS Batch, made, changed and deleted with the role that is lent to CloudFormation."""

import copy
import json
from typing import Any

from local.aws import ACCOUNT, REGION
from reconciler.facts import job_definition_name, job_queue_name
from reconciler.render import Pins, Rendered, Site, render, required_zones
from tests.e2e.world import Cluster, Json, World
from tests.unit.render import batches
from tests.unit.render.support import subnet

SPOT_FLEET: Json = {"name": "fleet", "type": "SPOT", "allocationStrategy": "BEST_FIT", "instanceTypes": ["c5.large"]}
FARGATE: Json = {"name": "small", "type": "FARGATE"}
# A cluster with something of each kind, and one job definition a platform.
MIXED: Json = {
    "images": [batches.DOCKERFILE],
    "computeEnvironments": [{"name": "any", "instanceTypes": ["c6i.large"]}, SPOT_FLEET, FARGATE],
    "queues": [
        {"name": "main", "computeEnvironments": ["any", "fleet"]},
        {"name": "shared", "computeEnvironments": ["small"], "fairShare": {"decaySeconds": 60}},
    ],
    "jobDefinitions": [
        {"name": "run", "image": "app", "command": ["sleep", "600"]},
        {"name": "little", "image": "app", "platform": "FARGATE"},
    ],
}
LEFT = "compute-environment/"


def changed(batch: Json) -> Json:
    """The same with another instance type, other shares, another order of its queues and another command."""
    made = copy.deepcopy(batch)
    made["computeEnvironments"][0]["instanceTypes"] = ["c5.large"]
    made["queues"][1]["fairShare"]["decaySeconds"] = 120
    made["jobDefinitions"][0]["command"] = ["sleep", "6000"]
    return made


class BatchStack:
    """The stack of one cluster. Nobody puts its spec into the table: the stack is made by hand."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.world = cluster, cluster.world
        self.batch = self.world.client("batch")
        self.rendered: Rendered | None = None

    def create(self, batch: Json, **spec: Any) -> None:
        """Make it, and wait until it is made."""
        self.start(batch, **spec)
        self.ends_as("CREATE_COMPLETE")

    def start(self, batch: Json, **spec: Any) -> None:
        """Begin to make it."""
        cloudformation = self.world.client("cloudformation")
        cloudformation.create_stack(StackName=self.cluster.stack_name, OnFailure="ROLLBACK", **self._input(batch, spec))

    def update(self, batch: Json, **spec: Any) -> None:
        """Change it by a change set, as the operator does."""
        cloudformation = self.world.client("cloudformation")
        name = {"StackName": self.cluster.stack_name, "ChangeSetName": "next"}
        cloudformation.create_change_set(ChangeSetType="UPDATE", **name, **self._input(batch, spec))
        status = "Status"
        self.cluster.until(
            "the change set", lambda: cloudformation.describe_change_set(**name)[status] == "CREATE_COMPLETE"
        )
        cloudformation.execute_change_set(**name)
        self.ends_as("UPDATE_COMPLETE")

    def delete(self) -> None:
        """Delete it, and wait until it is gone."""
        self.world.client("cloudformation").delete_stack(StackName=self.cluster.stack_name)
        self.ends_as("")

    def ends_as(self, status: str) -> None:
        """Wait for the end of the operation. Raises AssertionError if it is another one."""

        def over() -> str | None:
            now = (self.cluster.stack or {}).get("StackStatus", "")
            return None if now.endswith("IN_PROGRESS") else f"it is {now}"

        assert self.cluster.until("the end of the operation", over) == f"it is {status}", self.cluster.story()

    # --- what there is

    def environments(self) -> dict[str, Json]:
        """All compute environments of the cluster, those outside of the stack too, by name."""
        pages = self.batch.get_paginator("describe_compute_environments").paginate()
        found = [each for page in pages for each in page["computeEnvironments"]]
        mark = f"{self.cluster.stack_name}_"
        return {
            each["computeEnvironmentName"]: each for each in found if each["computeEnvironmentName"].startswith(mark)
        }

    def queue(self, name: str) -> Json | None:
        """A queue as Batch shows it."""
        found = self.batch.describe_job_queues(jobQueues=[job_queue_name(self.cluster.name, name)])["jobQueues"]
        return next(iter(found), None)

    def order(self, name: str) -> list[str]:
        """The names of a queue's compute environments."""
        queue = self.queue(name)
        assert queue is not None
        order = sorted(queue["computeEnvironmentOrder"], key=lambda each: each["order"])
        return [each["computeEnvironment"].rpartition("/")[2] for each in order]

    def submit(self, queue: str, definition: str, **options: Any) -> str:
        """Submit a job; its id."""
        of = self.cluster.name
        answer = self.batch.submit_job(
            jobName="job",
            jobQueue=job_queue_name(of, queue),
            jobDefinition=job_definition_name(of, definition),
            **options,
        )
        return answer["jobId"]

    def job(self, job_id: str) -> Json:
        """A job as Batch shows it."""
        return self.batch.describe_jobs(jobs=[job_id])["jobs"][0]

    def left(self) -> list[str]:
        """What bears the cluster's tag and is no compute environment."""
        return [each for each in self.world.tagged(self.cluster.name) if LEFT not in each]

    # --- rendering

    def _input(self, batch: Json, spec: Json) -> Json:
        self.rendered = self._render(batch, spec)
        bucket, key = self.world.out("ArtifactsBucket"), f"templates/{self.cluster.name}/{self.rendered.hash}.json"
        self.world.client("s3").put_object(Bucket=bucket, Key=key, Body=self.rendered.body.encode())
        return {
            "TemplateURL": f"{self.world.aws.endpoint}/{bucket}/{key}",
            "Capabilities": ["CAPABILITY_IAM"],
            "RoleARN": self.world.out("StackRoleArn"),
            "Tags": [{"Key": key, "Value": value} for key, value in sorted(self.rendered.tags.items())],
        }

    def _render(self, batch: Json, spec: Json) -> Rendered:
        net = self.world.net
        network = {"vpcId": net.vpc_id, "subnetIds": list(net.subnet_ids), **spec.pop("network", {})}
        here = json.loads(json.dumps(batch).replace(subnet(2), net.subnet_ids[1]))
        of = batches.cluster(self.cluster.name, here, network=network, **spec)
        return render(of, _site(self.world), Pins(zones=self._zones(required_zones(of))))

    def _zones(self, subnets: set[str]) -> dict[str, str]:
        found = self.world.client("ec2").describe_subnets(SubnetIds=sorted(subnets))["Subnets"]
        return {each["SubnetId"]: each["AvailabilityZone"] for each in found}


def _site(world: World) -> Site:
    table = world.out("StateTable")
    return Site(
        owner=world.plane.stack,
        region=REGION,
        partition="aws",
        account=ACCOUNT,
        artifacts_bucket=world.out("ArtifactsBucket"),
        cleanup_function_arn=world.out("CleanupFunctionArn"),
        state_table=table,
        state_table_arn=f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}",
    )
