"""A Slurm cluster on the local AWS, seen by its users and by whoever compares its three lists."""

import subprocess
from functools import cached_property
from typing import Any

from local.aws import LocalAws
from reconciler.facts import group_name
from reconciler.store import NAMES, decode, encode

# Seconds that a command on a machine may take; one that waits for nodes takes long.
PATIENCE = 180.0
Json = dict[str, Any]


class CommandError(Exception):
    """A command on a machine failed; the message is what it said."""


class SlurmCluster:
    """What is typed on its machines, and what there is: members of the groups, rows of the table, hosts of Slurm."""

    def __init__(self, aws: LocalAws, state_table: str, name: str, queues: list[str]) -> None:
        self.aws, self.name, self.queues = aws, name, queues
        self._state_table = state_table

    # --- its users

    @cached_property
    def head(self) -> str:
        """The head node's instance."""
        machines = self.aws.machines()
        tags = [{"Name": "tag:muster:cluster", "Values": [self.name]}, {"Name": "tag:muster:node", "Values": ["head"]}]
        found = self.aws.client("ec2").describe_instances(Filters=tags)["Reservations"]
        return next(i["InstanceId"] for each in found for i in each["Instances"] if i["InstanceId"] in machines)

    def type(self, *command: str, stdin: str = "", instance: str = "") -> str:
        """Run a command on the head node or another instance; what it printed. Raises CommandError if it fails."""
        enter = self.aws.enter(instance or self.head)
        done = subprocess.run(
            [*enter, *command], input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        if done.returncode:
            raise CommandError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def submit(self, script: str, *options: str) -> str:
        """The id of a batch job."""
        text = f"#!/bin/sh\n{script}\n"
        usual = ("--parsable", "--output=/dev/null", "--chdir=/tmp", "--mem-per-cpu=100")
        return self.type("sbatch", *usual, *options, stdin=text).strip()

    def job(self, identifier: str) -> list[str]:
        """The states of a job, or of all of an array, each once."""
        text = self.type("squeue", "--noheader", "--array", "--states=all", "--format=%T", f"--jobs={identifier}")
        return sorted(set(text.split()))

    # --- the three lists

    def groups(self) -> dict[str, Json]:
        """The groups by their queues."""
        names = {group_name(self.name, queue): queue for queue in self.queues}
        answer = self.aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=list(names))
        return {names[each["AutoScalingGroupName"]]: each for each in answer["AutoScalingGroups"]}

    def members(self, *queues: str) -> dict[str, str]:
        """The members of queues' groups, of all of them if none is named, by their lifecycle state."""
        groups = [group for queue, group in self.groups().items() if queue in (queues or self.queues)]
        return {each["InstanceId"]: each["LifecycleState"] for group in groups for each in group.get("Instances", ())}

    def rows(self) -> dict[str, Json]:
        """The rows of the nodes, by their instances."""
        pages = self.aws.client("dynamodb").get_paginator("query").paginate(
            TableName=self._state_table,
            KeyConditionExpression="#cluster = :nodes AND begins_with(#row, :node)",
            ExpressionAttributeNames=NAMES,
            ExpressionAttributeValues=encode({":nodes": f"{self.name}/nodes", ":node": "NODE#"}),
            ConsistentRead=True,
        )  # fmt: skip
        rows = [decode(item) for page in pages for item in page["Items"]]
        return {row["row"].removeprefix("NODE#"): row for row in rows}

    def hosts(self) -> dict[str, str]:
        """The hosts that are up, with their states."""
        lines = self.type("sinfo", "--all", "--noheader", "--Node", "--format=%N %T").splitlines()
        found = (line.partition(" ") for line in lines)
        return {name: state for name, _, state in found if not state.startswith("down")}

    def lists_agree(self) -> bool:
        """Whether members, rows and hosts are the same nodes, all of them serving."""
        members, rows = self.members(), self.rows()
        serving = all(state == "InService" for state in members.values())
        ready = all(row["state"] == "ready" for row in rows.values())
        named = {row["name"] for row in rows.values()}
        return serving and ready and members.keys() == rows.keys() and named == self.hosts().keys()

    def at_rest(self) -> bool:
        """Whether the lists agree that there is no node, and none is asked for."""
        wanted = sum(group["DesiredCapacity"] for group in self.groups().values())
        return not wanted and not self.rows() and self.lists_agree()
