"""The two tables: what is read, who may write, and what is left when a cluster is forgotten."""

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from reconciler.actions import Event
from reconciler.record import ABSENT, Pending, Record
from reconciler.store import MOST_EVENTS, Refused, Store, cluster_of, content_hash, partition
from tests.unit.factories import NAME, NOW, record
from tests.unit.fakes import client_error
from tests.unit.plane import Plane, client

FRESH = Record(NAME, "uid", generation=1)
READY = Event("AsSpecified", "Everything is as specified.", "Ready")
LONG = ["x" * 999 + "é", "x" * 2048]
ODD = [*LONG, "a/nodes", "demo/nodes", "!demo", "With Capitals", "a b", "äöü", "demo.compute", "-", "1st"]


def state(plane: Plane) -> Record:
    found = plane.store.load(NAME)[1]
    assert found is not None
    return found


def test_nothing_is_there_at_first(plane: Plane) -> None:
    assert plane.store.load(NAME) == (None, None)


def test_the_spec_is_read_as_it_was_written(plane: Plane) -> None:
    item = {"name": {"S": NAME}, "spec": {"M": {"odd": {"NS": ["1"]}, "data": {"B": b"x"}}}, "more": {"BOOL": True}}
    plane.put_raw(item)
    assert plane.store.load(NAME)[0] == item


def test_a_record_is_written_and_read(plane: Plane) -> None:
    store = plane.store
    held = store.take(record(), "me", 60, NOW)
    store.report(held, [], NOW)
    assert state(plane).remember(lease=record().lease) == record()
    assert not state(plane).lease.owner


def test_one_read_for_both_tables_and_it_is_consistent(plane: Plane) -> None:
    plane.put()
    requests: list[Any] = []
    event = "provide-client-params.dynamodb.BatchGetItem"
    plane.clients.dynamodb.meta.events.register(event, lambda params, **_: requests.append(params), unique_id="test")
    plane.store.load(NAME)
    plane.clients.dynamodb.meta.events.unregister(event, unique_id="test")
    (request,) = requests
    assert all(table["ConsistentRead"] for table in request["RequestItems"].values())


def test_what_dynamodb_did_not_get_to_is_asked_again() -> None:
    specs, held = {"name": {"S": NAME}}, {"cluster": {"S": NAME}, "uid": {"S": "uid"}}
    answers = [
        {"Responses": {}, "UnprocessedKeys": {"specs": {"Keys": []}, "state": {"Keys": []}}},
        {"Responses": {"specs": [specs]}, "UnprocessedKeys": {"state": {"Keys": []}}},
        {"Responses": {"state": [held]}, "UnprocessedKeys": {}},
    ]

    class Slow:
        asked: list[Any] = []  # noqa: RUF012

        def batch_get_item(self, **request: Any) -> Any:
            self.asked.append(request["RequestItems"])
            return answers[len(self.asked) - 1]

    spec, found = Store(Slow(), "specs", "state").load(NAME)  # type: ignore[arg-type]
    assert spec == specs
    assert found is not None
    assert found.uid == "uid"
    assert [sorted(request) for request in Slow.asked] == [["specs", "state"], ["specs", "state"], ["state"]]


def test_an_answer_without_its_items_is_not_taken_for_there_being_none() -> None:
    """The SDK reads a JSON answer that it cannot parse as an empty one."""
    dynamodb: Any = SimpleNamespace(batch_get_item=lambda **_: {"message": '{"Respon'})
    with pytest.raises(KeyError, match="Responses"):
        Store(dynamodb, "specs", "state").load(NAME)


def test_a_lease_that_is_held_is_refused(plane: Plane) -> None:
    plane.store.take(FRESH, "me", 60, NOW)
    with pytest.raises(Refused):
        plane.store.take(state(plane), "you", 60, NOW + 59)


def test_a_lease_is_not_even_its_holders_twice(plane: Plane) -> None:
    plane.store.take(FRESH, "me", 60, NOW)
    with pytest.raises(Refused):
        plane.store.take(state(plane), "me", 60, NOW + 1)


def test_a_lease_whose_grant_was_not_heard_is_asked_for_again(plane: Plane) -> None:
    """As the SDK does it, with the same request."""
    first = plane.store.take(FRESH, "me", 60, NOW)
    assert plane.store.take(FRESH, "me", 60, NOW) == first
    with pytest.raises(Refused):
        plane.store.take(FRESH, "you", 60, NOW)


def test_a_lease_that_was_given_back_or_has_expired_can_be_taken(plane: Plane) -> None:
    held = plane.store.take(FRESH, "me", 60, NOW)
    plane.store.report(held, [], NOW)
    second = plane.store.take(state(plane), "you", 60, NOW + 1)
    third = plane.store.take(state(plane), "her", 60, NOW + 62)
    first = held.lease.fence
    assert [second.lease.fence, third.lease.fence] == [first + 1, first + 2]


def test_a_zombie_of_a_life_that_was_forgotten_cannot_write_in_the_next(plane: Plane) -> None:
    zombie = plane.store.take(FRESH, "zombie", 60, NOW)
    heir = plane.store.take(state(plane), "heir", 60, NOW + 61)
    plane.store.forget(heir, [], NOW + 61)
    next_life = plane.store.take(FRESH, "next", 60, NOW + 62)
    with pytest.raises(Refused):
        plane.store.report(zombie, [], NOW + 62)
    assert next_life.lease.fence > heir.lease.fence
    assert state(plane).lease.owner == "next"


def test_of_two_that_read_the_same_only_one_gets_the_lease(plane: Plane) -> None:
    plane.store.take(FRESH, "me", 60, NOW)
    with pytest.raises(Refused):
        plane.store.take(FRESH, "you", 60, NOW + 3600)


def test_what_was_read_before_another_pass_wrote_gets_no_lease(plane: Plane) -> None:
    plane.store.report(plane.store.take(FRESH, "me", 60, NOW), [], NOW)
    read = state(plane)
    plane.store.report(plane.store.take(state(plane), "you", 60, NOW), [], NOW)
    with pytest.raises(Refused):
        plane.store.take(read, "me", 60, NOW + 3600)


def test_a_call_that_was_announced_since_the_read_has_to_be_read_first(plane: Plane) -> None:
    """The last holder's lease has run out, and its fence is still the newest."""
    store = plane.store
    zombie = store.take(FRESH, "zombie", 1, NOW)
    read = state(plane)
    store.announce(zombie.remember(pending=Pending("CreateStack", "stack muster-demo", "token", NOW)))
    with pytest.raises(Refused):
        store.take(read, "heir", 60, NOW + 60)
    assert store.take(state(plane), "heir", 60, NOW + 60).pending == Pending(
        "CreateStack", "stack muster-demo", "token", NOW
    )


def test_a_forgotten_cluster_is_not_brought_back_by_a_late_pass(plane: Plane) -> None:
    plane.store.report(plane.store.take(FRESH, "me", 60, NOW), [], NOW)
    read = state(plane)
    plane.store.forget(plane.store.take(state(plane), "you", 60, NOW), [], NOW)
    with pytest.raises(Refused):
        plane.store.take(read, "me", 60, NOW + 3600)
    assert plane.store.load(NAME)[1] is None


@pytest.mark.parametrize("write", ["announce", "report", "forget"])
def test_a_zombies_late_write_is_refused(plane: Plane, write: str) -> None:
    zombie = plane.store.take(FRESH, "zombie", 60, NOW)
    heir = plane.store.take(state(plane), "heir", 60, NOW + 61)
    plane.store.report(heir.remember(digest="heir"), [], NOW)
    late = zombie.remember(digest="zombie")
    writes = {
        "announce": lambda: plane.store.announce(late),
        "report": lambda: plane.store.report(late, [READY], NOW),
        "forget": lambda: plane.store.forget(late, [READY], NOW),
    }
    with pytest.raises(Refused):
        writes[write]()
    assert state(plane).digest == "heir"
    assert plane.store.events(NAME) == [], "and its events with it"


def test_an_announcement_keeps_the_lease(plane: Plane) -> None:
    held = plane.store.take(FRESH, "me", 60, NOW)
    plane.store.announce(held.remember(digest="announced"))
    found = state(plane)
    assert found.digest == "announced"
    assert found.lease.held(NOW)


def test_a_pass_that_was_killed_after_it_took_the_lease_leaves_a_record_that_can_be_read(plane: Plane) -> None:
    plane.store.take(FRESH, "me", 60, NOW)
    assert state(plane).uid == FRESH.uid
    plane.store.take(state(plane), "you", 60, NOW + 61)


def test_an_event_is_counted_and_not_repeated(plane: Plane) -> None:
    other = Event("HeadNodeDown", "Instance i-1 is stopped.", "HeadNodeReady", warning=True)
    for at, events in ((NOW, [READY]), (NOW + 60, [READY, other]), (NOW + 120, [READY])):
        known = plane.store.load(NAME)[1] or FRESH
        plane.store.report(plane.store.take(known, "me", 60, at), events, at)
    down, ready = plane.store.events(NAME)
    assert (ready["reason"], ready["type"], ready["count"]) == ("AsSpecified", "Normal", 3)
    assert (ready["firstTimestamp"], ready["lastTimestamp"]) == ("2027-01-15T08:00:00Z", "2027-01-15T08:02:00Z")
    assert ready["expires"] == int(NOW) + 120 + 7 * 86400
    assert (down["reason"], down["type"], down["count"]) == ("HeadNodeDown", "Warning", 1)
    assert (down["subject"], down["message"]) == ("HeadNodeReady", "Instance i-1 is stopped.")


def test_what_one_pass_tells_twice_is_written_once(plane: Plane) -> None:
    """A transaction would refuse two writes of one row, and the record with them."""
    plane.store.report(plane.store.take(FRESH, "me", 60, NOW), [READY, READY], NOW)
    (event,) = plane.store.events(NAME)
    assert event["count"] == 1


def test_more_events_than_a_transaction_takes(plane: Plane) -> None:
    events = [Event("Told", f"event {number}", "Ready") for number in range(200)]
    plane.store.report(plane.store.take(FRESH, "me", 60, NOW), events, NOW)
    kept = [each["message"] for each in plane.store.events(NAME)]
    assert len(kept) == MOST_EVENTS + 1
    assert "110 more events of one pass are left out." in kept
    assert kept.count("event 0") == 1


def test_more_events_than_a_page(plane: Plane) -> None:
    events = [Event("Told", f"{number} " + "x" * 30000, "Ready") for number in range(40)]
    for number, event in enumerate(events):
        known = plane.store.load(NAME)[1] or FRESH
        plane.store.report(plane.store.take(known, "me", 60, NOW + number), [event], NOW + number)
    assert [event["message"][:2].strip() for event in plane.store.events(NAME)] == [str(n) for n in range(40)]


def put_row(plane: Plane, partition: str, row: str) -> None:
    client("dynamodb").put_item(TableName="state", Item={"cluster": {"S": partition}, "row": {"S": row}})


def test_to_forget_deletes_the_record_and_the_nodes_rows_and_keeps_the_events(plane: Plane) -> None:
    for row in ("FACTS", "INSTANCE#i-1"):
        put_row(plane, "demo/nodes", row)
        put_row(plane, "demo-2/nodes", row)
    held = plane.store.take(FRESH, "me", 60, NOW)
    plane.store.forget(held, [Event("Deleted", "Gone.", "state record demo")], NOW)
    assert plane.store.load(NAME)[1] is None
    assert plane.rows("demo/nodes") == []
    assert len(plane.rows("demo-2/nodes")) == 2
    assert [event["reason"] for event in plane.store.events(NAME)] == ["Deleted"]


@pytest.mark.parametrize("name", ODD)
def test_the_record_of_an_odd_name_lies_apart(plane: Plane, name: str) -> None:
    """No cluster's nodes can write there, and no cluster's end takes it."""
    key = partition(name)
    assert not key.endswith("/nodes") or key.startswith("!")
    assert partition(cluster_of(key) or "") == key
    odd = Record(name, "uid")
    plane.store.report(plane.store.take(odd, "me", 60, NOW), [READY], NOW)
    found = plane.store.load(name)[1]
    assert found is not None
    assert (found.cluster, found.uid) == (name, "uid")
    assert [event["reason"] for event in plane.store.events(name)] == ["AsSpecified"]
    for cluster in ("a", "demo", NAME):
        put_row(plane, f"{cluster}/nodes", "FACTS")
    plane.store.forget(plane.store.take(found, "me", 60, NOW), [], NOW)
    assert plane.store.load(name)[1] is None
    assert len(plane.rows("a/nodes")) == len(plane.rows("demo/nodes")) == 1


@pytest.mark.parametrize("key", ["demo/nodes", "a/b", "Demo"])
def test_a_partition_that_is_no_operators_names_no_cluster(key: str) -> None:
    assert cluster_of(key) is None


def test_a_clusters_own_name_is_its_partition() -> None:
    assert partition("weather-7") == "weather-7"
    assert cluster_of("weather-7") == "weather-7"


def test_other_errors_are_no_refusals(plane: Plane) -> None:
    plane.clients.faults["UpdateItem"] = ("ProvisionedThroughputExceededException", "slow down")
    with pytest.raises(ClientError):
        plane.store.take(FRESH, "me", 60, NOW)
    plane.clients.faults.clear()
    held = plane.store.take(FRESH, "me", 60, NOW)
    plane.clients.faults["TransactWriteItems"] = ("TransactionCanceledException", "conflict")
    with pytest.raises(ClientError):
        plane.store.report(held, [], NOW)


def test_a_cancelled_transaction_is_a_refusal_when_its_condition_failed() -> None:
    error = client_error("TransactWriteItems", "TransactionCanceledException")
    error.response["CancellationReasons"] = [{"Code": "ConditionalCheckFailed"}, {"Code": "None"}]  # type: ignore[typeddict-unknown-key]

    class Cancelled:
        def transact_write_items(self, **_: Any) -> None:
            raise error

    with pytest.raises(Refused):
        Store(Cancelled(), "specs", "state").announce(FRESH)  # type: ignore[arg-type]


def test_the_hash_is_of_what_the_user_wrote_for_the_operator() -> None:
    item = {"name": {"S": NAME}, "spec": {"M": {"a": {"N": "1"}}}, "labels": {"M": {}}}
    assert content_hash(None) == ABSENT
    assert content_hash(item) == content_hash({**item, "labels": {"M": {"x": {"S": "y"}}}})
    assert content_hash(item) != content_hash({**item, "annotations": {"M": {"x": {"S": "y"}}}})
    assert content_hash(item) != content_hash({**item, "spec": {"M": {"a": {"N": "2"}}}})
    assert content_hash(item) != content_hash({"name": {"S": NAME}})
    assert len(content_hash({"spec": {"B": b"\x00\xff"}})) == 64
