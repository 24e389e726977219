"""What compute nodes do: they join, look out for notices, and say why they failed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from node import munge
from node.facts import Node
from node.imds import Imds, ImdsError
from node.join import CARE, DEFAULTS, LIMIT, Join, JoinError
from node.lists import Row
from node.machine import MachineError
from node.rows import NodeRow
from node.watch import Watch

NODE = Node("demo", "us-east-1", "state", "https://q", "", "cpu", "muster-demo.cpu", "10.0.0.5")
BOOTING = NodeRow("i-1", "cpu", "cpu-3", Row.BOOTING, 1.0)


class FakeImds:
    """Answers by path; an Exception is raised."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {"instance-id": "i-1", "local-ipv4": "10.0.0.7", **answers}

    def find(self, path: str) -> str | None:
        found = self.answers.get(path)
        if isinstance(found, Exception):
            raise found
        return found

    def get(self, path: str) -> str:
        found = self.find(path)
        assert found is not None
        return found


@dataclass
class FakeTable:
    """One row, which the test moves."""

    row: NodeRow | None = None
    key: bytes | None = b"secret"
    told: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])

    def node(self, identifier: str) -> NodeRow | None:
        assert identifier == "i-1"
        return self.row

    def tell_address(self, identifier: str, address: str) -> bool:
        self.told.append((identifier, address))
        return self.row is not None

    def tell_state(self, identifier: str, state: Row, reason: str, now: float) -> bool:
        known = self.row is None or self.row.state in (state, Row.FAILED)
        if not known:
            assert self.row
            self.told.append((identifier, state, reason))
            self.row = replace(self.row, state=state, reason=reason, since=now)
        return not known

    def munge_key(self) -> bytes | None:
        return self.key

    def add_munge_key(self, key: bytes) -> bool:
        self.key = key
        return True


class FakeMachine:
    """Files in memory, and daemons that run from their start on if the test wants so."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[Any, int, str]] = {}
        self.done: list[str] = []
        self.running: set[str] = set()
        self.starts = True

    def write(self, path: str, content: Any, mode: int = 0o644, owner: str = "") -> bool:
        before = self.files.get(path)
        self.files[path] = (content, mode, owner)
        return before != self.files[path]

    def systemctl(self, *what: str) -> None:
        self.done.append(" ".join(what))
        if what[1] == "broken":
            raise MachineError("broken")
        self.running |= {what[1]} if self.starts else set()

    def is_active(self, unit: str) -> bool:
        return unit in self.running


class FakeMessages:
    def __init__(self) -> None:
        self.sent = 0

    def send(self) -> None:
        self.sent += 1


@dataclass
class Life:
    """A joining whose test says what happens at each wait."""

    table: FakeTable
    machine: FakeMachine = field(default_factory=FakeMachine)
    imds: FakeImds = field(default_factory=FakeImds)
    messages: FakeMessages = field(default_factory=FakeMessages)
    now: float = 0.0
    events: list[Any] = field(default_factory=list[Any])

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.events:
            self.events.pop(0)()

    def join(self) -> NodeRow:
        parts: Any = (NODE, self.table, self.messages, self.imds, self.machine)
        return Join(*parts, lambda: self.now, self.sleep).run()

    def set(self, **fields: Any) -> Any:
        """Something that happens to the row."""

        def happen() -> None:
            self.table.row = replace(self.table.row or BOOTING, **fields)

        return happen


def test_a_node_joins() -> None:
    life = Life(FakeTable())
    life.events = [lambda: None, life.set(state=Row.BOOTING), life.set(state=Row.READY)]
    assert life.join().state is Row.READY
    assert life.messages.sent == 2, "the head node is told of an instance of which it knows nothing"
    assert life.table.told == [("i-1", "10.0.0.7")]
    assert life.machine.files == {
        munge.KEY_FILE: (b"secret", 0o400, "munge"),
        DEFAULTS: ('SLURMD_OPTIONS="-N cpu-3 --conf-server 10.0.0.5:6817"\n', 0o644, ""),
    }
    assert life.machine.done == ["restart munge", "restart slurmd"]


def test_a_node_waits_for_all_that_is_not_there_yet() -> None:
    life = Life(FakeTable(key=None), imds=FakeImds(**{"local-ipv4": ImdsError("not yet")}))

    def address() -> None:
        life.imds.answers["local-ipv4"] = "10.0.0.8"

    def key() -> None:
        life.table.key = b"late"

    life.events = [address, life.set(state=Row.BOOTING), key, life.set(state=Row.READY)]
    assert life.join().name == "cpu-3"
    assert life.machine.files[munge.KEY_FILE][0] == b"late"
    assert life.table.told == [("i-1", "10.0.0.8")]


def test_a_daemon_that_ends_is_started_again() -> None:
    life = Life(FakeTable(BOOTING))
    life.machine.starts = False
    life.events = [lambda: None] * 9 + [life.set(state=Row.READY)]
    life.join()
    assert life.machine.done[:4] == ["restart munge", "restart slurmd"] * 2
    assert len(life.machine.done) <= 2 * (life.now // CARE + 1)


@pytest.mark.parametrize("state", [Row.DRAINING, Row.DRAINED])
def test_a_node_that_is_to_go_already_has_joined(state: Row) -> None:
    life = Life(FakeTable(BOOTING))
    life.events = [life.set(state=state)]
    assert life.join().state is state


def test_a_node_whose_row_fails_has_not_joined() -> None:
    life = Life(FakeTable(BOOTING))
    life.events = [life.set(state=Row.FAILED, reason="why")]
    with pytest.raises(JoinError, match="why"):
        life.join()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (FakeTable(), "a row from the head node"),
        (FakeTable(BOOTING, None), "munge key"),
        (FakeTable(BOOTING), "scheduler"),
    ],
)
def test_a_node_that_cannot_join_ends_and_says_how_far_it_came(table: FakeTable, words: str) -> None:
    life = Life(table)
    with pytest.raises(JoinError, match=words):
        life.join()
    assert LIMIT <= life.now < LIMIT + 10


def test_who_is_first_makes_the_key() -> None:
    table: Any = FakeTable(key=None)
    made = munge.key_of(table)
    assert len(made) == munge.SIZE
    assert munge.key_of(table) == made
    table.key, table.add_munge_key = None, lambda key: setattr(table, "key", b"another's")
    assert munge.key_of(table) == b"another's"


# Notices.

SPOT = {"spot/instance-action": json.dumps({"action": "terminate", "time": "2026-01-01T00:02:00Z"})}
REBALANCE = {"events/recommendations/rebalance": json.dumps({"noticeTime": "2026-01-01T00:00:00Z"})}
EVENT = {"NotBefore": "21 Jan 2026 09:00:43 GMT", "Code": "system-reboot", "State": "active"}
MAINTENANCE = {"events/maintenance/scheduled": json.dumps([{**EVENT, "State": "completed"}, EVENT])}
OVER = {"events/maintenance/scheduled": json.dumps([{**EVENT, "State": "completed"}])}


def watch(table: FakeTable, **answers: Any) -> tuple[Watch, FakeMessages]:
    messages = FakeMessages()
    parts: Any = (table, messages, FakeImds(**answers))
    return Watch(*parts, lambda: 5.0), messages


@pytest.mark.parametrize(
    ("announced", "state", "reason"),
    [
        (SPOT, Row.FAILED, "Spot interruption at 2026-01-01T00:02:00Z: terminate"),
        (REBALANCE, Row.DRAINING, "Spot rebalance recommendation of 2026-01-01T00:00:00Z"),
        (MAINTENANCE, Row.DRAINING, "Scheduled maintenance at 21 Jan 2026 09:00:43 GMT: system-reboot"),
        ({**REBALANCE, **SPOT}, Row.FAILED, "Spot interruption at 2026-01-01T00:02:00Z: terminate"),
        ({"spot/instance-action": "soon"}, Row.FAILED, "spot/instance-action: soon"),
    ],
)
def test_a_notice_is_told_once(announced: dict[str, str], state: Row, reason: str) -> None:
    table = FakeTable(replace(BOOTING, state=Row.READY))
    looking, messages = watch(table, **announced)
    looking.look()
    looking.look()
    assert table.told == [("i-1", state, reason)]
    assert messages.sent == 1


def test_a_notice_before_the_row_is_kept_for_it() -> None:
    table = FakeTable()
    looking, messages = watch(table, **SPOT)
    looking.look()
    assert messages.sent == 0
    table.row = BOOTING
    looking.look()
    assert (table.row.state, messages.sent) == (Row.FAILED, 1)


@pytest.mark.parametrize("answers", [{}, OVER, {"events/maintenance/scheduled": "[]"}])
def test_nothing_is_told_when_nothing_is_announced(answers: dict[str, str]) -> None:
    table = FakeTable(BOOTING)
    watch(table, **answers)[0].look()
    assert table.told == []


def test_nothing_ends_the_looking_out() -> None:
    table = FakeTable(BOOTING)
    looking, _ = watch(table, **{"spot/instance-action": ImdsError("no answer")})
    imds: Any = looking.imds
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        imds.answers["spot/instance-action"] = SPOT["spot/instance-action"]

    looking.run(sleep, lambda: len(waits) < 2)
    assert table.row
    assert table.row.state is Row.FAILED


# The metadata service.


class Service(BaseHTTPRequestHandler):
    """Version 2 alone: without a token it answers 401."""

    asked: list[str]
    token = "one"

    def do_PUT(self) -> None:
        assert self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self._answer(200, self.token)

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.headers["X-aws-ec2-metadata-token"] != self.token:
            self._answer(401, "")
        elif self.path == "/latest/meta-data/instance-id":
            self._answer(200, "i-1")
        else:
            self._answer(404, "")

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[tuple[type[Service], str]]:
    handler = type("Handler", (Service,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield handler, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_metadata_service_is_asked_with_a_token(
    service: tuple[type[Service], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    handler, address = service
    imds = Imds(address)
    assert imds.get("instance-id") == "i-1"
    assert imds.find("spot/instance-action") is None
    with pytest.raises(ImdsError, match="there is none"):
        imds.get("spot/instance-action")
    handler.token = "two"
    with pytest.raises(ImdsError, match="401"):
        imds.get("instance-id")
    assert imds.get("instance-id") == "i-1", "with a new token"


def test_no_metadata_service_is_an_error_of_its_own() -> None:
    with pytest.raises(ImdsError):
        Imds("http://127.0.0.1:9").get("instance-id")
