"""A node to run user data on: the script in a directory that stands for `/`, with all commands that matter replaced."""

import email
import os
import re
import subprocess
import sys
from email.message import Message
from pathlib import Path

from tests.unit.render.support import AGENT

COMMANDS = """
apt-get aws chmod curl dnf exportfs findmnt lsb_release lsblk lvcreate mdadm mkfs.xfs mount mount.lustre mount.nfs4
mountpoint nproc python3 resize2fs sleep slurmctld slurmd snap systemctl udevadm uname vgchange vgcreate wipefs
xfs_growfs
"""
INSTANCE = "i-0123456789abcdef0"
# What is outside of the directory that stands for `/` if it is not moved.
PLACES = re.compile(r"(?<![\w}])/(var|etc|opt|sys|dev(?=/disk|/md|/muster|/console|/sd|/xvd|/\$))/")


def parts(user_data: str) -> list[Message]:
    """The parts of multipart user data."""
    message = email.message_from_string(user_data)
    assert message.is_multipart()
    return [part for part in message.walk() if not part.is_multipart()]


def shell_script(user_data: str) -> str:
    """The script in user data."""
    (only,) = [part for part in parts(user_data) if part.get_content_type() == "text/x-shellscript"]
    payload = only.get_payload()
    assert isinstance(payload, str)
    return payload


class Node:
    """One node; every `boot` runs the user data anew on the same disks."""

    def __init__(self, root: Path, user_data: str, *directories: str):
        self.root = root
        self.directories = directories
        self.commands = root / "commands"
        self.commands.mkdir(parents=True)
        for name in COMMANDS.split():
            (self.commands / name).symlink_to(Path(__file__).with_name("fake_command.sh"))
        for place in (
            "content",
            "dev",
            "sys/devices/system/cpu/smt",
            "etc/profile.d",
            "etc/systemd/system",
            "var/log",
            "etc/apt/sources.list.d",
        ):
            (root / place).mkdir(parents=True)
        (root / "sys/devices/system/cpu/smt/control").write_text("on\n")
        self.load(user_data)
        self.download("exit 0")
        self.publish(AGENT)

    def load(self, user_data: str) -> None:
        """Give it other user data for its next boot."""
        text = PLACES.sub(rf"{self.root}/\1/", shell_script(user_data))
        text = text.replace("export PATH=", f"export PATH={self.commands}:")
        # No files of this node are block devices, and its time passes quickly.
        text = (
            text.replace("[[ -b ", "[[ -e ").replace("! -b ", "! -e ").replace("\nsleep 5\n", "\n((SECONDS += 300))\n")
        )
        for directory in self.directories:
            text = re.sub(rf"(?<![\w/]){directory}(?![\w])", f"{self.root}{directory}", text)
        self.script = self.root / "user-data.sh"
        self.script.write_text(text)

    def download(self, body: str) -> None:
        """What any fetched script holds."""
        (self.root / "download").write_text(f"#!/bin/bash\n{body}\n")

    def publish(self, agent: bytes) -> None:
        """What lies where the agent is fetched from."""
        (self.root / "agent").write_bytes(agent)

    def failing(self, *calls: str) -> None:
        """Make these commands fail from now on: `mount`, `aws logs`, `/dev/sdf` as a device name."""
        (self.root / "failing").write_text("".join(f"{call}\n" for call in calls))

    def holds(self, volume: str, content: str) -> None:
        """What is on an EBS volume before it is attached."""
        (self.root / "content" / volume).write_text(f"{content}\n" if content else "")

    def boot(self) -> int:
        """Run the user data; the exit status. Mounts do not outlast a boot, nor do calls."""
        for name in ("calls", "mounted", "uploaded", "shipped", "told"):
            (self.root / name).unlink(missing_ok=True)
        environment = {
            "PATH": f"{self.commands}:{os.environ['PATH']}",
            "FAKE_ROOT": str(self.root),
            "FAKE_PYTHON": sys.executable,
            "LC_ALL": "C",
        }
        done = subprocess.run(["bash", self.script], env=environment, stdin=subprocess.DEVNULL, timeout=60, check=False)
        return done.returncode

    def read(self, name: str) -> str:
        """A file of the node, or nothing."""
        path = self.root / name
        return path.read_text() if path.exists() else ""

    @property
    def log(self) -> str:
        """What it said so far."""
        return self.read("var/log/muster-bootstrap.log")

    def calls(self, start: str = "") -> list[str]:
        """The calls of this boot that start so, with the node's root taken out."""
        lines = self.read("calls").replace(str(self.root), "").splitlines()
        return [line for line in lines if line.startswith(start)]
