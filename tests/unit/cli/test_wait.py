"""`muster wait`."""

from typing import Any

import pytest

import cli.polling
from tests.unit import factories
from tests.unit.cli.conftest import World

NOW = "--timeout=0"


def test_a_condition_that_holds_ends_the_wait(world: World) -> None:
    world.put()
    world.reconciled()
    assert world.run("wait", "cluster/demo", "--for=condition=Ready", NOW).stdout == "cluster/demo condition met\n"


@pytest.mark.parametrize("goal", ["condition=ready=TRUE", "condition=Stalled=False", "phase=Ready"])
def test_goals_are_written_as_kubectl_takes_them(world: World, goal: str) -> None:
    world.put()
    world.reconciled()
    world.run("wait", "demo", "--for", goal, NOW)


@pytest.mark.parametrize("goal", ["condition=Ready=False", "condition=Nope", "phase=Failed", "delete"])
def test_what_does_not_hold_is_waited_for_until_the_time_is_up(world: World, goal: str) -> None:
    world.put()
    world.reconciled()
    result = world.run("wait", "demo", f"--for={goal}", NOW, code=1)
    assert result.stderr == (
        f"error: timed out waiting for {goal} of cluster/demo: it is Ready, Ready is True (AsSpecified): "
        "Everything is as specified\n"
    )


@pytest.mark.parametrize("goal", ["condition=Ready", "phase=Ready"])
def test_a_wait_just_after_apply_is_not_fooled_by_what_was_ready_before(world: World, goal: str) -> None:
    world.put()
    world.reconciled()
    world.put(tags={"now": "another"})
    assert "has not seen the spec" in world.run("wait", "demo", f"--for={goal}", NOW, code=1).stderr


@pytest.mark.parametrize("goal", ["condition=Ready", "phase=Ready"])
def test_a_status_of_an_older_generation_does_not_count(world: World, goal: str) -> None:
    world.put()
    record = world.reconciled()
    world.remember(record.remember(generation=2))
    world.run("wait", "demo", f"--for={goal}", NOW, code=1)


def test_a_change_of_labels_alone_is_no_new_generation(world: World) -> None:
    world.put()
    world.reconciled()
    world.put(labels={"a": "b"})
    world.run("wait", "demo", "--for=condition=Ready", NOW)


def test_the_wait_goes_on_until_the_operator_has_seen_the_spec(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put()
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 1:
            world.reconciled(groups=(factories.group(members=()),))
        else:
            world.reconciled()

    monkeypatch.setattr(cli.polling, "sleep", sleep)
    world.run("wait", "demo", "--for=condition=Ready", "--timeout=1h")
    assert slept == [cli.polling.INTERVAL] * 2


def test_a_pending_cluster_can_be_waited_for(world: World) -> None:
    world.put()
    world.run("wait", "demo", "--for=phase=Pending", NOW)


def test_deletion_is_done_when_neither_spec_nor_record_is_left(world: World) -> None:
    world.put()
    world.reconciled()
    world.remove()
    world.run("wait", "demo", "--for=phase=Deleting", NOW)
    world.run("wait", "demo", "--for=delete", NOW, code=1)
    world.forget()
    assert world.run("wait", "demo", "--for=delete", NOW).stdout == "cluster/demo deleted\n"


def test_what_is_not_there_will_not_be_ready(world: World) -> None:
    assert world.run("wait", "nope", "--for=condition=Ready", code=1).stderr == 'error: cluster "nope" not found\n'


def test_all_that_are_named_are_waited_for(world: World) -> None:
    world.put("a")
    world.put("b")
    world.reconciled("a")
    result = world.run("wait", "a", "b", "--for=condition=Ready", NOW, code=1)
    assert result.stdout == "cluster/a condition met\n"
    assert "cluster/b: it is Pending" in result.stderr


@pytest.mark.parametrize("goal", ["ready", "condition=", "phase=", "condition", "Delete"])
def test_a_goal_that_cannot_be_read_is_said_to_be_so(world: World, goal: str) -> None:
    assert "write condition=TYPE" in world.run("wait", "demo", f"--for={goal}", code=2).stderr


@pytest.mark.parametrize("time", ["soon", "5", "1x", "-1s", "1h 5m", ""])
def test_a_time_that_cannot_be_read_is_said_to_be_so(world: World, time: Any) -> None:
    world.put()
    world.reconciled()
    code = 0 if time == "5" else 2
    result = world.run("wait", "demo", "--for=condition=Ready", f"--timeout={time}", code=code)
    assert ("write it like 90s" in result.stderr) is bool(code)
