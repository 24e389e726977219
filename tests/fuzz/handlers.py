"""Damaged items and events through the real handlers, on moto: nothing is raised, nothing of the user's is touched."""

import copy
import io
import json
import os
import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import Mock, patch

from botocore.exceptions import ClientError, ParamValidationError
from moto.dynamodb.models import dynamodb_backends

from handlers import cleanup, reconcile, wake
from reconciler.cluster import Invalid, from_item, parse
from reconciler.record import Record
from tests.fuzz.generate import CANARIES, damage, damaged
from tests.unit.plane import ACCOUNT, Context, Plane, client, control_plane, image

Json = dict[str, Any]
EVENTS: dict[str, Json] = {path.stem: json.loads(path.read_text()) for path in Path("events").glob("*.json")}
STREAM = [name for name in EVENTS if name.startswith("spec-")]
CLEANUPS = [name for name in EVENTS if "-cleanup-" in name]
NOT_TAKEN = (ParamValidationError, ClientError, UnicodeEncodeError, IndexError, StopIteration, RecursionError)
GROUP = re.compile(r"[!-~]{1,128}")
NONE_FAILED = {"batchItemFailures": []}
# What the fields of an event are that its service makes, and that no answer could be given without.
GIVEN_STREAM = ("eventSource",)
GIVEN_CLEANUP = ("StackId", "RequestId", "LogicalResourceId", "ResponseURL", "PhysicalResourceId")


class Queue:
    """Takes what SQS takes (API reference, SendMessageBatch), and keeps the bodies."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    def send_message_batch(self, QueueUrl: str, Entries: list[Json]) -> Json:  # noqa: N803
        for entry in Entries:
            assert GROUP.fullmatch(entry["MessageGroupId"])
            assert 0 < len(entry["MessageBody"].encode()) <= 262_144
        self.bodies += [entry["MessageBody"] for entry in Entries]
        return {}

    def send_message(self, **_: Any) -> Json:
        return {}


@contextmanager
def functions() -> Iterator[Plane]:
    """A control plane on moto, and the handlers in its environment, silent."""
    with control_plane() as plane, patch.dict(os.environ, plane.environment), redirect_stdout(io.StringIO()):
        reconcile._settings.cache_clear()
        for each in (wake, reconcile, cleanup):
            each.logger.setLevel("CRITICAL")
        plane.clients.sqs = Queue()
        # moto knows the parameters of some images only.
        plane.clients.ssm = Mock(get_parameter=Mock(return_value={"Parameter": {"Value": image()}}))
        with patch.object(wake, "clients", plane.clients), patch.object(reconcile, "_clients", lambda: plane.clients):
            yield plane
        for each in (wake, reconcile, cleanup):
            each.logger.setLevel("INFO")


def received(plane: Plane) -> list[str]:
    """The bodies of the wake-ups sent since this was last asked."""
    sent: Any = plane.clients.sqs
    bodies, sent.bodies = sent.bodies, []
    return bodies


def batch(name: str, *bodies: str) -> Json:
    """A batch of SQS like a sample one, with these bodies."""
    sample = EVENTS[name]["Records"][0]
    return {"Records": [{**sample, "messageId": f"m{n}", "body": body} for n, body in enumerate(bodies)]}


def item_case(plane: Plane, number: int) -> None:
    """A damaged item that DynamoDB takes, from its stream record to its status."""
    random = Random(number)
    name = random.choice([f"c{number}", f"c{number}", f"C {number} é", f"c{number}/nodes", "x" * 300 + str(number)])
    while not _put(plane, {**damaged(random, plane.document), "name": {"S": name}}):
        pass
    written = _item(plane, name)
    (record,) = copy.deepcopy(EVENTS["spec-modify"]["Records"])
    record["dynamodb"]["Keys"] = {"name": {"S": name}}
    assert wake.handler({"Records": [record]}, Context()) == NONE_FAILED
    (body,) = received(plane)
    assert reconcile.handler(batch("reconcile", body), Context()) == NONE_FAILED
    item, known = plane.store.load(name)
    assert item == written, "the user's item was changed"
    assert known
    _check_status(known, written)
    # moto copies whole tables for a transaction, so they are kept small.
    for table in dynamodb_backends[ACCOUNT]["us-east-1"].tables.values():
        table.items.clear()


def _put(plane: Plane, item: Json) -> bool:
    """Whether DynamoDB took the item. What is no item at all breaks its emulator.

    It takes no name of no characters, however deep ("Supported data types and naming rules in Amazon DynamoDB"); the
    emulator does, and then cannot give the item back.
    """
    try:
        plane.put_raw(item)
    except NOT_TAKEN:
        return False
    return not _nameless({"M": item})


def _nameless(value: Json) -> bool:
    """Whether a value of an attribute has an attribute without a name in it."""
    inside = value.get("M", {})
    return "" in inside or any(map(_nameless, [*inside.values(), *value.get("L", ())]))


def _item(plane: Plane, name: str) -> Json:
    found = client("dynamodb").get_item(TableName=plane.settings.specs_table, Key={"name": {"S": name}})
    return found["Item"]


def _check_status(record: Record, item: Json) -> None:
    """What is wrong is told, each field by its name; what is right is accepted, as far as what it names is there."""
    parsed = parse(from_item(item))
    told = {each["type"]: each for each in record.status["conditions"]}
    accepted = told["SpecAccepted"]
    if isinstance(parsed, Invalid):
        assert (accepted["status"], accepted["reason"]) == ("False", "InvalidSpec")
        assert all(error.field in accepted["message"] for error in parsed.errors)
        assert told["Ready"]["status"] == "False"
    else:
        assert accepted["reason"] in ("Accepted", "InvalidReference")


def inbox_case(plane: Plane, number: int) -> None:
    """A batch of the inbox, one message of it damaged: the others are sent on."""
    random = Random(number)
    (sound,) = [record["body"] for record in EVENTS["inbox"]["Records"] if '"timer"' in record["body"]]
    bad = _body(random, [record["body"] for record in EVENTS["inbox"]["Records"]])
    assert wake.handler(batch("inbox", bad, sound), Context()) == NONE_FAILED
    assert "demo" in [json.loads(body)["cluster"] for body in received(plane)]


def wakes_case(plane: Plane, number: int) -> None:
    """A damaged message of the queue of wake-ups: a pass over whatever it names, or none."""
    body = _body(Random(number), [EVENTS["reconcile"]["Records"][0]["body"]])
    assert reconcile.handler(batch("reconcile", body), Context()) == NONE_FAILED


def _body(random: Random, bodies: list[str]) -> str:
    """A message that is JSON with wrong values, or no longer JSON."""
    tree = damage({"body": json.loads(random.choice(bodies))}, random)
    text = json.dumps(tree.get("body", random.choice(CANARIES)), default=str)
    return text[: random.randrange(len(text) + 1)] if random.random() < 0.2 else text


def stream_case(plane: Plane, number: int) -> None:
    """A batch of the specs table's stream, one record of it damaged: the other is sent on."""
    random = Random(number)
    (bad,) = copy.deepcopy(EVENTS[random.choice(STREAM)]["Records"])
    given = {key: bad[key] for key in GIVEN_STREAM}
    sequence = bad["dynamodb"]["SequenceNumber"]
    bad = {**json.loads(json.dumps(damage(bad, random), default=str)), **given}
    if isinstance(bad.get("dynamodb"), dict):
        bad["dynamodb"]["SequenceNumber"] = sequence
    (sound,) = copy.deepcopy(EVENTS["spec-insert"]["Records"])
    sound["dynamodb"] |= {"SequenceNumber": "1", "Keys": {"name": {"S": "sound"}}}
    assert wake.handler({"Records": [bad, sound]}, Context()) == NONE_FAILED
    assert "sound" in [json.loads(body)["cluster"] for body in received(plane)]


def cleanup_case(plane: Plane, number: int) -> None:
    """A damaged request of CloudFormation: it is answered."""
    random = Random(number)
    sample = copy.deepcopy(EVENTS[random.choice(CLEANUPS)])
    given = {key: sample[key] for key in GIVEN_CLEANUP if key in sample}
    answers: list[Json] = []
    with patch.object(cleanup, "_put", lambda url, body: answers.append(json.loads(body))):
        cleanup.handler({**damage(sample, random), **given}, Context(left=600_000))
    (answer,) = answers
    assert answer["Status"] in ("SUCCESS", "FAILED")
    assert (answer["Status"] == "FAILED") is ("Reason" in answer)


CASES: dict[str, Callable[[Plane, int], None]] = {
    "handled_item": item_case,
    "inbox_message": inbox_case,
    "wake_up": wakes_case,
    "stream_record": stream_case,
    "clean_up": cleanup_case,
}


def run_handlers(kind: str, numbers: Iterable[int]) -> list[str]:
    """The failures of such cases, each with its kind, number and traceback."""
    failures: list[str] = []
    with functions() as plane:
        for number in numbers:
            try:
                CASES[kind](plane, number)
            except Exception:  # noqa: BLE001 - whatever it is, it is a failure, and the other cases run on
                failures.append(f"{kind} {number}\n{traceback.format_exc()[-1500:]}")
    return failures
