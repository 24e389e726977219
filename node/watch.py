"""What EC2 announces to a compute node: its row says so in time, and the head node takes the jobs off it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from node.lists import Row

if TYPE_CHECKING:
    from node.imds import Imds
    from node.messages import Messages
    from node.rows import Table

LOG = logging.getLogger(__name__)

# Seconds between two looks: an interruption is announced two minutes before (EC2 user guide, interruption notices).
EVERY = 5.0
# Begins the reason of a node that EC2 takes back; the operator knows by it that the node's bootstrap is not to blame.
INTERRUPTED = "Spot interruption"


class Notice(NamedTuple):
    """Something announced: what the row is to be, and why."""

    state: Row
    reason: str


class Kind(NamedTuple):
    """Where something is announced, what the row becomes, and what is said of the document; empty if it is nothing."""

    path: str
    state: Row
    read: Callable[[str], str]


def _interruption(text: str) -> str:
    found = json.loads(text)
    return f"{INTERRUPTED} at {found['time']}: {found['action']}"


def _rebalance(text: str) -> str:
    return f"Spot rebalance recommendation of {json.loads(text)['noticeTime']}"


def _maintenance(text: str) -> str:
    events = [event for event in json.loads(text) if event.get("State") == "active"]
    return f"Scheduled maintenance at {events[0]['NotBefore']}: {events[0]['Code']}" if events else ""


# The worst first. Whose instance is interrupted has no time to let jobs end; the others have.
KINDS = (
    Kind("spot/instance-action", Row.FAILED, _interruption),
    Kind("events/recommendations/rebalance", Row.DRAINING, _rebalance),
    Kind("events/maintenance/scheduled", Row.DRAINING, _maintenance),
)


def notices(imds: Imds) -> list[Notice]:
    """What is announced. Raises ImdsError."""
    found = ((kind, imds.find(kind.path)) for kind in KINDS)
    read = [Notice(kind.state, _read(kind, text)) for kind, text in found if text]
    return [notice for notice in read if notice.reason]


def _read(kind: Kind, text: str) -> str:
    """A document of another form announces something as well."""
    try:
        return kind.read(text)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return f"{kind.path}: {' '.join(text.split())[:200]}"


@dataclass
class Watch:
    """One node's looking out."""

    table: Table
    messages: Messages
    imds: Imds
    clock: Callable[[], float]
    told: set[Notice] = field(default_factory=set[Notice])

    def run(self, sleep: Callable[[float], object], goes_on: Callable[[], bool] = lambda: True) -> None:
        """Look again and again: no exception ends it."""
        while goes_on():
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - the next look may be better
                LOG.warning("%s: %s", type(error).__name__, " ".join(str(error).split()))
            sleep(EVERY)

    def look(self) -> None:
        """Tell what is new."""
        for notice in notices(self.imds):
            if notice not in self.told:
                self._tell(notice)

    def _tell(self, notice: Notice) -> None:
        instance = self.imds.get("instance-id")
        if self.table.tell_state(instance, notice.state, notice.reason, self.clock()):
            LOG.info("%s: %s", notice.state.value, notice.reason)
            self.told.add(notice)
            self.messages.send()
        elif self.table.node(instance):
            # The row says as much already, or worse; one that is to come yet will be told.
            self.told.add(notice)
