"""The entry points of the loop and of the sweep: what is acknowledged, what comes again and when."""

import gc
import json
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handlers import reconcile as handler
from handlers import sweep as sweeper
from reconciler.answered import SETTLED, Answered
from reconciler.loop import Report
from reconciler.record import Record
from reconciler.settings import Settings
from reconciler.store import Refused
from tests.unit.plane import Context, Plane, client

EVENTS = Path(__file__).parents[2] / "events"


@pytest.fixture
def lambda_(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> Plane:
    """The control plane, and functions that find it in their environment."""
    for name, value in plane.environment.items():
        monkeypatch.setenv(name, value)
    handler._settings.cache_clear()
    monkeypatch.setattr(handler, "answered", Answered())
    monkeypatch.setattr(handler, "_clients", lambda: plane.clients)
    monkeypatch.setattr(sweeper, "_clients", lambda: plane.clients)
    return plane


def message(plane: Plane, body: str, queue: str = "wakes.fifo", tries: int = 1) -> dict[str, Any]:
    """A message that was sent to a queue and received from it, as Lambda hands it over."""
    urls = {"wakes.fifo": plane.settings.wakes_queue_url, "background.fifo": plane.settings.background_queue_url}
    client("sqs").send_message(QueueUrl=urls[queue], MessageBody=body, MessageGroupId="demo")
    (received,) = client("sqs").receive_message(QueueUrl=urls[queue], VisibilityTimeout=360)["Messages"]
    return {
        "messageId": received["MessageId"],
        "receiptHandle": received["ReceiptHandle"],
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": str(tries),
            "MessageGroupId": "demo",
            "SentTimestamp": str(int(time.time() * 1000)),
        },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{queue}",
        "awsRegion": "us-east-1",
    }


def older(received: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The same, as if it had been sent so many seconds before."""
    sent = int(received["attributes"]["SentTimestamp"]) - int(seconds * 1000)
    return {**received, "attributes": {**received["attributes"], "SentTimestamp": str(sent)}}


def body(cluster: Any = "demo") -> str:
    return json.dumps({"cluster": cluster, "source": "spec", "id": "1"})


def invoke(*records: dict[str, Any]) -> list[str]:
    """The ids of the messages that are to come again."""
    answer = handler.handler({"Records": list(records)}, Context())
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def again(plane: Plane, queue: str = "wakes.fifo") -> list[int]:
    """The visibility timeouts (seconds) that messages were given back with."""
    return [each["VisibilityTimeout"] for each in plane.clients.returned if each["QueueUrl"].endswith(f"/{queue}")]


def metric(capsys: pytest.CaptureFixture[str], name: str) -> list[Any]:
    """The values of a metric in what was printed (CloudWatch's embedded metric format)."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    return [line[name] for line in lines if "_aws" in line and name in line]


def test_a_message_is_a_pass(lambda_: Plane, capsys: pytest.CaptureFixture[str]) -> None:
    lambda_.put()
    assert invoke(message(lambda_, body())) == []
    assert lambda_.cloudformation.stacks[-1].name == "muster-demo"
    assert again(lambda_) == []
    assert metric(capsys, "Passes") == [[1.0]]


def test_a_pass_that_is_refused_gives_its_message_back(lambda_: Plane, capsys: pytest.CaptureFixture[str]) -> None:
    """Soon: the other pass lasts a second or two, though its lease may last a minute."""
    lambda_.put()
    lambda_.store.take(Record("demo", "uid"), "other", 60, time.time())
    received = message(lambda_, body())
    assert invoke(received) == [received["messageId"]]
    (seconds,) = again(lambda_)
    assert 1 <= seconds <= 2
    assert lambda_.cloudformation.stacks == []
    assert metric(capsys, "LeaseRefused") == [[1.0]]


@pytest.mark.parametrize(
    ("age", "passes"),
    [
        (SETTLED + 1, 1),  # the pass began well after it was sent
        (SETTLED - 1, 2),  # what the pass read may have been older
    ],
)
def test_what_a_pass_has_seen_needs_no_other(
    lambda_: Plane, age: float, passes: int, capsys: pytest.CaptureFixture[str]
) -> None:
    lambda_.put()
    received = message(lambda_, body())
    assert invoke(received) == []
    assert invoke(older(received, age)) == []
    assert len(metric(capsys, "Passes")) == passes


@pytest.mark.parametrize("report", [Report("demo", "retry", error="throttled"), Report("demo", "out of time"),
                                    Report("other", "unchanged")])  # fmt: skip
def test_a_pass_that_did_not_come_to_its_end_or_was_anothers_answers_for_no_other_message(
    lambda_: Plane, monkeypatch: pytest.MonkeyPatch, report: Report
) -> None:
    made: list[str] = []

    def reconcile(*_: Any) -> Report:
        made.append("pass")
        return report

    monkeypatch.setattr(handler, "reconcile", reconcile)
    received = message(lambda_, body())
    invoke(received)
    invoke(older(received, 60))
    assert len(made) == 2


def broken(error: BaseException) -> Callable[..., Report]:
    def reconcile(*_: Any) -> Report:
        raise error

    return reconcile


@pytest.mark.parametrize("queue", ["wakes.fifo", "background.fifo"])
@pytest.mark.parametrize(("tries", "least", "most"), [(1, 1, 2), (3, 4, 6), (5, 16, 24), (10, 300, 450)])
def test_a_broken_pass_gives_its_message_back_for_longer_and_longer(
    lambda_: Plane, monkeypatch: pytest.MonkeyPatch, queue: str, tries: int, least: int, most: int
) -> None:
    monkeypatch.setattr(handler, "reconcile", broken(ZeroDivisionError("a defect")))
    received = message(lambda_, body(), queue, tries)
    assert invoke(received) == [received["messageId"]]
    (seconds,) = again(lambda_, queue)
    assert least <= seconds <= most


def test_a_refusal_does_not_wait_longer_than_the_lease(lambda_: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler, "reconcile", broken(Refused("demo", 5.0)))
    invoke(message(lambda_, body(), tries=9))
    assert again(lambda_) == [5]


def test_a_message_that_cannot_be_given_back_comes_again_all_the_same(
    lambda_: Plane, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(handler, "reconcile", broken(ZeroDivisionError("a defect")))
    lambda_.clients.faults["ChangeMessageVisibility"] = ("ReceiptHandleIsInvalid", "too late")
    received = message(lambda_, body())
    assert invoke(received) == [received["messageId"]]
    assert metric(capsys, "PassBroken") == [[1.0]]


def test_a_throttled_table_gives_the_message_back(lambda_: Plane) -> None:
    lambda_.put()
    lambda_.clients.faults["BatchGetItem"] = ("ProvisionedThroughputExceededException", "slow down")
    received = message(lambda_, body())
    assert invoke(received) == [received["messageId"]]
    assert again(lambda_)


UNREADABLE = {
    "nothing": "",
    "not-json": "wake up!",
    "not-a-map": "[1]",
    "a-text": '"demo"',
    "null": "null",
    "no-cluster": '{"source": "spec"}',
    "no-name": body(""),
    "a-number": body(7),
    "a-list": body(["demo"]),
    "a-null": body(None),
    "a-half-character": '{"cluster": "\\ud800"}',
    "too-long": body("x" * 2049),
    "too-deep": "[" * 100_000,
}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_a_message_that_cannot_be_read_is_counted_and_dropped(
    lambda_: Plane, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be no more readable the tenth time, and would hold up its group until then."""
    received = message(lambda_, text or "{}") | {"body": text}
    assert invoke(received) == []
    assert metric(capsys, "UnreadableMessages") == [[1.0]]
    assert lambda_.calls == {}


@pytest.mark.parametrize("name", ["a/nodes", "x" * 2048, "With Capitals"])
def test_an_odd_name_gets_its_answer(lambda_: Plane, name: str) -> None:
    lambda_.put_raw({"name": {"S": name}, "spec": {"M": {}}})
    assert invoke(message(lambda_, body(name))) == []
    record = lambda_.store.load(name)[1]
    assert record is not None
    assert record.phase == "Invalid"


def test_the_sample_event_is_read(lambda_: Plane) -> None:
    event = json.loads((EVENTS / "reconcile.json").read_text())
    assert handler.handler(event, Context()) == {"batchItemFailures": []}


def test_of_a_batch_only_what_failed_comes_again(lambda_: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    def reconcile(tools: Any, name: str, owner: str) -> Report:
        if name == "bad":
            raise ZeroDivisionError
        return Report(name, "unchanged")

    monkeypatch.setattr(handler, "reconcile", reconcile)
    bad = message(lambda_, body("bad"), "wakes.fifo")
    good = message(lambda_, body("good"), "background.fifo")
    assert invoke(bad, good) == [bad["messageId"]]


def test_a_pass_knows_its_time_and_its_name(lambda_: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def reconcile(tools: Any, name: str, owner: str) -> Report:
        seen.update(name=name, owner=owner, left=tools.seconds_left(), settings=tools.settings)
        return Report(name, "unchanged")

    monkeypatch.setattr(handler, "reconcile", reconcile)
    invoke(message(lambda_, body()))
    assert (seen["name"], seen["owner"], seen["left"]) == ("demo", "request-1", 60.0)
    assert seen["settings"] == lambda_.settings


def test_settings_come_from_the_environment(lambda_: Plane) -> None:
    assert Settings.from_environment() == lambda_.settings


def test_settings_of_a_function_that_was_given_few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MUSTER_STATE_TABLE_ARN", "MUSTER_EVENT_TTL_DAYS"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings.from_environment()
    assert (settings.account, settings.event_ttl_days) == ("", 7)


# The sweep


def test_the_sweep_answers_with_whom_it_woke(lambda_: Plane, capsys: pytest.CaptureFixture[str]) -> None:
    lambda_.put()
    event = json.loads((EVENTS / "sweep.json").read_text())
    assert sweeper.handler(event, Context()) == {"demo": "new"}
    assert metric(capsys, "SweepWakes") == [[1.0]]


@pytest.mark.filterwarnings("ignore:No application metrics")
def test_a_sweep_that_cannot_read_fails_so_that_lambda_tries_again(lambda_: Plane) -> None:
    lambda_.clients.faults["Scan"] = ("InternalServerError", "no")
    with pytest.raises(Exception, match="the sweep: Scan answered InternalServerError"):
        sweeper.handler({}, Context())


def test_rings_that_passes_leave_behind_do_not_pile_up() -> None:
    rings: list[weakref.ref[list[Any]]] = []
    gc.collect()
    for _ in range(20_000):
        ring = Ring()
        ring.append(ring)
        rings.append(weakref.ref(ring))
    assert sum(ring() is not None for ring in rings) < 20_000


class Ring(list[Any]):
    """A list, which can be watched."""
