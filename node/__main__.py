"""`python3 node.pyz VERB`: what an instance does for its cluster."""

from __future__ import annotations

import argparse
import hashlib
import logging
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from node import munge
from node.cloud import Cloud
from node.conf import Site
from node.facts import NODE_FILE, FactsError, Node, read_node
from node.groups import Groups
from node.head import Head
from node.imds import Imds, ImdsError
from node.join import Join, JoinError
from node.machine import Machine, MachineError
from node.messages import Messages
from node.rows import Table
from node.slurm_files import Controller
from node.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

LOG = logging.getLogger("muster")
TROUBLES = (FactsError, ImdsError, JoinError, MachineError, ClientError, BotoCoreError, LookupError)


class Agent:
    """The parts that the verbs share."""

    def __init__(self, node: Node) -> None:
        self.node = node
        cloud = Cloud(node)
        self.table = Table(cloud.dynamodb, node.table, node.partition)
        self.messages = Messages(cloud.sqs, node.queue_url)
        self.groups = Groups(cloud.autoscaling)
        self.machine = Machine()
        self.imds = Imds()

    def head(self) -> None:
        """Run for ever."""
        site = Site(self.node.cluster, socket.gethostname(), _patient_address(self.imds))
        controller = Controller(self.machine, site, lambda: time.sleep(1))
        Head(self.table, self.groups, self.messages, controller, time.time, version(), prepare=self._take_key).run(
            time.sleep
        )

    def _take_key(self) -> None:
        munge.put(self.machine, munge.key_of(self.table))
        self.machine.systemctl("restart", munge.DAEMON)

    def join(self) -> None:
        """Join, and end."""
        Join(self.node, self.table, self.messages, self.imds, self.machine, time.monotonic, time.sleep).run()

    def watch(self) -> None:
        """Run for ever."""
        Watch(self.table, self.messages, self.imds, time.time).run(time.sleep)


def _patient_address(imds: Imds) -> str:
    while True:
        try:
            return imds.get("local-ipv4")
        except ImdsError as error:
            LOG.warning("%s", error)
            time.sleep(2)


def version() -> str:
    """Which archive this is, as its operator names it."""
    archive = Path(__file__).parents[1]
    return hashlib.sha256(archive.read_bytes()).hexdigest() if archive.is_file() else "unpacked"


def main(arguments: Sequence[str] | None = None) -> int:
    """The status to end with."""
    parser = argparse.ArgumentParser(prog="node.pyz", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("head", help="run the head node's agent")
    verbs.add_parser("join", help="join the cluster, and end when the scheduler uses this node")
    verbs.add_parser("watch", help="tell what EC2 announces to this node")
    asked = parser.parse_args(arguments)
    # One line each, for the journal.
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    try:
        agent = Agent(read_node(Path("/") / NODE_FILE))
        getattr(agent, asked.verb)()
    except TROUBLES as error:
        LOG.error("%s: %s", asked.verb, " ".join(str(error).split()))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
