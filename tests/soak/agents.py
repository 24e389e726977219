"""The head nodes of the soak's clusters with Slurm: no machine runs; rows are written as their agents write them.

Nodes are ready as soon as they are members; jobs take a whole node each and run until their user lets them end.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.nodes import AGENT, DEMAND, FACTS, NODE, NodeState, partition
from reconciler.store import NAMES, decode, encode
from tests.soak.users import User

Json = dict[str, Any]
REST = 3.0  # seconds between two looks at all clusters
SIGN = 30.0  # seconds between two signs of life
MOVES = {"booting": "ready", "draining": "drained"}


class Agents:
    """All head nodes, played one after the other."""

    def __init__(self, users: Sequence[User]) -> None:
        self.users = [user for user in users if user.slurm]
        self.idle: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)

    def start(self) -> None:
        """Play them until they are stopped, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _play(self) -> None:
        while not self._stop.wait(REST):
            for user in self.users:
                Agent(user, self.idle).look()


class Agent:
    """One look of one head node. It looks only where its groups are: what is deleted has no head node."""

    def __init__(self, user: User, idle: dict[str, int]) -> None:
        self.user, self.idle = user, idle
        self.dynamodb = user.world.client("dynamodb")
        self.table = user.world.out("StateTable")
        self.name = user.cluster.name

    def look(self) -> None:
        rows = self._rows()
        if FACTS not in rows:
            return
        queues = json.loads(rows[FACTS]["document"])["queues"]
        members = self._members([queue["group"] for queue in queues])
        if members is None:
            return
        now = int(time.time())
        if now - float(rows.get(AGENT, {"at": 0})["at"]) > SIGN:
            self._put(AGENT, at=now, version="1", scheduler="slurm 23.11.4", reason="")
        nodes = {key.removeprefix(NODE): row for key, row in rows.items() if key.startswith(NODE)}
        for queue in queues:
            self._match(queue["name"], members[queue["group"]], nodes, now)
        there = {each for of in members.values() for each in of}
        for instance in nodes.keys() - there:
            self.dynamodb.delete_item(TableName=self.table, Key=self._key(NODE + instance))
        document = self._document([queue["name"] for queue in queues], {k: nodes[k] for k in nodes.keys() & there}, now)
        if document != rows.get(DEMAND, {}).get("document"):
            self._put(DEMAND, document=document, at=now)

    def _match(self, queue: str, members: Sequence[str], nodes: dict[str, Json], now: int) -> None:
        """A row for each member; what can move on does."""
        for instance in members:
            known = nodes.get(instance)
            state = MOVES.get(known["state"], known["state"]) if known else "booting"
            if known and (state == known["state"] or self._busy(queue, instance, nodes)):
                continue
            number = sorted(members).index(instance) + 1
            row = {"queue": queue, "name": f"{queue}-{number}", "served": state != "booting"}
            nodes[instance] = {**(known or row), "state": state, "since": now}
            self._put(NODE + instance, **{k: v for k, v in nodes[instance].items() if k not in ("cluster", "row")})

    def _busy(self, queue: str, instance: str, nodes: Mapping[str, Json]) -> bool:
        return nodes[instance]["state"] == "draining" and instance in self._working(queue, nodes)

    def _working(self, queue: str, nodes: Mapping[str, Json]) -> list[str]:
        """The nodes that have a job: the first of those that take any."""
        takes = ("ready", "draining")
        able = sorted(each for each, row in nodes.items() if row["queue"] == queue and row["state"] in takes)
        return able[: self.user.jobs.get(queue, 0)]

    def _document(self, queues: Sequence[str], nodes: Mapping[str, Json], now: int) -> str:
        wants: dict[str, Json] = {}
        for queue in queues:
            busy = self._working(queue, nodes)
            waiting = self.user.jobs.get(queue, 0) - len(busy)
            ready = [each for each, row in nodes.items() if row["queue"] == queue and row["state"] == NodeState.READY]
            for each in ready:
                self.idle[each] = now if each in busy else self.idle.get(each, now)
            wants[queue] = {
                "pending": [[1, 100, 0, 1, waiting, 1]] if waiting > 0 else [],
                "rooms": [],
                "idle": {each: self.idle[each] for each in sorted(ready) if each not in busy},
                "waiting": {},
                "never": {},
            }
        states = Counter(str(row["state"]) for row in nodes.values())
        return json.dumps({"queues": wants, "nodes": states}, sort_keys=True, separators=(",", ":"))

    def _rows(self) -> dict[str, Json]:
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.table,
            KeyConditionExpression="#cluster = :nodes",
            ExpressionAttributeNames={"#cluster": NAMES["#cluster"]},
            ExpressionAttributeValues=encode({":nodes": partition(self.name)}),
        )
        return {row["row"]: row for page in pages for row in map(decode, page["Items"])}

    def _members(self, names: Sequence[str]) -> dict[str, list[str]] | None:
        """The members by group; None if none of the groups is there."""
        scaling = self.user.world.client("autoscaling")
        found = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=list(names))["AutoScalingGroups"]
        of = {each["AutoScalingGroupName"]: [i["InstanceId"] for i in each.get("Instances", ())] for each in found}
        return {name: of.get(name, []) for name in names} if of else None

    def _key(self, row: str) -> Json:
        return encode({"cluster": partition(self.name), "row": row})

    def _put(self, row: str, **values: Any) -> None:
        self.dynamodb.put_item(TableName=self.table, Item={**self._key(row), **encode(values)})
