"""``apt-get`` and ``snap`` without an archive: a package's programs are the host's, hidden until it is installed.

What PACKAGES does not list is taken for installed, and only logged (/var/log/packages.log). As Debian has it, services
of a package are enabled and started when it is installed, unless they are masked.
"""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# The host's /usr, as all of the machine may see it.
HOST = Path("/run/host")
INSTALLED = Path("/var/lib/packages")
LOG = Path("/var/log/packages.log")
KEY = Path("/etc/munge/munge.key")
CLIENT = (
    "sacct sacctmgr salloc sattach sbatch sbcast scancel scontrol sdiag sinfo sprio squeue sreport srun sshare sstat"
)
# package: its programs, and its service
PACKAGES: dict[str, tuple[str, str]] = {
    "munge": ("munged munge unmunge", "munge"),
    "slurmctld": ("slurmctld", "slurmctld"),
    "slurmd": ("slurmd slurmstepd", "slurmd"),
    "slurm-client": (CLIENT, ""),
}


def programs(package: str, usr: Path) -> Iterator[str]:
    """Those of its programs that the host has, by their places below a /usr."""
    for name in PACKAGES[package][0].split():
        yield from (place for place in (f"bin/{name}", f"sbin/{name}") if os.path.lexists(usr / place))


def hide(layer: Path) -> None:
    """Have a layer of an overlay say that the programs are not there: a device of no number says so."""
    for package in PACKAGES:
        for place in programs(package, Path("/usr")):
            (layer / "usr" / place).parent.mkdir(parents=True, exist_ok=True)
            os.mknod(layer / "usr" / place, stat.S_IFCHR, os.makedev(0, 0))


def install(package: str) -> None:
    """Make a package's programs appear, and start its service."""
    if (INSTALLED / package).exists():
        return
    INSTALLED.mkdir(parents=True, exist_ok=True)
    (INSTALLED / package).touch()
    if package not in PACKAGES:
        return
    for place in programs(package, HOST):
        Path("/usr", place).symlink_to(HOST / place)
    if package == "munge":  # every installation makes a key of its own
        KEY.write_bytes(os.urandom(128))
    if service := PACKAGES[package][1]:
        subprocess.run(["systemctl", "enable", "--now", service], check=False)


def main() -> None:
    """Of what is asked only what is to be installed matters."""
    words = sys.argv[1:]
    with LOG.open("a") as log:
        print(*words, file=log)
    if "install" in words:
        names = [word for word in words[words.index("install") + 1 :] if not word.startswith("-") and "=" not in word]
        for name in [*(["munge"] if any(name.startswith("slurm") for name in names) else []), *names]:
            install(name)


if __name__ == "__main__":
    main()
