"""A cluster with the real Slurm: its instances run, and what its users type is typed on its head node."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from local.slurm import CommandError, SlurmCluster
from tests.e2e.world import Cluster, Json, World

T = TypeVar("T")
# Seconds: a node has to boot, and several do so at once on two cores.
PATIENCE = 300.0
POLL = 0.3
QUEUES = {"small": 4, "large": 2}


def spec(world: World, **changes: Any) -> Json:
    """Two queues, of 2 and 4 vCPUs a node, whose nodes are not kept when they have no work."""
    return {
        "scheduler": "slurm",
        "image": {"os": "ubuntu2404"},
        "idleTime": 0,
        "headNode": {"instanceType": "t3.medium"},
        "queues": [
            {"name": "small", "instanceTypes": ["c6i.large"], "maxSize": QUEUES["small"]},
            {"name": "large", "instanceTypes": ["c6i.xlarge"], "maxSize": QUEUES["large"]},
        ],
        "network": {"vpcId": world.net.vpc_id, "subnetIds": list(world.net.subnet_ids)},
        **changes,
    }


class Slurm(SlurmCluster):
    """The same with patience, and with words for a failure."""

    def __init__(self, world: World, cluster: Cluster) -> None:
        super().__init__(world.aws, world.out("StateTable"), cluster.name, list(QUEUES))
        self.world, self.cluster = world, cluster

    def output(self, name: str) -> str:
        """An output of the cluster's stack."""
        outputs = (self.cluster.stack or {}).get("Outputs", ())
        return next(each["OutputValue"] for each in outputs if each["OutputKey"] == name)

    def holds(self, kind: str) -> bool:
        """Whether a condition of the cluster is True."""
        return self.cluster.condition(kind).get("status") == "True"

    def boot(self) -> int:
        """Another number after each boot of the head node; 0 while it is off."""
        return self.aws.machines()[self.head]["pid"]

    def answers(self, *command: str) -> bool:
        """Whether a command succeeds on the head node."""
        try:
            return bool(self.type(*command))
        except CommandError:
            return False

    def until(self, what: str, seen: Callable[[], T | None]) -> T:
        """Look again and again until `seen` finds something; a failure tells all there is to know.

        A command that fails is no answer yet: with newer Slurm some do while the controller restarts.
        """
        started, failure = time.monotonic(), ""
        while True:
            try:
                if found := seen():
                    return found
            except CommandError as error:
                failure = f"; the last failure: {error}"
            if time.monotonic() - started > PATIENCE:
                raise AssertionError(f"not within {PATIENCE:.0f} s: {what}{failure}\n{self.story()}")
            time.sleep(POLL)

    def until_job(self, identifier: str, *states: str) -> None:
        """Wait until a job, or all of an array, are in one of these states."""
        self.until(f"job {identifier} {states}", lambda: set(self.job(identifier)) <= set(states))

    def until_at_rest(self) -> None:
        """Wait until no queue has a node."""
        self.until("the lists to agree that there is no node", self.at_rest)

    def story(self) -> str:
        """All that a person would look at."""
        parts = {
            "members": json.dumps(self.members()),
            "rows": json.dumps(self.rows(), default=str),
            "sinfo": self._try("sinfo", "--all", "--Node", "--long"),
            "squeue": self._try("squeue", "--all", "--long", "--array"),
            "agent": self._try("tail", "-n", "40", "/var/log/muster-head.log"),
            "machines": json.dumps(self.aws.machines(), default=str)[-3000:],
            "cluster": self.cluster.story(),
        }
        return "\n".join(f"--- {title}\n{text}" for title, text in parts.items())

    def _try(self, *command: str) -> str:
        try:
            return self.type(*command)
        except (CommandError, KeyError, StopIteration, subprocess.TimeoutExpired) as error:
            return repr(error)


@contextmanager
def running(world: World, name: str, **changes: Any) -> Iterator[Slurm]:
    """A Slurm cluster, with a spec changed so, for the time of the block; nothing of it is left."""
    made = Slurm(world, Cluster(world, name))
    with world.behaving(machines="slurm-*"):
        made.cluster.put(spec(world, **changes))
        made.until("readiness", lambda: made.holds("Ready"))
        # A job that is queued again waits until what it was started with has expired, two minutes otherwise.
        made.type(
            "sh", "-c", "echo AuthInfo=cred_expire=5 >/etc/slurm/muster-extra.conf; systemctl restart muster-head"
        )
        yield made
        made.cluster.delete()
        made.until("the end of the record", lambda: made.cluster.record is None)
        assert world.tagged(name) == []
        assert world.aws.machines() == {}


def busy_node(slurm: Slurm) -> str:
    """The instance that runs something, once there is one."""

    def seen() -> str | None:
        busy = [name for name, state in slurm.hosts().items() if state.startswith(("mixed", "allocated"))]
        return next((i for i, row in slurm.rows().items() if row["name"] in busy), None)

    return slurm.until("a node with a job", seen)


def until_leaving(slurm: Slurm, node: str) -> None:
    """Until no job is started on a node any more."""

    def seen() -> bool:
        row = slurm.rows().get(node, {})
        return row.get("state") == "draining" and slurm.hosts()[row["name"]].startswith("drain")

    slurm.until("the node to be drained", seen)
