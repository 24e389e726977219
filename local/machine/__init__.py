"""Machines in namespaces: what `local.additions.machines` boots an instance with. Needs root on Linux, and no emulator.

| module | is |
| --- | --- |
| `image` | what a machine has over this host's files: stand-ins for what a node's bootstrap calls |
| `init` | a machine's first process: its root, its user data, its end |
| `packages` | packages without an archive |
| `systemctl` | services without systemd |
| `network` | the wires between machines, and this process's sockets inside of them |
"""

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"
UNSHARE = ["unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]
TRIAL = """
set -e
cd "$0"
mkdir upper work root
mount -t overlay overlay -o "lowerdir=/,upperdir=$0/upper,workdir=$0/work" root
mount -t proc proc root/proc
ip link add name bridge type bridge
ip link add name wire type veth peer name other
"""


@functools.cache
def unavailable() -> str:
    """Why no machine can run here, empty if one can: it is tried."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "machines need root on Linux, for namespaces"
    with tempfile.TemporaryDirectory(prefix="muster-trial-", ignore_cleanup_errors=True) as directory:
        try:
            done = subprocess.run(
                [*UNSHARE, "sh", "-c", TRIAL, str(Path(directory).resolve())],
                capture_output=True, text=True, timeout=30, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"machines need unshare, mount and ip: {error}"
    return f"no namespaces, overlays or bridges here: {done.stderr.strip()[-300:]}" if done.returncode else ""


def environment(endpoint: str) -> dict[str, str]:
    """What all that runs on a machine finds: where AWS is. Credentials come from the metadata service."""
    nowhere = dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
    return {"PATH": PATH, "LANG": "C.UTF-8", "AWS_ENDPOINT_URL": endpoint, **nowhere}


def enter(pid: int, env: Mapping[str, str]) -> list[str]:
    """What goes before a command that shall run inside of a machine, as root and in root's directory."""
    inside = ["nsenter", f"--target={pid}", "--mount", "--net", "--uts", "--ipc", "--pid", "--root"]
    return [
        *inside,
        "env",
        "-i",
        "-C",
        "/root",
        *(f"{name}={value}" for name, value in env.items()),
        "HOME=/root",
        "USER=root",
    ]
