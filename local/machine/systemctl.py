"""``systemctl`` without systemd: reads units from where systemd does and runs their services in the background.

Known of a unit (systemd.unit(5), systemd.service(5), systemd.exec(5)): drop-ins, ConditionPathExists, Type (simple and
its like, notify, forking with a PIDFile, oneshot), Exec lines, Environment and its files, User, Group,
WorkingDirectory, the directories under /run, /var/lib and /var/log, Restart, RestartSec, the limit of starts,
TimeoutStopSec, KillMode, and StandardOutput to a file. Services wait for nothing: After, Requires and Wants are not
read. Output goes to /var/log/<name>.log.

Each service has a supervisor, which is this program too; what it knows is in /run/services/<name>. ``systemctl boot``
is for the machine's first process: it starts what is enabled.
"""

import contextlib
import grp
import os
import pwd
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

UNITS = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/lib/systemd/system")
STATE, ENABLED, MASKS = Path("/run/services"), Path("/var/lib/services"), Path("/etc/systemd/system")
# Started first, in this order.
FIRST = ("munge.service", "slurmctld.service", "slurmd.service")
STOP_SECONDS = 10.0
# A service that ends this often within so many seconds is given up (systemd-system.conf(5), DefaultStartLimit...).
LIMIT_STARTS, LIMIT_SECONDS = "5", 10.0
DIRECTORIES = {"RuntimeDirectory": "/run", "StateDirectory": "/var/lib", "LogsDirectory": "/var/log"}
UNITS_OF_TIME = {"": 1.0, "s": 1.0, "sec": 1.0, "ms": 0.001, "min": 60.0, "m": 60.0, "h": 3600.0}
NOT_FOUND, INACTIVE = 5, 3


class Unit:
    """A service: its settings by name, a list each, since many may be given more than once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.settings: dict[str, list[str]] = {}
        self.state = STATE / name
        self.found = False
        self.masked = MASKS.joinpath(name).is_symlink()
        self.instance = name.partition("@")[2].rpartition(".")[0]
        template = re.sub(r"@.*\.", "@.", name)
        for each in dict.fromkeys((template, name)):
            file = next((path for base in UNITS if (path := Path(base, each)).is_file()), None)
            if file:
                self.found = True
                self._read(file)
        for base in reversed(UNITS):
            for file in sorted(Path(base, f"{name}.d").glob("*.conf")):
                self._read(file)

    def _read(self, file: Path) -> None:
        text = re.sub(r"\\\n", " ", file.read_text())
        for line in text.splitlines():
            key, equals, value = line.strip().partition("=")
            if not equals or key.startswith(("#", ";")):
                continue
            key, value = key.strip(), value.strip().replace("%i", self.instance).replace("%n", self.name)
            if value:
                self.settings.setdefault(key, []).append(value)
            else:  # an empty value forgets what was given before
                self.settings[key] = []

    def last(self, key: str, default: str = "") -> str:
        """The setting's value, where the last one counts."""
        return (self.settings.get(key) or [default])[-1]

    def seconds(self, key: str, default: float) -> float:
        """A time span."""
        number, unit = re.fullmatch(r"([\d.]*)\s*(\w*)", self.last(key)).groups()  # pyright: ignore[reportOptionalMemberAccess]
        return float(number) * UNITS_OF_TIME.get(unit, 1.0) if number else default

    def unmet(self) -> str:
        """The condition that is not met, empty if all are."""
        for path in self.settings.get("ConditionPathExists", []):
            if Path(path.lstrip("|!")).exists() == path.startswith("!"):
                return path
        return ""

    def environment(self) -> dict[str, str]:
        """What its processes find."""
        env = _assignments(Path("/etc/environment").read_text())
        for line in self.settings.get("Environment", []):
            env |= _pairs(shlex.split(line))
        for name in self.settings.get("EnvironmentFile", []):
            with contextlib.suppress(*([FileNotFoundError] if name.startswith("-") else [])):
                env |= _assignments(Path(name.lstrip("-")).read_text())
        if user := self.last("User"):
            env |= {"USER": user, "LOGNAME": user, "HOME": pwd.getpwnam(user).pw_dir}
        return env

    def commands(self, key: str) -> list[tuple[bool, list[str]]]:
        """The Exec lines: whether failure counts, and the words."""
        env = self.environment() | ({"MAINPID": str(pid)} if (pid := self.pid("main")) else {})
        return [_command(line, env) for line in self.settings.get(key, [])]

    def pid(self, who: str) -> int:
        """The process id of its `supervisor` or `main` process, 0 if it does not live."""
        try:
            pid = int((self.state / who).read_text())
            os.kill(pid, 0)
        except (OSError, ValueError):
            return 0
        return pid

    def active(self) -> bool:
        """Whether it runs, or has run and remains."""
        return bool(self.pid("supervisor")) or (self.state / "remains").exists()


def _pairs(words: Iterable[str]) -> dict[str, str]:
    found = (word.partition("=") for word in words)
    return {name.strip(): value for name, equals, value in found if equals}


def _assignments(text: str) -> dict[str, str]:
    """Those of an environment file: a line each, quoted or not."""
    lines = (line.strip() for line in text.splitlines())
    pairs = _pairs(line for line in lines if not line.startswith(("#", ";")))
    return {name: " ".join(shlex.split(value)) for name, value in pairs.items()}


def _command(line: str, env: dict[str, str]) -> tuple[bool, list[str]]:
    """Variables as systemd.service(5) has them: ``$X`` as a word of its own is split, ``${X}`` is not."""
    marks, rest = re.fullmatch(r"([-@:+!]*)(.*)", line, re.DOTALL).groups()  # pyright: ignore[reportOptionalMemberAccess]
    words: list[str] = []
    for word in shlex.split(rest):
        if re.fullmatch(r"\$\w+", word):
            words += shlex.split(env.get(word[1:], ""))
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda found: env.get(found[1], ""), word).replace("$$", "$"))
    return "-" not in marks, words


# --- running


def _identity(unit: Unit) -> dict[str, Any]:
    user, group = unit.last("User"), unit.last("Group")
    if not user:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": user, "group": grp.getgrnam(group).gr_gid if group else entry.pw_gid,
            "extra_groups": os.getgrouplist(user, entry.pw_gid)}  # fmt: skip


def _start(unit: Unit, words: list[str], **more: str) -> "subprocess.Popen[Any]":
    said = unit.last("StandardOutput")
    where = said.partition(":")[2] if said.startswith(("append:", "file:", "truncate:")) else ""
    with Path(where or f"/var/log/{unit.name.removesuffix('.service')}.log").open("ab") as log:
        return subprocess.Popen(
            words, env=unit.environment() | more, cwd=unit.last("WorkingDirectory", "/").lstrip("-"),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            umask=int(unit.last("UMask", "0022"), 8), **_identity(unit),
        )  # fmt: skip


def _run(unit: Unit, key: str) -> int:
    """All commands of a key, to their end; the first status other than 0 that counts."""
    for counts, words in unit.commands(key):
        code = _start(unit, words).wait()
        if code and counts:
            return code
    return 0


def _make_directories(unit: Unit) -> None:
    for key, base in DIRECTORIES.items():
        for name in unit.last(key).split():
            path = Path(base, name)
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(int(unit.last(f"{key}Mode", "0755"), 8))
            if user := unit.last("User"):
                os.chown(path, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)


def supervise(unit: Unit, ready: Callable[[], None]) -> None:
    """Run the service, again and again as Restart says, until SIGTERM."""
    stopping: list[int] = []

    def on_term(number: int, _: object) -> None:
        stopping.append(number)
        _signal(unit, signal.SIGTERM)

    signal.signal(signal.SIGTERM, on_term)
    limit, burst = unit.seconds("StartLimitIntervalSec", LIMIT_SECONDS), int(unit.last("StartLimitBurst", LIMIT_STARTS))
    ends: list[float] = []
    while True:
        code = _once(unit, ready)
        ends = [*ends, time.monotonic()][-burst:]
        often = len(ends) == burst and ends[-1] - ends[0] < limit
        if stopping or often or not _again(unit.last("Restart", "no"), code):
            break
        ready()
        until = time.monotonic() + unit.seconds("RestartSec", 0.1)
        while not stopping and time.monotonic() < until:
            time.sleep(0.05)
        if stopping:
            break
    if code and not stopping:
        (unit.state / "failed").write_text(str(code))
    (unit.state / "main").unlink(missing_ok=True)
    (unit.state / "supervisor").unlink(missing_ok=True)
    ready()


def _again(rule: str, code: int) -> bool:
    clean = code in (0, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -signal.SIGPIPE)
    aborted = code < 0 and not clean
    return {"always": True, "on-success": clean, "on-failure": not clean, "on-abort": aborted,
            "on-abnormal": aborted}.get(rule, False)  # fmt: skip


def _once(unit: Unit, ready: Callable[[], None]) -> int:
    """The main process from start to end; its status."""
    _make_directories(unit)
    if code := _run(unit, "ExecStartPre"):
        return code
    try:
        return ONCE.get(unit.last("Type"), _once_simple)(unit, unit.commands("ExecStart")[0][1], ready)
    except OSError as error:
        print(f"{unit.name}: {error}", file=sys.stderr)
        return 203  # EXIT_EXEC


def _once_simple(unit: Unit, words: list[str], ready: Callable[[], None]) -> int:
    process = _start(unit, words)
    (unit.state / "main").write_text(str(process.pid))
    ready()
    return process.wait()


def _once_forking(unit: Unit, words: list[str], ready: Callable[[], None]) -> int:
    if code := _start(unit, words).wait():
        return code
    file = Path(unit.last("PIDFile"))
    for _ in range(100):
        if file.exists() and file.read_text().strip():
            break
        time.sleep(0.05)
    (unit.state / "main").write_text(file.read_text().strip())
    ready()
    while unit.pid("main"):  # a child of the machine's first process: how it ended is not known here
        time.sleep(0.1)
    return 0


def _once_notify(unit: Unit, words: list[str], ready: Callable[[], None]) -> int:
    """It says when it is ready, and which process is to be the main one (sd_notify(3))."""
    path, main = unit.state / "notify", unit.state / "main"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as box:
        box.bind(str(path))
        path.chmod(0o666)
        box.settimeout(0.1)
        process = _start(unit, words, NOTIFY_SOCKET=str(path))
        main.write_text(str(process.pid))
        while process.poll() is None or unit.pid("main"):
            with contextlib.suppress(TimeoutError):
                said = _pairs(box.recv(4096).decode().splitlines())
                if "MAINPID" in said:
                    main.write_text(said["MAINPID"])
                if "READY" in said:
                    ready()
    # Of one that was not started here it is not known how it ended.
    return process.returncode if main.read_text() == str(process.pid) else 1


ONCE = {"forking": _once_forking, "notify": _once_notify, "notify-reload": _once_notify}


def _signal(unit: Unit, number: int) -> None:
    if pid := unit.pid("main"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


# --- verbs


def start(unit: Unit) -> int:
    """Returns when the service's main process is there; a oneshot's, when it is over."""
    if unit.masked:
        print(f"Failed to start {unit.name}: Unit {unit.name} is masked.", file=sys.stderr)
        return 1
    if unit.active():
        return 0
    if missing := unit.unmet():
        print(f"{unit.name}: condition not met: ConditionPathExists={missing}", file=sys.stderr)
        return 0
    unit.state.mkdir(parents=True, exist_ok=True)
    (unit.state / "failed").unlink(missing_ok=True)
    (_start_oneshot if unit.last("Type") == "oneshot" else _start_supervisor)(unit)
    if (unit.state / "failed").exists():
        print(f"Job for {unit.name} failed. See /var/log/{unit.name.removesuffix('.service')}.log", file=sys.stderr)
        return 1
    return 0


def _start_oneshot(unit: Unit) -> None:
    _make_directories(unit)
    if code := _run(unit, "ExecStartPre") or _run(unit, "ExecStart"):
        (unit.state / "failed").write_text(str(code))
    elif unit.last("RemainAfterExit") in ("yes", "true", "1"):
        (unit.state / "remains").touch()


def _start_supervisor(unit: Unit) -> None:
    """Wait until it says that the main process is there, or that there is none."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        _become_supervisor(unit, reader, writer)
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)


def _become_supervisor(unit: Unit, reader: int, writer: int) -> None:
    os.close(reader)
    os.setsid()
    if os.fork():
        os._exit(0)
    log = os.open("/var/log/services.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    null = os.open("/dev/null", os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    (unit.state / "supervisor").write_text(str(os.getpid()))
    waiting = [writer]

    def ready() -> None:
        if waiting:
            os.close(waiting.pop())

    try:
        supervise(unit, ready)
    finally:
        os._exit(0)


def stop(unit: Unit) -> int:
    """Returns when its main process is gone; with KillMode=process its children stay."""
    (unit.state / "remains").unlink(missing_ok=True)
    supervisor, main = unit.pid("supervisor"), unit.pid("main")
    if not supervisor:
        return 0
    _run(unit, "ExecStop")
    with contextlib.suppress(ProcessLookupError):
        os.kill(supervisor, signal.SIGTERM)
    end = time.monotonic() + unit.seconds("TimeoutStopSec", STOP_SECONDS)
    while unit.pid("supervisor"):
        if time.monotonic() > end:
            _signal(unit, signal.SIGKILL)
            end += STOP_SECONDS
        time.sleep(0.02)
    if main and unit.last("KillMode") != "process":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(main, signal.SIGKILL)
    return 0


def restart(unit: Unit) -> int:
    """Stop, then start."""
    return stop(unit) or start(unit)


def try_restart(unit: Unit) -> int:
    """Restart what is active."""
    return restart(unit) if unit.active() else 0


def reload(unit: Unit) -> int:
    """Run ExecReload."""
    if not unit.active():
        print(f"{unit.name} is not active, cannot reload.", file=sys.stderr)
        return 1
    return int(bool(_run(unit, "ExecReload")))


def reload_or_restart(unit: Unit) -> int:
    """Reload what can, restart what cannot."""
    return reload(unit) if unit.active() and unit.settings.get("ExecReload") else restart(unit)


def enable(unit: Unit) -> int:
    """From the next boot on."""
    if unit.masked:
        print(f"Failed to enable unit: Unit {MASKS / unit.name} is masked.", file=sys.stderr)
        return 1
    ENABLED.mkdir(parents=True, exist_ok=True)
    (ENABLED / unit.name).touch()
    return 0


def disable(unit: Unit) -> int:
    """From the next boot on."""
    (ENABLED / unit.name).unlink(missing_ok=True)
    return 0


def mask(unit: Unit) -> int:
    """Let nobody start it. What runs goes on."""
    path = MASKS / unit.name
    if path.is_file() and not path.is_symlink():
        print(f"Failed to mask unit: File {path} already exists.", file=sys.stderr)
        return 1
    if not unit.masked:
        path.symlink_to("/dev/null")
    return 0


def unmask(unit: Unit) -> int:
    """Take that back."""
    if unit.masked:
        (MASKS / unit.name).unlink()
    return 0


def is_active(unit: Unit) -> int:
    """Say so, and by status."""
    _say("active" if unit.active() else "failed" if (unit.state / "failed").exists() else "inactive")
    return 0 if unit.active() else INACTIVE


def is_failed(unit: Unit) -> int:
    """Say so, and by status."""
    failed = (unit.state / "failed").exists()
    _say("failed" if failed else "active" if unit.active() else "inactive")
    return int(not failed)


def is_enabled(unit: Unit) -> int:
    """Say so, and by status."""
    enabled = (ENABLED / unit.name).exists()
    _say("enabled" if enabled else "disabled")
    return int(not enabled)


def nothing(_: Unit) -> int:
    """What makes no difference here."""
    return 0


def _say(word: str) -> None:
    if "--quiet" not in sys.argv and "-q" not in sys.argv:
        print(word)


VERBS: dict[str, Callable[[Unit], int]] = {
    "start": start, "stop": stop, "restart": restart, "try-restart": try_restart, "reload": reload,
    "reload-or-restart": reload_or_restart, "enable": enable, "disable": disable, "is-active": is_active,
    "mask": mask, "unmask": unmask, "status": is_active, "is-failed": is_failed, "is-enabled": is_enabled,
    "reset-failed": nothing,
}  # fmt: skip
ALONE = ("daemon-reload", "daemon-reexec", "reset-failed")
WITH_NOW = {"enable": start, "disable": stop}
ASKING = (is_active, is_failed, is_enabled)
FOR_ANY = (*ASKING, mask, unmask)


def main() -> int:
    """The worst status of all units; of questions the best, as systemctl has it."""
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    if words == ["boot"]:
        STATE.mkdir(parents=True, exist_ok=True)
        enabled = [each.name for each in ENABLED.glob("*")]
        words = ["start", *(name for name in FIRST if name in enabled), *sorted({*enabled} - {*FIRST})]
    verb, names = words[0] if words else "", words[1:]
    if verb in ALONE and not names:
        return 0
    action = VERBS.get(verb)
    if action is None:
        print(f"Unknown command verb '{verb}' (of the stand-in for systemctl).", file=sys.stderr)
        return 1
    codes = [_apply(action, verb, name if re.search(r"\.\w+$", name) else f"{name}.service") for name in names]
    return (min if action in ASKING else max)(codes, default=0)


def _apply(action: Callable[[Unit], int], verb: str, name: str) -> int:
    unit = Unit(name)
    if not (unit.found or unit.masked or action in FOR_ANY):
        print(f"Failed to {verb} {name}: Unit {name} not found.", file=sys.stderr)
        return NOT_FOUND
    code = action(unit)
    return WITH_NOW[verb](unit) or code if "--now" in sys.argv and verb in WITH_NOW else code


if __name__ == "__main__":
    sys.exit(main())
