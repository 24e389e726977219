"""`muster get`."""

import json
from typing import Any

import pytest
import yaml

import cli.polling
from cli.seen import BATCH
from reconciler.actions import Event
from reconciler.record import Record
from tests.unit import factories
from tests.unit.cli.conftest import World


def test_a_table_shows_phase_readiness_nodes_and_the_head_nodes_address(world: World) -> None:
    world.put()
    world.reconciled(instances=(factories.head(private_ip="10.0.0.7"),))
    header, row = world.run("get").stdout.splitlines()
    assert header.split() == ["NAME", "PHASE", "READY", "QUEUES", "HEAD", "NODE", "AGE"]
    assert row.split()[:5] == ["demo", "Ready", "True", "2/2", "10.0.0.7"]
    assert header.index("PHASE") == row.index("Ready")
    assert header.index("AGE") == row.index(row.split()[5])


def test_rows_have_no_trailing_blanks_for_a_pipe(world: World) -> None:
    world.put()
    assert all(line == line.rstrip() for line in world.run("get").stdout.splitlines())


def test_the_public_address_is_shown_before_the_private_one(world: World) -> None:
    world.put()
    world.reconciled(instances=(factories.head(private_ip="10.0.0.7", public_ip="198.51.100.7"),))
    assert "198.51.100.7" in world.run("get").stdout


def test_nodes_in_service_are_counted_against_those_wanted(world: World) -> None:
    world.put()
    world.reconciled(groups=(factories.group(members=factories.members(1)),))
    assert world.lines("get", "demo")[1][:4] == ["demo", "Scaling", "False", "1/2"]


def test_a_spec_that_no_pass_has_seen_is_pending(world: World) -> None:
    world.put()
    assert world.lines("get", "demo")[1] == ["demo", "Pending", "Unknown", "<none>", "<none>", "<none>"]


def test_a_cluster_whose_spec_is_gone_is_shown_until_its_record_goes(world: World) -> None:
    world.put()
    world.reconciled()
    world.remove()
    assert world.lines("get")[1][:2] == ["demo", "Deleting"]
    world.forget()
    assert world.run("get").stderr == "No clusters found.\n"


def test_a_protected_cluster_whose_spec_is_gone_is_not_said_to_be_deleted(world: World) -> None:
    world.put()
    record = world.reconciled()
    world.remove()
    world.remember(record.remember(spec_hash="absent", status={**record.status, "phase": "Held"}))
    assert world.lines("get")[1][:2] == ["demo", "Held"]


def test_several_names_come_in_the_order_given(world: World) -> None:
    for name in ("a", "b", "c"):
        world.put(name)
    assert [row[0] for row in world.lines("get", "cluster/c", "a")[1:]] == ["c", "a"]


def test_the_wide_table_says_more(world: World) -> None:
    world.put()
    world.reconciled(generation=3)
    header, row = world.lines("get", "-o", "wide")
    for heading in ("REASON", "NODES", "INSTANCE", "STACK", "VERSION", "GENERATION"):
        assert heading in header
    for value in ("AsSpecified", "compute=2/2", "i-head", "CREATE_COMPLETE", "0.1.0", "3"):
        assert value in row


def test_all_clusters_of_many_pages_are_there(world: World) -> None:
    names = [f"c{number:03}" for number in range(BATCH + 5)]
    item = world.put("seed")
    for name in names:
        world.put_item({**item, "name": {"S": name}})
        world.remember(Record(name, "uid", status={"phase": "Ready"}))
    world.remove("seed")
    rows = world.lines("get")[1:]
    assert [row[:2] for row in rows] == [[name, "Ready"] for name in names]


def test_name_output_is_for_other_commands(world: World) -> None:
    world.put("a")
    world.put("b")
    assert world.run("get", "-o", "name").stdout == "cluster/a\ncluster/b\n"


def test_yaml_of_one_is_its_document_with_status(world: World) -> None:
    world.put(labels={"team": "wx"})
    record = world.reconciled(generation=2)
    shown = yaml.safe_load(world.run("get", "demo", "-o", "yaml").stdout)
    assert list(shown) == ["apiVersion", "kind", "metadata", "spec", "status"]
    assert shown["metadata"] == {
        "name": "demo",
        "labels": {"team": "wx"},
        "annotations": {},
        "generation": 2,
        "uid": "uid",
        "creationTimestamp": "1970-01-01T00:00:00Z",
    }
    assert shown["spec"] == factories.document()["spec"]
    assert shown["status"] == record.status


def test_json_of_all_is_a_list(world: World) -> None:
    world.put("a")
    world.put("b")
    shown = json.loads(world.run("get", "-o", "json").stdout)
    assert shown["kind"] == "List"
    assert [item["metadata"]["name"] for item in shown["items"]] == ["a", "b"]


def test_what_get_prints_apply_takes_without_a_change(world: World) -> None:
    for name in ("a", "b"):
        world.put(name)
        world.reconciled(name)
    for form in ("yaml", "json"):
        printed = world.run("get", "-o", form).stdout
        assert world.run("apply", "-f", "-", stdin=printed).stdout == "cluster/a unchanged\ncluster/b unchanged\n"


def test_the_document_of_a_cluster_that_is_going_is_the_one_accepted(world: World) -> None:
    world.put()
    record = world.reconciled()
    accepted = factories.Accepted(1, "hash", json.dumps(factories.document()))
    world.remember(record.remember(accepted=accepted, deleting_since=60.0))
    world.remove()
    shown = json.loads(world.run("get", "demo", "-o", "json").stdout)
    assert shown["metadata"]["deletionTimestamp"] == "1970-01-01T00:01:00Z"
    assert shown["spec"] == factories.document()["spec"]


@pytest.mark.parametrize(
    "item",
    [
        {"spec": {"S": "not a map"}},
        {"spec": {"B": b"\x00\x01"}},
        {"spec": {"M": {"a\x1b[31m": {"NS": ["1", "2"]}}}, "labels": {"S": "none"}},
        {"spec": {"L": []}, "metadata": {"S": "none"}},
        {},
    ],
)
@pytest.mark.parametrize("form", ["table", "wide", "yaml", "json", "name"])
def test_a_spec_that_is_none_is_shown_all_the_same(world: World, item: dict[str, Any], form: str) -> None:
    world.put_item({"name": {"S": "odd"}, **item})
    shown = world.run("get", "odd", "-o", form).stdout
    assert "odd" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("name", ["a/nodes", "Big One", "\x1b[31mred"])
def test_a_spec_of_a_name_that_is_none_is_found_by_it(world: World, name: str) -> None:
    world.put_item({"name": {"S": name}})
    world.remember(Record(name, "uid", status={"phase": "Invalid"}))
    world.tell(name, Event("InvalidSpec", "metadata.name: no."))
    for verb in ("get", "describe", "events"):
        assert world.run(verb, name).stdout == world.run(verb, "--", name).stdout
    assert "Invalid" in world.run("get").stdout
    assert "\x1b" not in "".join(world.run(*verb).stdout for verb in (("get",), ("events",), ("get", "-o", "name")))
    assert world.run("events", "-o", "json").stdout.count(json.dumps(name)) == 1
    world.run("delete", name)
    assert world.item(name) is None


def test_a_missing_cluster_is_an_error(world: World) -> None:
    result = world.run("get", "nope", code=1)
    assert (result.stdout, result.stderr) == ("", 'error: cluster "nope" not found\n')


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("team=wx", ["a"]),
        ("team==wx", ["a"]),
        ("team!=wx", ["b", "c"]),
        ("team", ["a", "b"]),
        ("!team", ["c"]),
        ("team,tier=gold", ["b"]),
        ("", ["a", "b", "c"]),
    ],
)
def test_a_selector_picks_by_labels(world: World, selector: str, names: list[str]) -> None:
    world.put("a", labels={"team": "wx"})
    world.put("b", labels={"team": "sea", "tier": "gold"})
    world.put("c")
    assert [row[0] for row in world.lines("get", "-l", selector)[1:]] == names


@pytest.mark.parametrize("selector", ["a b", "=x", "team in (a)", "!team=wx"])
def test_a_selector_that_cannot_be_read_is_said_to_be_so(world: World, selector: str) -> None:
    assert "is no selector" in world.run("get", "-l", selector, code=2).stderr


class Script:
    """What happens while `get -w` waits: a step at each of its looks; after the last one the user presses Ctrl-C."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *steps: Any) -> None:
        self._steps = list(steps)
        monkeypatch.setattr(cli.polling, "sleep", self)

    def __call__(self, seconds: float) -> None:
        if not self._steps:
            raise KeyboardInterrupt
        self._steps.pop(0)()


def test_watching_prints_a_line_for_each_change_and_none_without(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put()

    def scaling() -> None:
        world.reconciled(groups=(factories.group(members=()),))

    Script(monkeypatch, lambda: None, scaling, lambda: None, world.reconciled)
    rows = world.lines("get", "-w", code=130)
    assert [row[1] for row in rows] == ["PHASE", "Pending", "Scaling", "Ready"]


def test_watching_shows_a_cluster_that_comes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    Script(monkeypatch, world.put)
    assert [row[0] for row in world.lines("get", "-w", code=130)] == ["NAME", "demo"]


def test_watching_one_ends_when_it_is_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put()
    world.reconciled()
    Script(monkeypatch, world.remove, world.forget)
    rows = world.lines("get", "demo", "-w")
    assert [row[1] for row in rows] == ["PHASE", "Ready", "Deleting", "Gone"]


def test_watching_yaml_prints_a_document_for_each_change(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put()
    Script(monkeypatch, world.reconciled)
    printed = world.run("get", "demo", "-w", "-o", "yaml", code=130).stdout
    assert ["status" in document for document in yaml.safe_load_all(printed)] == [False, True]


def test_rows_that_follow_stand_in_the_same_columns(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put()
    Script(monkeypatch, world.reconciled)
    header, *rows = world.run("get", "-w", code=130).stdout.splitlines()
    assert [row.index(word) for row, word in zip(rows, ("Unknown", "True"), strict=True)] == [header.index("READY")] * 2
