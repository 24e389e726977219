"""Wake-ups that need no pass of their own: one that began after them has run already, and saw what they are about.

When thousands of nodes come at once, hundreds of wake-ups of one cluster wait in its message group, and a pass over so
many nodes takes seconds. What a pass has seen is known to the process that made it, which costs no call; another
process knows nothing of it, and makes a pass too many.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.loop import Report

# Seconds by which a pass has to begin after a message was sent to have seen what it is about: the clocks are two, and
# what AWS describes may be a little old.
SETTLED = 5.0
# How a pass ends that has done all there was to do, or has set a timer for the rest.
WHOLE = ("absent", "unchanged", "reported", "acted", "forgotten")


class Answered:
    """When the last whole pass of this process over each cluster began. Times are seconds since the epoch."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}

    def note(self, report: "Report", began: float) -> None:
        """A pass has ended."""
        if report.result in WHOLE:
            self._began[report.cluster] = began

    def answers(self, cluster: str, sent: float) -> bool:
        """Whether a pass has seen what a message is about that was sent at this time."""
        return sent + SETTLED <= self._began.get(cluster, float("-inf"))
