"""Users who never rest: sizes, tags, queues, mistakes, pauses, deletions; and hands that meddle with the groups."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

from botocore.exceptions import ClientError

from tests.e2e.world import Cluster, Json, World, queue

MOST = 3  # nodes of a queue
SLURM_EVERY = 5  # one cluster in so many is Slurm's


class User:
    """The owner of one cluster. `spec` is the last good one, `written` what the table holds; None is no item.

    With Slurm, `jobs` are how many nodes jobs ask for, by queue.
    """

    def __init__(self, world: World, number: int, random: Random) -> None:
        self.world, self.random, self.number = world, random, number
        self.cluster = Cluster(world, f"soak-{number:03}")
        self.slurm = number % SLURM_EVERY == 1
        self.jobs: dict[str, int] = {}
        queues = [self._queue()]
        # Who shrinks a queue ends nodes, and has to say so.
        self.spec: Json = world.spec(queues=queues, consent=["queues/compute", "queues/more"])
        if self.slurm:
            self.spec |= {"scheduler": "slurm", "image": {"os": "ubuntu2404"}, "idleTime": 0}
        if number % 4 == 0:
            self.spec["sharedStorage"] = [
                {"name": "data", "mountDir": "/data", "deletionPolicy": "Delete", "ebs": {"size": 10}}
            ]
        self.written: Json | None = None

    def write(self, spec: Json) -> None:
        self.written = deepcopy(spec)
        self.cluster.put(self.written)

    def edit(self, **changes: Any) -> None:
        """An edit of the good spec; it makes the cluster again if it was deleted, and mends a mistake."""
        self.spec = {**self.spec, **changes}
        self.write(self.spec)

    # What a user does.

    def resize(self) -> None:
        self.edit(queues=[self._queue(each["name"]) for each in self.spec["queues"]])

    def tag(self) -> None:
        self.edit(tags={"round": str(self.random.randint(0, 9))})

    def add_or_drop_queue(self) -> None:
        first, *more = self.spec["queues"]
        self.edit(queues=[first] if more else [first, self._queue("more")])

    def submit(self) -> None:
        """Jobs come, or all have ended; without Slurm nobody asks for them."""
        self.jobs = {each["name"]: self.random.randint(0, MOST) for each in self.spec["queues"]}

    def stop_or_start_the_fleet(self) -> None:
        if self.slurm:
            self.edit(fleet="running" if self.spec.get("fleet") == "stopped" else "stopped")

    def pause_or_go_on(self) -> None:
        self.edit(paused=not self.spec.get("paused", False))

    def err(self) -> None:
        wrong = [{"queues": []}, {"headNode": {"instanceType": "t3"}}, {"nodes": 7}, {"network": "default"}]
        self.write({**self.spec, **self.random.choice(wrong)})

    def delete(self) -> None:
        self.written = None
        self.cluster.delete()

    # What a hand does that does not know of the operator.

    def meddle_with_size(self) -> None:
        size = self.random.randint(0, MOST + 2)
        self._by_hand("update_auto_scaling_group", MinSize=0, MaxSize=size, DesiredCapacity=size)

    def meddle_with_processes(self) -> None:
        self._by_hand("suspend_processes", ScalingProcesses=["Launch"])

    def terminate_a_node(self) -> None:
        nodes = sorted(self.cluster.nodes())
        if nodes:
            self.world.client("ec2").terminate_instances(InstanceIds=[self.random.choice(nodes)])

    def _by_hand(self, operation: str, **request: Any) -> None:
        try:
            group = self.cluster.group_name()
            getattr(self.world.client("autoscaling"), operation)(AutoScalingGroupName=group, **request)
        except ClientError as error:
            if "not found" not in str(error):
                raise

    def _queue(self, name: str = "compute") -> Json:
        """A queue of any size; with Slurm, between any bounds."""
        most = self.random.randint(0, MOST)
        if self.slurm:
            return queue(name, size=None, minSize=self.random.randint(0, most), maxSize=most)
        return queue(name, size=most)

    def settle(self) -> None:
        """The last edit: what is there is there to stay, well and not paused; no job runs any more."""
        self.jobs = {}
        stopped = self.spec.get("paused") or self.spec.get("fleet") == "stopped"
        if self.written is not None and (self.written != self.spec or stopped):
            self.edit(paused=False, **({"fleet": "running"} if self.slurm else {}))

    def wanted(self) -> dict[str, tuple[int, int, int]]:
        """The sizes (least, most and desired) that its groups are to have in the end, by queue."""
        if self.slurm:
            return {each["name"]: (0, each["maxSize"], each["minSize"]) for each in self.spec["queues"]}
        return {each["name"]: (each["size"],) * 3 for each in self.spec["queues"]}


# What is done, and how often of so many.
DEEDS: dict[Callable[[User], None], int] = {
    User.resize: 25,
    User.tag: 10,
    User.add_or_drop_queue: 10,
    User.pause_or_go_on: 10,
    User.err: 10,
    User.delete: 10,
    User.meddle_with_size: 10,
    User.meddle_with_processes: 5,
    User.terminate_a_node: 10,
    User.submit: 15,
    User.stop_or_start_the_fleet: 5,
}


def act(users: list[User], random: Random, done: Counter[str]) -> None:
    """One deed of one user, chosen by chance."""
    (deed,) = random.choices(list(DEEDS), list(DEEDS.values()))
    deed(random.choice(users))
    done[deed.__name__] += 1
