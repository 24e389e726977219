"""The last words of a compute node whose bootstrap failed: its row has them, since its console goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.lists import Row
from node.rows import REASON

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.imds import Imds
    from node.messages import Messages
    from node.rows import Table

# Tries, and seconds between two: the row of an instance that failed at once is still to be made.
TRIES, PAUSE = 20, 2.0


def words(reason: str, log: str) -> str:
    """The reason and as much of the log's end as a row holds."""
    room = REASON - len(reason) - 1
    return f"{reason}\n{log.strip()[-room:]}" if room > 0 and log.strip() else reason[:REASON]


def tell(
    table: Table,
    messages: Messages,
    imds: Imds,
    text: str,
    clock: Callable[[], float],
    sleep: Callable[[float], object],
) -> bool:
    """Give the row its reason; False if there is no row to give it to."""
    instance = imds.get("instance-id")
    for left in reversed(range(TRIES)):
        if table.tell_state(instance, Row.FAILED, text, clock()):
            messages.send()
            return True
        if table.node(instance):
            return True
        if left:
            sleep(PAUSE)
    return False
