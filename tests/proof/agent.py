"""A head node's agent in the proof's world: it moves rows by the rules of `node.lists`, and jobs run on its nodes.

All that it knows of instances it has from the tables and the groups, as the real one has. It looks every few seconds
as long as anything moves, and is else woken by what the operator does.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from moto.autoscaling.models import autoscaling_backends
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType

from node.lists import Deed, Host, Known, Member, Row, Seen, free_names, tasks
from reconciler.store import decode, encode
from tests.conftest import REGION
from tests.unit.factories import NAME
from tests.unit.plane import ACCOUNT, client

PARTITION = f"{NAME}/nodes"
KEY = DynamoType({"S": PARTITION})
# Seconds: between looks, that a node takes to boot, and between signs of life.
TURN, BOOT, SIGN = 10, 25, 60
SAYS = {
    Deed.SAY_READY: "ready",
    Deed.SAY_DRAINING: "draining",
    Deed.SAY_DRAINED: "drained",
    Deed.SAY_FAILED: "failed",
}
HOSTS = {Host.IDLE: Host.BUSY, Host.LOCKED: Host.LOCKED_BUSY}


@dataclass
class Agent:
    """`jobs` take a whole node for so many seconds each; `running` maps hosts to the end of their job."""

    now: Callable[[], float]
    at: Callable[[float, Callable[[], None]], None]
    wake: Callable[[], None]
    jobs: list[float] = field(default_factory=list[float])
    running: dict[str, float] = field(default_factory=dict[str, float])
    hosts: dict[str, Seen] = field(default_factory=dict[str, Seen])
    idle: dict[str, int] = field(default_factory=dict[str, int])
    lost: int = 0
    said: str = ""
    turning: bool = False

    def submit(self, seconds: float) -> None:
        self.jobs.append(seconds)
        self.kick()

    def kick(self) -> None:
        """Look soon, if no look is due."""
        if not self.turning:
            self.turning = True
            self.at(TURN, self._turn)

    def sign(self) -> None:
        """The agent lives, if its head node does and was told of its queues."""
        rows = self._rows()
        if "FACTS" in rows and ("AGENT" not in rows or self.now() - float(rows["AGENT"]["at"]) >= SIGN):
            self._put("AGENT", at=int(self.now()), version="1", scheduler="slurm 23.11.4", reason="")

    def _turn(self) -> None:
        self.turning = False
        rows = self._rows()
        if "FACTS" not in rows:
            return
        before = self._picture(rows)
        self.sign()
        for queue in json.loads(rows["FACTS"]["document"])["queues"]:
            self._look(queue["name"], queue["max"])
        self._run()
        self._publish()
        after = self._rows()
        nodes = [row for key, row in after.items() if key.startswith("NODE#")]
        moving = [row for row in nodes if row["state"] != "ready"] or self.running or len(nodes) != len(self._members())
        if moving or before != self._picture(after):
            self.kick()

    def _picture(self, rows: dict[str, dict[str, Any]]) -> str:
        """All but its own sign of life."""
        seen = {key: row for key, row in rows.items() if key != "AGENT"}
        return json.dumps([seen, self.running], default=str, sort_keys=True)

    def _look(self, queue: str, most: int) -> None:
        members = dict.fromkeys(self._members(), Member.SERVING)
        self._boot(members)
        nodes = self._nodes()
        known = {key: Known(Row(row["state"]), float(row["since"]), row["name"]) for key, row in nodes.items()}
        for deed, instance, name in list(tasks(members, known, self.hosts, self.now())):
            if deed is Deed.ADD:
                self._add(instance, queue, most)
            elif deed is Deed.DROP:
                key = {"cluster": PARTITION, "row": f"NODE#{instance}"}
                client("dynamodb").delete_item(TableName="state", Key=encode(key))
            elif deed in SAYS:
                self._move(instance, SAYS[deed])
            elif deed is Deed.UNBIND:
                self._unbind(name)
            elif deed is Deed.LOCK:
                busy = name in self.running
                self.hosts[name] = Seen(Host.LOCKED_BUSY if busy else Host.LOCKED, self.now())

    def _boot(self, members: Collection[str]) -> None:
        for instance, row in self._nodes().items():
            booted = instance in members and self.now() - float(row["since"]) >= BOOT
            if booted and row["state"] == "booting" and self.hosts[row["name"]].state is Host.DOWN:
                self.hosts[row["name"]] = Seen(Host.IDLE, self.now())

    def _unbind(self, name: str) -> None:
        self.lost += name in self.running
        self.running.pop(name, None)
        self.hosts[name] = Seen(Host.DOWN, self.now())

    def _add(self, instance: str, queue: str, most: int) -> None:
        name = next(free_names(queue, most, [row["name"] for row in self._nodes().values()]), "")
        if name:
            row = {"queue": queue, "name": name, "state": "booting", "since": int(self.now()), "served": False}
            self._put(f"NODE#{instance}", **row)
            self.hosts[name] = Seen(Host.DOWN, self.now())

    def _move(self, instance: str, state: str) -> None:
        row = self._nodes()[instance]
        served = row["served"] or state == "ready"
        self._put(f"NODE#{instance}", **{**row, "state": state, "since": int(self.now()), "served": served})

    def _run(self) -> None:
        self.running = {name: end for name, end in self.running.items() if end > self.now()}
        for name, seen in sorted(self.hosts.items()):
            if self.jobs and seen.state is Host.IDLE and name not in self.running:
                self.running[name] = self.now() + self.jobs.pop(0)
        for name, seen in self.hosts.items():
            for idle, busy in HOSTS.items():
                if seen.state in (idle, busy):
                    self.hosts[name] = Seen(busy if name in self.running else idle, self.now())

    def _publish(self) -> None:
        nodes = self._nodes()
        idle = [
            instance
            for instance, row in nodes.items()
            if row["state"] == "ready" and self.hosts[row["name"]].state is Host.IDLE
        ]
        self.idle = {each: self.idle.get(each, int(self.now())) for each in idle}
        pending = [[2, 3000, 0, 1, len(self.jobs), 1]] if self.jobs else []
        queues = {"compute": {"pending": pending, "rooms": [], "idle": self.idle, "waiting": {}, "never": {}}}
        states = Counter(row["state"] for row in nodes.values())
        said = json.dumps({"queues": queues, "nodes": states}, sort_keys=True)
        if said != self.said:
            self.said = said
            self._put("DEMAND", document=said, at=int(self.now()))
            self.wake()

    def _rows(self) -> dict[str, dict[str, Any]]:
        """All rows, as they lie in the emulator: the agent looks far more often than it writes."""
        table = dynamodb_backends[ACCOUNT][REGION].tables["state"]
        items = [item.to_json()["Attributes"] for item in table.items.get(KEY, {}).values()]
        return {item["row"]["S"]: decode(item) for item in items}

    def _nodes(self) -> dict[str, dict[str, Any]]:
        rows = self._rows().items()
        own = ("cluster", "row")
        return {
            key.removeprefix("NODE#"): {name: value for name, value in row.items() if name not in own}
            for key, row in rows
            if key.startswith("NODE#")
        }

    def _members(self) -> list[str]:
        group = autoscaling_backends[ACCOUNT][REGION].autoscaling_groups.get(f"muster-{NAME}.compute")
        return [each.instance.id for each in group.instance_states] if group else []

    def _put(self, row: str, **values: Any) -> None:
        item = {"cluster": PARTITION, "row": row, **values}
        client("dynamodb").put_item(TableName="state", Item=encode(item))
