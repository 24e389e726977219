"""A machine's first process. Standard input is its power: at its end, or the line ``halt``, the machine goes off.

Run as a script by the bare interpreter, in namespaces of its own: it reads a line of JSON, mounts the machine's root,
says ``up``, waits for the line ``go`` (its network is there), starts enabled services and then what is in the user
data, as cloud-init does: shell scripts as root, at the first boot, or at every one if the cloud-config says so.
"""

import contextlib
import email
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

GRACE_SECONDS = 3.0
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
LINKS = {
    "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx", "console": "/var/log/console.log",
}  # fmt: skip
ALWAYS = "[scripts-user, always]"


def main() -> None:
    """Until the power goes."""
    config: dict[str, Any] = json.loads(sys.stdin.readline())
    socket.sethostname(config["hostname"])
    _mount(Path(config["directory"]), config)
    _write_files(config)
    print("up", flush=True)
    sys.stdin.readline()
    threading.Thread(target=_heed_power, daemon=True).start()
    threading.Thread(target=_boot, args=(config,), daemon=True).start()
    while True:
        try:
            _collect()
        except ChildProcessError:
            time.sleep(0.1)


def _collect() -> None:
    """Take leave of orphans; our own children are waited for by who started them."""
    ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    if ended and ended.si_pid not in _own:
        os.waitpid(ended.si_pid, 0)
    else:
        time.sleep(0.02)


_own: set[int] = set()


def _run(command: list[str], env: dict[str, str], log: Path) -> int:
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, env=env, cwd="/", stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    _own.add(process.pid)
    code = process.wait()
    _own.discard(process.pid)
    return code


def _heed_power() -> None:
    try:
        if sys.stdin.readline() == "halt\n":
            _end_all()
    finally:
        os._exit(0)


def _end_all() -> None:
    """Ask all but ourselves to end, and wait a little for it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGTERM)
    end = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < end and len([*Path("/proc").glob("[0-9]*")]) > 1:
        time.sleep(0.02)


# --- the root


def _mount(directory: Path, config: dict[str, Any]) -> None:
    root = directory / "root"
    layers = f"lowerdir=/,upperdir={directory}/upper,workdir={directory}/work"
    _call("mount", "-t", "overlay", "overlay", "-o", layers, str(root))
    for path in config["binds"]:
        (root / path[1:]).mkdir(parents=True, exist_ok=True)
        _call("mount", "--bind", path, str(root / path[1:]))
    _call("mount", "-t", "proc", "proc", str(root / "proc"))
    _call("mount", "-t", "sysfs", "-o", "ro", "sysfs", str(root / "sys"))
    for name in ("run", "dev", "sys/fs/cgroup"):
        _call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(root / name))
    (root / "run/host").mkdir()
    _call("mount", "--bind", "-o", "ro", "/usr", str(root / "run/host"))
    # slurmd does not start where there are no control groups. These it takes for those of old; they control nothing.
    (root / "sys/fs/cgroup/systemd").mkdir()
    _call("mount", "-t", "cgroup", "-o", "ro,none,name=muster", "cgroup", str(root / "sys/fs/cgroup/systemd"))
    _make_devices(root / "dev")
    os.chdir(root)
    _call("pivot_root", ".", ".")
    _call("umount", "-l", ".")
    os.chdir("/")


def _make_devices(dev: Path) -> None:
    for name in DEVICES:
        (dev / name).touch()
        _call("mount", "--bind", f"/dev/{name}", str(dev / name))
    for name, target in LINKS.items():
        (dev / name).symlink_to(target)
    for name, kind, options in (("pts", "devpts", "newinstance,ptmxmode=666,mode=620"), ("shm", "tmpfs", "mode=1777")):
        (dev / name).mkdir()
        _call("mount", "-t", kind, "-o", options, kind, str(dev / name))


def _call(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def _write_files(config: dict[str, Any]) -> None:
    name, address = config["hostname"], config["address"]
    Path("/etc/hostname").write_text(f"{name}\n")
    Path("/etc/hosts").write_text(f"127.0.0.1 localhost\n{address} {name}.ec2.internal {name}\n")
    # What a resolver of the host's would say holds for the host.
    Path("/etc/resolv.conf").unlink(missing_ok=True)
    Path("/etc/resolv.conf").write_text("nameserver 169.254.169.253\nsearch ec2.internal\noptions timeout:1\n")
    Path("/etc/environment").write_text("".join(f'{key}="{value}"\n' for key, value in config["env"].items()))
    Path("/run/lock").mkdir()


# --- cloud-init


def _boot(config: dict[str, Any]) -> None:
    env = config["env"]
    _run(["systemctl", "boot"], env, Path("/var/log/boot.log"))
    scripts, data = Path("/var/lib/cloud/instance/scripts"), Path("/var/lib/cloud/data")
    first = not scripts.exists()
    for each in (scripts, data):
        each.mkdir(parents=True, exist_ok=True)
    (data / "instance-id").write_text(f"{config['instance']}\n")
    always, parts = _parts(config["user_data"])
    for number, script in enumerate(parts if first or always else [], 1):
        file = scripts / f"part-{number:03}"
        file.write_bytes(script)
        file.chmod(0o700)
        _run([str(file)], env, Path("/var/log/cloud-init-output.log"))
    Path("/var/lib/cloud/instance/boot-finished").write_text(f"{time.time()}\n")


def _parts(user_data: str) -> tuple[bool, list[bytes]]:
    """Whether scripts run at every boot, and the scripts."""
    if user_data.startswith("#!"):
        return False, [user_data.encode()]
    parts = [part for part in email.message_from_string(user_data).walk() if not part.is_multipart()]
    kinds = {"text/x-shellscript": [], "text/cloud-config": []}
    for part in parts:
        kinds.get(part.get_content_type(), []).append(part.get_payload(decode=True))
    return any(ALWAYS.encode() in each for each in kinds["text/cloud-config"]), kinds["text/x-shellscript"]


if __name__ == "__main__":
    main()
