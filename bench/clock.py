"""A simulated clock: what runs on it waits without waiting, and many run at once, one at a time."""

import heapq
import threading
from collections.abc import Callable
from functools import partial

Work = Callable[[], object]


class Clock:
    """Events in the order of their time; equal times in the order of their asking. `now` is in seconds.

    What is spawned runs in a thread of its own, so that code that knows nothing of the clock can be stopped in the
    middle of a call. Only one of the threads runs at any moment: they are handed the turn, and give it back.
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self._agenda: list[tuple[float, int, Work]] = []
        self._asked = 0
        self._turn = threading.Semaphore(0)
        self._mine = threading.local()
        self._broken: BaseException | None = None

    def at(self, seconds: float, what: Work) -> None:
        """Let something happen in so many seconds."""
        self._asked += 1
        heapq.heappush(self._agenda, (self.now + seconds, self._asked, what))

    def spawn(self, work: Work) -> None:
        """Let something run that sleeps, now."""
        go = threading.Semaphore(0)
        threading.Thread(target=self._run, args=(work, go), daemon=True).start()
        self.at(0.0, partial(self._give, go))

    def sleep(self, seconds: float) -> None:
        """Called by what runs: let time go by. Whoever was not spawned is alone, and moves the clock."""
        go: threading.Semaphore | None = getattr(self._mine, "go", None)
        if go is None:
            self.now += seconds
            return
        self.at(seconds, partial(self._give, go))
        self._turn.release()
        go.acquire()

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Go on until something is so, or nothing is left to happen. Raises what a spawned one raised."""
        while self._agenda and not until():
            when, _, what = heapq.heappop(self._agenda)
            self.now = max(self.now, when)
            what()
            if self._broken:
                raise self._broken

    def _give(self, go: threading.Semaphore) -> None:
        go.release()
        self._turn.acquire()

    def _run(self, work: Work, go: threading.Semaphore) -> None:
        self._mine.go = go
        go.acquire()
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again where the clock is run
            self._broken = error
        self._turn.release()
