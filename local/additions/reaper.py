"""Ends the process groups that its starter leaves behind: ``+<leader>`` and ``-<leader>`` on standard input.

The end of the input is the end of the starter, however that came about. Run as a script, in a session of its own.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Until the input ends."""
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for leader in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)


if __name__ == "__main__":
    main()
