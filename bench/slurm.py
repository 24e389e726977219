"""Slurm's queues with the deployed control plane and the real controller, on the local AWS.

How soon a job that is submitted resizes its group, and how long it takes until thousands of nodes are the same in all
three lists: members of the group, rows, Slurm's hosts. For that the head node is a machine and the nodes are not: what
a node does to others is done in its place (`_Nodes`), and all between is the product.
"""

import json
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from bench import daemons
from bench.figure import Figure
from bench.reaction import make_hop, time_of_hop, until
from local.aws import LocalAws, local_aws
from local.demo_slurm import unavailable
from local.deploy import ControlPlane, build, deploy
from local.fixtures import network
from local.slurm import CommandError, SlurmCluster
from node.cloud import WIDTH as CALLS_AT_ONCE
from reconciler.facts import group_name, stack_name
from reconciler.store import encode

RUNS, WARM_UP = 5, 1
SIZES = (1000, 4000)
# Seconds: what a run with many nodes may take, and between two looks at it.
PATIENCE, POLL = 1500.0, 0.5
QUEUE, SHAPE = "cpu", "CPUs=2 RealMemory=1000"
LAUNCH_HOOK = "muster-launch"
# How many calls at once are made in the nodes' place, and by the head node; and how many are a sample.
WIDTH, AT_ONCE, SAMPLE = 8, CALLS_AT_ONCE, 500
# The head node's own lines of these, but for the plugins, are what its nodes' daemons need.
COMMON = ("ClusterName", "SlurmctldHost", "SlurmUser", "AuthType", "SlurmctldParameters", "SlurmdParameters",
          "SelectType", "SelectTypeParameters", "ProctrackType", "TaskPlugin", "MpiDefault")  # fmt: skip
PATHS = "SlurmdSpoolDir=/run/daemons/%n\nSlurmdPidFile=/run/daemons/%n.pid\n"
# Slurm does not ask nodes that were there once whether they still are.
PREPARE = """
echo SlurmdTimeout=0 >/etc/slurm/muster-extra.conf
systemctl mask slurmd
apt-get install -y slurmd
systemctl restart muster-head
"""
# What is timed on the way up: the figure, and its words.
STEPS = {
    "agree": ("s", "until members, rows and hosts are the same"),
    "members": ("members_s", "until the group has its last member: the local AWS's own"),
    "rows": ("rows_s", "until all have a row"),
    "ready": ("ready_s", "until all rows are ready"),
}
Json = dict[str, Any]
Client = Callable[[str], Any]  # maker of boto3 clients, by service


def measure() -> Iterator[Figure]:
    """All of it, where the real Slurm can run."""
    if why_not := unavailable():
        print(f"slurm: not measured here, {why_not}", flush=True)
        return
    build()
    with local_aws() as aws:
        world = World(aws, deploy(aws, SweepMinutes="1440"))
        yield from resizes(world)
        for size in SIZES:
            yield from lists(world, size)


class World:
    """The local AWS, what is deployed there, and clusters."""

    def __init__(self, aws: LocalAws, plane: ControlPlane) -> None:
        self.aws, self.plane = aws, plane
        self.client: Client = aws.client

    def put(self, name: str, **bounds: int) -> None:
        """Write the spec of a cluster with one queue, whose nodes go as soon as they have no job."""
        net = network(self.aws)
        spec = {
            "scheduler": "slurm",
            "image": {"os": "ubuntu2404"},
            "idleTime": 0,
            "headNode": {"instanceType": "t3.medium"},
            "queues": [{"name": QUEUE, "instanceTypes": ["c6i.large"], **bounds}],
            "network": {"vpcId": net.vpc_id, "subnetIds": list(net.subnet_ids)},
        }
        table = self.plane.outputs["SpecsTable"]
        self.client("dynamodb").put_item(TableName=table, Item=encode({"name": name, "spec": spec}))

    @contextmanager
    def cluster(self, name: str, **bounds: int) -> Iterator[SlurmCluster]:
        """A cluster whose jobs can be submitted, for the time of the block."""
        self.put(name, **bounds)
        slurm = SlurmCluster(self.aws, self.plane.outputs["StateTable"], name, [QUEUE])
        wait("the head node", lambda: any(each["state"] == "running" for each in self.aws.machines().values()))
        wait("Slurm", lambda: is_up(slurm))
        yield slurm
        self.client("dynamodb").delete_item(TableName=self.plane.outputs["SpecsTable"], Key=encode({"name": name}))
        wait("the stack's end", lambda: not self._has_stack(name))

    def _has_stack(self, name: str) -> bool:
        found = self.client("cloudformation").describe_stacks()["Stacks"]
        return any(each["StackName"] == stack_name(name) for each in found)

    def group(self, name: str) -> Json:
        """The queue's group of a cluster."""
        names = [group_name(name, QUEUE)]
        found = self.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=names)
        return found["AutoScalingGroups"][0]

    def passes(self, since: float) -> list[float]:
        """The seconds of each pass of the operator since a time."""
        group = f"/muster-operator/{self.plane.stack}/reconcile"
        pages = self.client("logs").get_paginator("filter_log_events")
        found = pages.paginate(logGroupName=group, startTime=int(since * 1000))
        lines = (json_of(event["message"]) for page in found for event in page["events"])
        return [line["ended"] - line["started"] for line in lines if line.get("message") == "pass"]


def wait(what: str, seen: Callable[[], Any]) -> float:
    """Look until something is so; the time (seconds since the epoch) at which it was. To look takes a fifth of it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        looked = time.monotonic()
        try:
            if seen():
                return time.time()
        except (CommandError, KeyError, StopIteration) as error:  # no head node, or no controller, yet
            what = f"{what} ({error})"[:500]
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(max(POLL, 4 * (time.monotonic() - looked)))


def is_up(slurm: SlurmCluster) -> bool:
    """Whether the queue takes jobs: the head node's agent has been over all hosts."""
    return slurm.type("sinfo", "--noheader", "--format=%a").split()[:1] == ["up"]


# --- one job


def resizes(world: World) -> Iterator[Figure]:
    """From sbatch to the group's new size, and one hop of the local AWS, in turns, each when there is no node."""
    make_hop(world.client)
    world.aws.set(machines="one")
    with world.cluster("one", maxSize=10) as slurm:
        turns = [(time_of_hop(world.client, f"h{n}"), _resize(world, slurm)) for n in range(WARM_UP + RUNS)]
    hops, ours = (list(side) for side in zip(*turns[WARM_UP:], strict=True))
    yield Figure("submit_to_resize_s", round(statistics.median(ours), 2), "s from sbatch to the group's new size")
    yield Figure("submit_to_resize_worst_s", round(max(ours), 2), f"s, the longest of {RUNS}")
    yield Figure("submit_to_resize_hop_s", round(statistics.median(hops), 3), "s of the local AWS's own hop")
    yield Figure("submit_to_resize_peer_s", 30, "s, the mean of the peer's poll of 60 s, all else taken for nothing")


def _resize(world: World, slurm: SlurmCluster) -> float:
    """Seconds. The node comes and goes before this returns."""
    wait("rest", slurm.at_rest)
    sent = time.time()
    job = slurm.submit("true")
    resized = until(lambda: time.time() if world.group(slurm.name)["DesiredCapacity"] else None)
    slurm.type("scancel", job)
    wait("rest", slurm.at_rest)
    return resized - sent


# --- many nodes


class Nodes:
    """What is done in the place of a cluster's nodes, which are not there.

    A row that has no address gets one; a daemon registers with Slurm in the node's name; and when the row is ready
    the launch hook is completed. The daemons run on the head node, whose address all rows have.
    """

    def __init__(self, world: World, slurm: SlurmCluster) -> None:
        self._world, self._slurm = world, slurm
        self._address = world.aws.machines()[slurm.head]["address"]
        self._begun, self._calls, self._lock = set[tuple[str, str]](), list[Future[None]](), Lock()
        self._pool = ThreadPoolExecutor(WIDTH)
        settings = dict(
            line.split("=", 1) for line in slurm.type("cat", "/etc/slurm/slurm.conf").split() if "=" in line
        )
        common = "".join(f"{name}={settings[name]}\n" for name in COMMON) + PATHS
        code = Path(daemons.__file__).read_text()
        enter = world.aws.enter(slurm.head)
        self._daemons = subprocess.Popen(
            [*enter, "python3", "-c", code, common, SHAPE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def tend(self) -> dict[str, Json]:
        """One look at all rows, and the beginning of what follows from it; the rows."""
        rows = self._slurm.rows()
        for instance, row in rows.items():
            do = {"booting": self._tell, "ready": self._serve}.get(row["state"])
            if do and (instance, row["state"]) not in self._begun:
                self._begun.add((instance, row["state"]))
                self._calls.append(self._pool.submit(do, instance, row["name"]))
        over = [call for call in self._calls if call.done()]
        self._calls = [call for call in self._calls if not call.done()]
        for call in over:
            call.result()
        return rows

    def _tell(self, instance: str, name: str) -> None:
        self._world.client("dynamodb").update_item(
            TableName=self._world.plane.outputs["StateTable"],
            Key=encode({"cluster": f"{self._slurm.name}/nodes", "row": f"NODE#{instance}"}),
            UpdateExpression="SET address = :address",
            ExpressionAttributeValues=encode({":address": self._address}),
        )
        assert self._daemons.stdin
        with self._lock:
            print(name, file=self._daemons.stdin, flush=True)

    def _serve(self, instance: str, _: str) -> None:
        self._world.client("autoscaling").complete_lifecycle_action(
            AutoScalingGroupName=group_name(self._slurm.name, QUEUE),
            LifecycleHookName=LAUNCH_HOOK,
            LifecycleActionResult="CONTINUE",
            InstanceId=instance,
        )

    def end(self) -> None:
        """No more of it."""
        self._daemons.kill()
        self._daemons.wait()
        self._pool.shutdown(cancel_futures=True)


def lists(world: World, size: int) -> Iterator[Figure]:
    """So many nodes at once, until all lists agree; and none again."""
    name = f"n{size}"
    world.aws.set(machines=f"{name}/head", complete_hooks=False)
    with world.cluster(name, minSize=0, maxSize=size) as slurm:
        yield from _floor(world, size)
        slurm.type("sh", "-ec", PREPARE)
        wait("the setting", lambda: "SlurmdTimeout           = 0 " in slurm.type("scontrol", "show", "config"))
        wait("Slurm", lambda: is_up(slurm))
        nodes = Nodes(world, slurm)
        try:
            yield from _up(world, slurm, nodes, size)
            yield from _down(world, slurm, size)
        finally:
            nodes.end()


def _floor(world: World, size: int) -> Iterator[Figure]:
    """What the local AWS itself needs for a row: a part of them by hand, as many at once as the head node makes."""
    table = world.plane.outputs["StateTable"]

    def write(number: int) -> None:
        key = encode({"cluster": f"floor{size}/nodes", "row": f"NODE#{number}"})
        world.client("dynamodb").put_item(TableName=table, Item=key)

    begun = time.time()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(write, range(SAMPLE)))
    rows = (time.time() - begun) / SAMPLE * size
    yield Figure(f"lists_agree_{size}_floor_s", round(3 * rows, 1), "s of three writes a row by hand, from a sample")


def _up(world: World, slurm: SlurmCluster, nodes: Nodes, size: int) -> Iterator[Figure]:
    world.aws.calls(forget=True)
    world.put(slurm.name, minSize=size, maxSize=size)
    wait("the group's size", lambda: world.group(slurm.name)["DesiredCapacity"] == size)
    seen: dict[str, float] = {}

    def agree() -> bool:
        rows = nodes.tend()
        if "rows" not in seen and len(rows) == size:
            seen["rows"] = time.time()
        all_ready = len(rows) == size and all(row["state"] == "ready" for row in rows.values())
        if "ready" not in seen and all_ready:
            seen["ready"] = time.time()
        return all_ready and slurm.lists_agree()

    seen["agree"] = wait("agreement", agree)
    # The local AWS answers nobody while it launches, so that the group's size is seen late.
    begun, seen["members"] = _launched(world, slurm.name)
    for step, (name, words) in STEPS.items():
        yield Figure(f"lists_agree_{size}_{name}", round(seen[step] - begun, 1), f"s from the group's new size {words}")
    yield from _costs(world, slurm, f"lists_agree_{size}", begun)


def _launched(world: World, name: str) -> tuple[float, float]:
    """When the group began to launch its first member, and its last (seconds since the epoch)."""
    pages = world.client("autoscaling").get_paginator("describe_scaling_activities")
    found = pages.paginate(AutoScalingGroupName=group_name(name, QUEUE))
    times = [activity["StartTime"].timestamp() for page in found for activity in page["Activities"]]
    return min(times), max(times)


def _down(world: World, slurm: SlurmCluster, size: int) -> Iterator[Figure]:
    world.aws.calls(forget=True)
    world.put(slurm.name, minSize=0, maxSize=size)
    begun = time.time()
    ended = wait("rest", slurm.at_rest)
    yield Figure(f"lists_empty_{size}_s", round(ended - begun, 1), "s until no list had a node, from the spec on")
    yield from _costs(world, slurm, f"lists_empty_{size}", begun)


def _costs(world: World, slurm: SlurmCluster, name: str, since: float) -> Iterator[Figure]:
    """Calls by who made them, and the operator's passes."""
    calls = world.aws.calls()
    for who, mark in (("agent", f"muster-{slurm.name}-Head"), ("operator", "Reconcile"), ("wake", "Wake")):
        made = sum((Counter(found) for role, found in calls.items() if mark in role), Counter[str]())
        told = ", ".join(f"{count} {action}" for action, count in made.most_common())
        yield Figure(f"{name}_{who}_calls", sum(made.values()), f"calls: {told}")
    passes = world.passes(since)
    yield Figure(f"{name}_passes", len(passes), f"passes, {sum(passes):.0f} s, the longest {max(passes):.1f} s")


def json_of(line: str) -> Json:
    """A line of a function's log; empty for one of Lambda's own."""
    return json.loads(line) if line.startswith("{") else {}
