"""`muster delete`."""

from collections.abc import Callable
from typing import Any

import pytest

import cli.polling
from reconciler.actions import Event
from tests.unit import factories
from tests.unit.cli.conftest import World


def test_the_spec_goes_and_the_record_stays_for_the_operator(world: World) -> None:
    world.put()
    world.reconciled()
    assert world.run("delete", "cluster/demo").stdout == "cluster/demo deleted\n"
    assert world.item() is None
    assert world.store.load("demo")[1] is not None


def test_clusters_can_be_named_by_a_file_even_by_one_that_is_wrong(world: World, spec_file: Callable[..., str]) -> None:
    world.put("a")
    world.put("b")
    path = spec_file({"metadata": {"name": "a"}}, factories.document("b"))
    assert world.run("delete", "-f", path).stdout == "cluster/a deleted\ncluster/b deleted\n"


def test_a_file_without_a_name_is_told(world: World, spec_file: Callable[..., str]) -> None:
    assert "metadata.name" in world.run("delete", "-f", spec_file({"metadata": {}}), code=1).stderr
    assert "metadata.name" in world.run("delete", "-f", spec_file({"spec": {}}), code=1).stderr


def test_a_cluster_that_is_not_there_is_an_error_and_none_is_deleted(world: World) -> None:
    world.put("a")
    assert world.run("delete", "a", "nope", code=1).stderr == 'error: cluster "nope" not found\n'
    assert world.item("a") is not None


def test_a_cluster_less_can_be_ignored(world: World) -> None:
    world.put("a")
    assert world.run("delete", "nope", "a", "--ignore-not-found").stdout == "cluster/a deleted\n"


def test_a_cluster_that_is_going_is_said_to_be(world: World) -> None:
    world.put()
    world.reconciled()
    world.remove()
    assert world.run("delete", "demo").stdout == "cluster/demo is being deleted already\n"


def test_a_protected_cluster_keeps_its_spec(world: World) -> None:
    world.put("open")
    world.put(deletionProtection=True)
    assert "spec.deletionProtection false" in world.run("delete", "open", "demo", code=1).stderr
    assert world.item() is not None
    assert world.item("open") is not None


def test_without_a_name_nothing_is_deleted(world: World) -> None:
    world.put()
    assert "name the clusters" in world.run("delete", code=2).stderr
    assert world.item() is not None


@pytest.mark.parametrize("reason", ["Deleted", "Retained"])
def test_waiting_ends_with_the_operators_last_words(world: World, monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    world.put()
    world.reconciled()

    def gone(seconds: float) -> None:
        world.tell("demo", Event(reason, "Kept: volume vol-1."), Event("ArtifactsDeleted", "Some objects."), at=9)
        world.forget()

    monkeypatch.setattr(cli.polling, "sleep", gone)
    assert world.run("delete", "demo", "--wait").stdout == "cluster/demo deleted\nKept: volume vol-1.\n"


def test_waiting_for_what_was_never_made_ends_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def sleep(seconds: float) -> Any:
        raise AssertionError("it waits")

    monkeypatch.setattr(cli.polling, "sleep", sleep)
    world.put()
    assert world.run("delete", "demo", "--wait").stdout == "cluster/demo deleted\ncluster/demo is gone\n"


def test_waiting_has_an_end(world: World) -> None:
    world.put()
    world.reconciled()
    stderr = world.run("delete", "demo", "--wait", "--timeout=0", code=1).stderr
    assert stderr.startswith("error: timed out waiting for delete of cluster/demo: it is Deleting")
