"""Local processes that stand for containers: a group of their own, their output line by line, and a certain end."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

GRACE_SECONDS = 2.0
"""From SIGTERM to SIGKILL; 30 on AWS."""
LINE_BYTES = 16384
"""Docker cuts longer lines."""
BASE = ("PATH", "LANG", "LC_ALL")


class Process:
    """A running command. `on_line` and `on_exit` are called from threads of its own, the latter last of all."""

    def __init__(
        self,
        command: list[str],
        env: dict[str, str],
        directory: Path,
        on_line: Callable[[str], None],
        on_exit: Callable[[int], None],
    ) -> None:
        """Start it. Raises OSError if the program is not found or cannot be run."""
        self._process = subprocess.Popen(
            command,
            env=env,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        _reaper.tell(f"+{self._process.pid}")
        self._on_line, self._on_exit = on_line, on_exit
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        threading.Thread(target=self._wait, daemon=True).start()

    def stop(self) -> None:
        """Ask the whole group to end, and end it if it does not."""
        self._signal(signal.SIGTERM)
        timer = threading.Timer(GRACE_SECONDS, self._signal, [signal.SIGKILL])
        timer.daemon = True
        timer.start()

    def _signal(self, number: int) -> None:
        # Once it is collected its number may be another's.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _wait(self) -> None:
        """A container ends with its first process, whatever that left running."""
        leader = self._process.pid
        os.waitid(os.P_PID, leader, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)
        code = self._process.wait()
        _reaper.tell(f"-{leader}")
        self._reader.join()
        self._on_exit(code if code >= 0 else 128 - code)

    def _read(self, output: IO[bytes]) -> None:
        for line in iter(lambda: output.readline(LINE_BYTES), b""):
            self._on_line(line.decode(errors="replace").rstrip("\n"))


class _Reaper:
    """The process that outlives us by a moment. See `local.additions.reaper`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def tell(self, word: str) -> None:
        with self._lock:
            if self._process is None:
                script = str(Path(__file__).with_name("reaper.py"))
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", script], stdin=subprocess.PIPE, text=True, start_new_session=True
                )
            assert self._process.stdin  # noqa: S101 (asked for above)
            print(word, file=self._process.stdin, flush=True)


_reaper = _Reaper()


def environ(directory: Path) -> dict[str, str]:
    """What every such process finds: this Python's programs first (``aws``, ``python`` with boto3), no secrets."""
    inherited = {name: os.environ[name] for name in BASE if name in os.environ}
    path = f"{Path(sys.executable).parent}:{inherited.get('PATH', os.defpath)}"
    return inherited | {"PATH": path, "HOME": str(directory), "TMPDIR": str(directory)}
