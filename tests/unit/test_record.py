"""The record goes into the state table and comes out the same."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.pins import Pins
from reconciler.record import ABSENT, Accepted, Bootstraps, Failure, Lease, Pending, Record, Rendering, camel
from reconciler.store import decode, encode
from tests.unit import batch_factories
from tests.unit.factories import planned

TEXT = st.text(max_size=12)
TIMES = st.integers(0, 4 * 10**12).map(lambda milliseconds: milliseconds / 1000)
COUNTS = st.integers(0, 5000)
HASHES = st.dictionaries(TEXT, TEXT, max_size=2)
FAILURES = st.builds(Failure, TEXT, TEXT, TEXT, COUNTS, st.none() | TIMES, TEXT, st.booleans())
BOOTSTRAPS = st.builds(Bootstraps, COUNTS, TEXT, TEXT, TIMES, st.lists(TEXT, max_size=2).map(tuple))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | TIMES | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
SHAPES = st.dictionaries(TEXT, st.tuples(COUNTS, COUNTS, COUNTS, COUNTS), max_size=2)
RECORDS = st.builds(
    Record,
    cluster=TEXT.filter(bool),
    uid=TEXT.filter(bool),
    generation=COUNTS,
    spec_hash=TEXT.filter(bool),
    accepted=st.none() | st.builds(Accepted, COUNTS, TEXT, TEXT),
    rendering=st.none() | st.builds(Rendering, TEXT, TEXT, TEXT, HASHES, HASHES),
    pins=st.builds(Pins, HASHES, HASHES, HASHES, *(2 * [st.dictionaries(TEXT, COUNTS, max_size=2)]), SHAPES),
    change_set=TEXT,
    unchanged=TEXT,
    sizes=st.dictionaries(TEXT, st.tuples(COUNTS, COUNTS, st.none() | COUNTS), max_size=3),
    launches=st.dictionaries(TEXT, FAILURES, max_size=2),
    bootstraps=st.dictionaries(TEXT, BOOTSTRAPS, max_size=2),
    environments=st.lists(TEXT, max_size=3).map(tuple),
    stack_id=TEXT,
    deleting_since=st.none() | TIMES,
    failure=st.none() | FAILURES,
    trouble=st.none() | FAILURES,
    pending=st.none() | st.builds(Pending, TEXT, TEXT, TEXT, TIMES),
    unsettled=st.none() | TIMES,
    timer=st.none() | TIMES,
    digest=TEXT,
    created=st.none() | TIMES,
    status=st.dictionaries(TEXT, JSON, max_size=3),
)


@given(RECORDS)
def test_what_goes_in_comes_out(record: Record) -> None:
    assert Record.from_item(decode(encode(record.to_item()))) == record


def test_what_a_plan_remembers_comes_out() -> None:
    for record in (planned().record, batch_factories.scene().beside(batch_factories.old()).plan().record):
        assert Record.from_item(decode(encode(record.to_item()))) == record


@given(RECORDS)
def test_the_item_has_names_of_the_wire_and_the_phase_for_all_to_see(record: Record) -> None:
    item = replace(record, status={"phase": "Ready"}).to_item()
    assert item["phase"] == "Ready"
    assert all("_" not in key for key in item)
    assert not {"lease", "leaseOwner", "fence"} & item.keys(), "the lease is written by its own call"


def test_the_lease_is_read_from_attributes_of_its_own() -> None:
    item = encode({"cluster": "demo", "uid": "uid", "leaseOwner": "me", "leaseExpires": 12, "fence": 3})
    assert Record.from_item(decode(item)).lease == Lease("me", 12.0, 3)


def test_a_record_of_which_only_the_lease_was_written_is_a_new_one() -> None:
    item = encode({"cluster": "demo", "row": "STATE", "kind": "cluster", "uid": "uid", "fence": 1})
    record = Record.from_item(decode(item))
    assert (record.generation, record.spec_hash, record.accepted) == (0, ABSENT, None)


@pytest.mark.parametrize(
    ("lease", "held"),
    [(Lease(), False), (Lease("", 99.0, 1), False), (Lease("me", 10.0, 1), False), (Lease("me", 10.1, 1), True)],
    ids=["none", "given-back", "expired", "held"],
)
def test_a_lease_is_held_by_somebody_until_it_expires(lease: Lease, held: bool) -> None:
    assert lease.held(10.0) is held


def test_camel() -> None:
    assert [camel(name) for name in ("uid", "stack_id", "deleting_since")] == ["uid", "stackId", "deletingSince"]
