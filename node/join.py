"""A compute node joins its cluster: it has a row and a name, takes the secret, starts its daemon, and is used."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from node import munge
from node.imds import ImdsError
from node.lists import Row
from node.machine import MachineError

if TYPE_CHECKING:
    from node.facts import Node
    from node.imds import Imds
    from node.machine import Machine
    from node.messages import Messages
    from node.rows import NodeRow, Table

LOG = logging.getLogger(__name__)

T = TypeVar("T")

DEFAULTS = "etc/default/slurmd"
DAEMON = "slurmd"
PORT = 6817
# Seconds: what it may take in all, between two tries at first and at most, and how often the daemon is looked after.
LIMIT, FIRST, MOST, CARE = 1800.0, 1.0, 8.0, 15.0
# Of these another try may come out otherwise.
PASSING = (ClientError, BotoCoreError, ImdsError, MachineError, LookupError)


class JoinError(Exception):
    """The node has not joined; the message says how far it came."""


@dataclass
class Join:
    """One joining. `sleep` passes seconds, `clock` tells them."""

    node: Node
    table: Table
    messages: Messages
    imds: Imds
    machine: Machine
    clock: Callable[[], float]
    sleep: Callable[[float], object]
    begun: float = field(init=False)
    cared: float = float("-inf")

    def __post_init__(self) -> None:
        self.begun = self.clock()

    def run(self) -> NodeRow:
        """Join, and wait until the scheduler uses the node. Raises JoinError."""
        instance = self._until("the metadata service", lambda: self.imds.get("instance-id"))
        address = self._until("the metadata service", lambda: self.imds.get("local-ipv4"))
        row = self._until("a row from the head node", lambda: self._row(instance))
        self._until("the row", lambda: self.table.tell_address(instance, address))
        key = self._until("the cluster's munge key", self.table.munge_key)
        LOG.info("%s is %s of the head node %s", instance, row.name, self.node.head)
        return self._until("the scheduler", lambda: self._joined(instance, row.name, key))

    def _row(self, instance: str) -> NodeRow | None:
        """The row; a head node that has made none has not heard of this instance."""
        row = self.table.node(instance)
        if row is None:
            self.messages.send()
        return row

    def _joined(self, instance: str, name: str, key: bytes) -> NodeRow | None:
        """Have the daemon at work; the row when that has been seen, or is not wanted any more."""
        self._care(name, key)
        row = self.table.node(instance)
        if row and row.state is Row.FAILED:
            raise JoinError(f"the row has failed: {row.reason}")
        return row if row and row.state is not Row.BOOTING else None

    def _care(self, name: str, key: bytes) -> None:
        """A daemon that cannot reach the controller ends, and is started again."""
        if self.clock() - self.cared < CARE:
            return
        self.cared = self.clock()
        options = f'SLURMD_OPTIONS="-N {name} --conf-server {self.node.head}:{PORT}"\n'
        if munge.put(self.machine, key) or not self.machine.is_active(munge.DAEMON):
            self.machine.systemctl("restart", munge.DAEMON)
        if self.machine.write(DEFAULTS, options) or not self.machine.is_active(DAEMON):
            self.machine.systemctl("restart", DAEMON)

    def _until(self, what: str, look: Callable[[], T | None]) -> T:
        """What a look finds, again and again while it finds nothing."""
        pause, trouble = FIRST, "it is not there"
        while True:
            try:
                found = look()
            except PASSING as error:
                found, trouble = None, " ".join(str(error).split())
                LOG.warning("%s: %s", what, trouble)
            if found:
                return found
            if self.clock() - self.begun >= LIMIT:
                raise JoinError(f"no longer waiting for {what}: {trouble}")
            self.sleep(pause)
            pause = min(pause * 1.5, MOST)
