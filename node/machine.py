"""The machine that an agent runs on: its files and its daemons."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from node import files

# Seconds that a daemon's start may take.
PATIENCE = 120


class MachineError(Exception):
    """A daemon could not be started, or a file not be written."""


class Machine:
    """Files lie under `root`; daemons are systemd's."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def read(self, path: str) -> str:
        """A file's text, empty if there is none."""
        try:
            return (self.root / path).read_text(encoding="utf-8")
        except OSError:
            return ""

    def write(self, path: str, content: str | bytes, mode: int = 0o644, owner: str = "") -> bool:
        """Make this a file's content; whether it was not. Raises MachineError."""
        try:
            return files.write(self.root / path, content, mode, owner)
        except (OSError, LookupError) as error:
            raise MachineError(f"/{path}: {error}") from error

    def systemctl(self, *what: str) -> None:
        """Raises MachineError."""
        done = _systemctl(*what)
        if done.returncode:
            raise MachineError(f"systemctl {' '.join(what)}: {done.stderr.strip()[-300:] or done.returncode}")

    def is_active(self, unit: str) -> bool:
        """Whether a daemon runs. Raises MachineError."""
        return _systemctl("is-active", "--quiet", unit).returncode == 0

    def has_cgroups(self) -> bool:
        """Whether Slurm's daemons can keep their jobs in cgroups: systemd hands them out, of the second version."""
        groups = self.root / "sys/fs/cgroup"
        booted = (self.root / "run/systemd/system").is_dir()
        return booted and (groups / "cgroup.controllers").exists() and os.access(groups, os.W_OK)


def _systemctl(*what: str) -> subprocess.CompletedProcess[str]:
    command = ("systemctl", *what)
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError(f"{' '.join(command)}: {error}") from error
