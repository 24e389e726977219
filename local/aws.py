"""Start and stop an AWS on this machine: MiniStack with our additions, a process group of its own.

`local_aws` is for tests and the demo: it lives as long as the ``with`` block, or the process that entered it.
`up` and `down` are for people: they remember the server in a file, so that one command starts it and another stops it.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

REGION = "us-east-1"
ACCOUNT = "123456789012"
# The account's root user, whom no policy restrains; made for everybody to know: it opens nothing but this emulator.
ADMIN = {"AWS_ACCESS_KEY_ID": "AKIALOCALADMIN000000", "AWS_SECRET_ACCESS_KEY": "local-admin-secret"}
START_TIMEOUT = 60.0
STOP_TIMEOUT = 10.0
_ROOT = Path(__file__).resolve().parent.parent
# What `up` started from this process: kept, so that an ended one is collected here and no other complained of.
_outliving: list["subprocess.Popen[bytes]"] = []


class LocalAwsError(Exception):
    """The local AWS did not start or stop; the message says why and where its log is."""


@dataclass(frozen=True)
class LocalAws:
    """A running local AWS.

    `env` is what a client's environment needs; `log` the server's log file; `pid` its process, which leads a
    process group that holds its Lambda functions too.
    """

    endpoint: str
    pid: int
    log: Path
    env: dict[str, str] = field(repr=False)
    _clients: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def environ(self) -> dict[str, str]:
        """This process's environment for a command that shall talk to the local AWS and to no other."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        return inherited | self.env

    def session(self) -> Any:
        """A boto3 session with the administrator's credentials; clients find the endpoint in `env`."""
        import boto3

        return boto3.Session(self.env["AWS_ACCESS_KEY_ID"], self.env["AWS_SECRET_ACCESS_KEY"], region_name=REGION)

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client of the administrator for this endpoint; always the same one where there are no options."""
        if options or service not in self._clients:
            made = self.session().client(service, endpoint_url=self.endpoint, **options)
            return made if options else self._clients.setdefault(service, made)
        return self._clients[service]

    def set(self, **settings: Any) -> dict[str, Any]:
        """Change how the additions behave (`local.additions.settings.Settings`); returns all settings."""
        answer = urllib3.request("PUT", f"{self.endpoint}/_local/settings", json=settings, timeout=5)
        if answer.status != 200:
            raise ValueError(answer.json())
        return answer.json()

    def weather(self) -> Counter[str]:
        """The calls of functions so far, those that were faulted by kind, and messages lost (`additions.weather`)."""
        return Counter(urllib3.request("GET", f"{self.endpoint}/_local/weather", timeout=5).json())

    def machines(self) -> dict[str, dict[str, Any]]:
        """The instances that are machines (`local.additions.machines`), by their ids: state, pid, address, files."""
        return urllib3.request("GET", f"{self.endpoint}/_local/machines", timeout=5).json()

    def enter(self, instance_id: str) -> list[str]:
        """What goes before a command that shall run on a machine, as root. Raises KeyError if it does not run."""
        return self.machines()[instance_id]["enter"]

    def decisions(self, *, forget: bool = False) -> list[dict[str, Any]]:
        """What IAM decided (`local.additions.decisions`): role, action and whether it was allowed, each once."""
        method = "DELETE" if forget else "GET"
        return urllib3.request(method, f"{self.endpoint}/_local/decisions", timeout=5).json()

    def calls(self, *, forget: bool = False) -> dict[str, dict[str, int]]:
        """How many calls each role has made over HTTP, by action; only where IAM is evaluated."""
        method = "DELETE" if forget else "GET"
        return urllib3.request(method, f"{self.endpoint}/_local/calls", timeout=30).json()


@contextlib.contextmanager
def local_aws(port: int | None = None, auth: bool = True) -> Iterator[LocalAws]:
    """A fresh, empty AWS for the time of the block; nothing of it stays, neither process nor file.

    `port` None takes a free one. With `auth` IAM policies are evaluated. Raises `LocalAwsError` if it does not start.
    """
    with contextlib.ExitStack() as stack:
        directory = tempfile.TemporaryDirectory(prefix="muster-local-", ignore_cleanup_errors=True)
        home = Path(stack.enter_context(directory))
        process = stack.enter_context(_spawn(home, port or 0, auth, stdin=subprocess.PIPE))
        stack.callback(_stop_group, process.pid, lambda: process.poll() is not None)
        yield _wait_until_healthy(home, lambda: process.poll() is None)


def up(port: int = 4566, auth: bool = True, home: Path | None = None) -> LocalAws:
    """Start a local AWS that outlives this process, or find the one that `up` started before."""
    home = home or default_home()
    home.mkdir(parents=True, exist_ok=True)
    if _address(home) is None:
        process = _spawn(home, port, auth, stdin=subprocess.DEVNULL)
        _outliving.append(process)
        return _wait_until_healthy(home, lambda: process.poll() is None)
    return _wait_until_healthy(home, lambda: _address(home) is not None)


def down(home: Path | None = None) -> bool:
    """Stop what `up` started, its Lambda functions included; False if nothing ran."""
    home = home or default_home()
    address = _address(home)
    if address is None:
        return False
    _stop_group(address["pid"], lambda: _address(home) is None)
    for process in _outliving:
        if process.pid == address["pid"]:
            process.wait(STOP_TIMEOUT)
    (home / "address.json").unlink(missing_ok=True)
    return True


def default_home() -> Path:
    """Where `up` keeps the server's address, log and temporary files."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "muster" / "local"


def client_env(endpoint: str) -> dict[str, str]:
    """The variables by which every AWS client finds the endpoint, as the account's administrator."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "0.5",
        **ADMIN,
    }


def _spawn(home: Path, port: int, auth: bool, stdin: int) -> "subprocess.Popen[bytes]":
    scratch = home / "tmp"
    scratch.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "local.server", "--address", str(home / "address.json"), "--port", str(port)]
    with (home / "server.log").open("wb") as log:
        return subprocess.Popen(
            command + (["--until-eof"] if stdin == subprocess.PIPE else []),
            cwd=_ROOT,
            env=_server_env(scratch, auth),
            stdin=stdin,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _server_env(scratch: Path, auth: bool) -> dict[str, str]:
    """Little is inherited: a Lambda function's process gets all of this too."""
    inherited = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "LC_ALL") if key in os.environ}
    return inherited | ADMIN | {
        "AUTH": str(auth).lower(),
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "TMPDIR": str(scratch),
    }  # fmt: skip


def _address(home: Path) -> dict[str, Any] | None:
    """The address file's content while its server lives, which is as long as it keeps the file locked."""
    try:
        with (home / "address.json").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return json.loads(file.read() or "null")
    except FileNotFoundError:
        pass
    return None


def _wait_until_healthy(home: Path, alive: Callable[[], bool]) -> LocalAws:
    log = home / "server.log"
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if not alive():
            raise LocalAwsError(f"local AWS ended while starting; the end of {log}:\n{_tail(log)}")
        address = _address(home)
        if address and _healthy(address["endpoint"]):
            return LocalAws(address["endpoint"], address["pid"], log, client_env(address["endpoint"]))
        time.sleep(0.05)
    raise LocalAwsError(f"local AWS was not healthy after {START_TIMEOUT:.0f} s; the end of {log}:\n{_tail(log)}")


def _healthy(endpoint: str) -> bool:
    try:
        return urllib3.request("GET", f"{endpoint}/_ministack/health", retries=False, timeout=5).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


def _stop_group(leader: int, gone: Callable[[], bool]) -> None:
    """End the server and then whatever its group still holds, its Lambda functions first of all."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT
    while not gone() and time.monotonic() < deadline:
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
    while not gone():
        time.sleep(0.02)
