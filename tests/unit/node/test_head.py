"""The head node's agent: what a pass does, what it does not, and that nothing ends it."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.groups import LAUNCH_HOOK, TERMINATE_HOOK, Belonging
from node.head import BACKOFF, LATELY, PAUSE, POLL, SIGN, SOON, TELL
from node.lists import GRACE, PATIENCE, Host, Member, Row
from node.ranks import LAST
from node.scheduler import Jobs
from tests.unit.node.world import CPU, NOW, World, host

JOB = Jobs("cpu", 1, 1, 100, 0, exclusive=False, able=True, never=False, reason="Resources")


def no_wait(_: float) -> None:
    raise AssertionError("there were messages to wait for")


def states(world: World) -> dict[str, str]:
    return {instance: row.state.value for instance, row in world.rows.items()}


def demand(world: World) -> Any:
    return json.loads(world.demand)


def test_a_new_member_gets_a_row_and_the_first_free_name() -> None:
    world = World()
    world.put("i-0", "cpu-1", Row.READY)
    world.register("cpu-1")
    for instance in ("i-0", "i-1", "i-2"):
        world.launch(instance)
    world.head().look()
    assert {row.name: (row.state, row.queue, row.since) for row in world.rows.values() if row.id != "i-0"} == {
        "cpu-2": (Row.BOOTING, "cpu", NOW),
        "cpu-3": (Row.BOOTING, "cpu", NOW),
    }


def test_a_name_that_jobs_wait_for_is_given_first() -> None:
    world = World(jobs=[replace(JOB, hosts=("cpu-4",)), JOB])
    for number in range(3):
        world.launch(f"i-{number}")
    world.head().look()
    assert [world.rows[f"i-{number}"].name for number in range(3)] == ["cpu-4", "cpu-1", "cpu-2"]


def test_a_member_waits_while_there_is_no_name_for_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = World()
    for number in range(CPU.max + 2):
        world.launch(f"i-{number}")
    world.head().look()
    assert sorted(row.name for row in world.rows.values()) == [f"cpu-{number}" for number in range(1, CPU.max + 1)]
    assert "2 instances wait for a name" in caplog.text
    assert world.agent[-1][2] == "", "nothing is wrong with the scheduler"


def test_a_node_is_ready_by_the_schedulers_word() -> None:
    world = World()
    world.put("i-1", "cpu-1", Row.BOOTING)
    world.launch("i-1")
    world.register("cpu-1")
    world.head().look()
    assert world.rows["i-1"].state is Row.READY
    assert world.rows["i-1"].served
    assert demand(world)["nodes"] == {"ready": 1}


def test_the_scheduler_is_told_where_a_node_is_and_not_twice() -> None:
    world = World()
    world.put("i-1", "cpu-1", Row.BOOTING, address="10.0.0.7")
    world.put("i-2", "cpu-2", Row.BOOTING)
    world.launch("i-1")
    world.launch("i-2")
    agent = world.head()
    agent.look()
    assert world.hosts_of["cpu-1"].address == "10.0.0.7"
    agent.look()
    assert world.calls["bind"] == 1


def test_a_host_that_falls_silent_has_its_time_from_then_on() -> None:
    world = World()
    world.put("i-1", "cpu-1", Row.READY, since=NOW - 10_000)
    world.launch("i-1", Member.SERVING)
    world.register("cpu-1", Host.SILENT)
    agent = world.head()
    agent.look()
    world.now += PATIENCE - 1
    agent.look()
    assert world.rows["i-1"].state is Row.READY
    world.now += 1
    agent.look()
    assert world.rows["i-1"].state is Row.FAILED
    assert "does not answer" in world.rows["i-1"].reason


def test_a_node_that_the_scheduler_has_given_up_fails_with_its_reason() -> None:
    world = World()
    world.put("i-1", "cpu-1", Row.READY)
    world.launch("i-1", Member.SERVING)
    world.hosts_of["cpu-1"] = replace(host(Host.SILENT), reason="Kill task failed")
    agent = world.head()
    agent.look()
    world.now += PATIENCE
    agent.look()
    assert world.rows["i-1"].state is Row.FAILED
    assert world.rows["i-1"].reason.endswith("as it should: Kill task failed")


def test_a_node_that_is_to_go_is_locked_and_said_drained_when_its_jobs_have_ended() -> None:
    world = World()
    world.put("i-1", "cpu-1", Row.DRAINING)
    world.launch("i-1", Member.SERVING)
    world.register("cpu-1", Host.BUSY)
    agent = world.head()
    agent.look()
    assert world.hosts_of["cpu-1"].state is Host.LOCKED_BUSY
    agent.look()
    assert world.rows["i-1"].state is Row.DRAINING
    world.register("cpu-1", Host.LOCKED)
    agent.look()
    assert world.rows["i-1"].state is Row.DRAINED


def test_a_node_that_ends_is_let_go_when_its_host_is_down_and_its_name_is_free_after() -> None:
    world = World()
    world.put("i-1", "cpu-1", Row.READY)
    world.register("cpu-1", Host.BUSY)
    world.end("i-1")
    agent = world.head()
    agent.look()
    assert (world.calls["unbind"], world.calls["let_go"]) == (1, 1)
    assert (world.members, states(world)) == ({}, {"i-1": "ready"})
    agent.look()
    assert world.rows == {}


def test_a_node_that_serves_and_has_not_said_so_to_its_group_is_helped() -> None:
    """When its launch hook runs out the group ends it, jobs or not."""
    world = World()
    for number, state in enumerate((Row.READY, Row.DRAINING, Row.BOOTING)):
        world.put(f"i-{number}", f"cpu-{number + 1}", state)
        world.rows[f"i-{number}"] = replace(world.rows[f"i-{number}"], served=state is not Row.BOOTING)
        world.members[f"i-{number}"] = Belonging("demo.cpu", Member.COMING, LAUNCH_HOOK)
        world.register(f"cpu-{number + 1}", Host.BUSY if state is not Row.BOOTING else Host.DOWN)
    agent = world.head()
    world.now += TELL - 1
    agent.look()
    assert world.calls["let_go"] == 0, "nodes say so themselves"
    world.now += 1
    agent.look()
    assert {each: member.hook for each, member in world.members.items()} == {"i-0": "", "i-1": "", "i-2": LAUNCH_HOOK}


def test_a_node_that_stays_although_it_was_let_go_is_told_so_again_after_a_while() -> None:
    """Auto Scaling takes its time, and of thousands that go each would be told again at each look."""
    world = World()
    world.put("i-1", "cpu-1", Row.READY)
    world.end("i-1")
    held = dict(world.members)
    agent = world.head()
    for seconds, told in ((0, 1), (TELL - 1, 1), (1, 2), (1, 2)):
        world.now += seconds
        world.members = dict(held)
        agent.look()
        assert world.calls["let_go"] == told


def test_a_row_whose_instance_the_group_does_not_show_yet_is_kept_for_a_while() -> None:
    world = World()
    world.put("i-1", "cpu-1", Row.BOOTING)
    agent = world.head()
    agent.look()
    assert states(world) == {"i-1": "booting"}
    world.now += GRACE
    agent.look()
    assert world.rows == {}


def test_a_node_is_not_let_go_while_the_scheduler_does_not_answer() -> None:
    world = World()
    world.put("i-1", "cpu-1", Row.READY)
    world.register("cpu-1", Host.BUSY)
    world.end("i-1")
    world.broken = {"unbind"}
    world.head().look()
    assert world.calls["let_go"] == 0
    assert "unbind did not answer" in world.agent[-1][2]


@pytest.mark.parametrize("call", ["shape", "hosts", "waiting"])
def test_a_scheduler_that_does_not_answer_changes_nothing(call: str) -> None:
    world = World()
    world.put("i-1", "cpu-1", Row.BOOTING)
    world.launch("i-1")
    world.launch("i-2")
    world.register("cpu-1")
    world.broken = {call}
    before = dict(world.rows), dict(world.hosts_of)
    world.head().look()
    assert (world.rows, world.hosts_of, world.demand) == (*before, "")
    assert world.agent[-1][2] == f"{call} did not answer"


@pytest.mark.parametrize("facts", ["", "{", "{}"])
def test_without_facts_nothing_is_done_and_the_reason_is_said(facts: str) -> None:
    world = World(facts=facts)
    world.launch("i-1")
    world.head().look()
    assert world.rows == {}
    assert world.agent[-1][2]


def test_demand_is_told_when_it_changes() -> None:
    world = World()
    agent = world.head()
    agent.look()
    agent.look()
    assert world.calls["tell_demand"] == 1
    world.jobs = [JOB]
    agent.look()
    assert world.calls["tell_demand"] == 2
    assert demand(world)["queues"]["cpu"]["pending"] == [[1, 100, 0, 1, 1, 0]]


def test_an_agent_that_begins_knows_since_when_nodes_are_idle() -> None:
    world = World()
    world.put("i-1", "cpu-1", Row.READY)
    world.launch("i-1", Member.SERVING)
    world.register("cpu-1")
    world.head().look()
    world.now += 500
    world.head().look()
    assert demand(world)["queues"]["cpu"]["idle"] == {"i-1": int(NOW)}
    assert world.calls["tell_demand"] == 1


def test_the_agent_gives_a_sign_of_life_each_minute_and_no_more() -> None:
    world = World()
    agent = world.head()
    while world.now < NOW + 3 * SIGN:
        agent.turn(no_wait)
    assert [at for *_, at in world.agent] == sorted({at for *_, at in world.agent})
    assert 3 <= len(world.agent) <= 4
    assert world.agent[-1][:3] == ("v1", "slurm 22.05.8", "")


def test_what_is_the_matter_is_told_at_once_and_so_is_its_end() -> None:
    world = World()
    agent = world.head()
    agent.look()
    world.broken = {"hosts"}
    agent.look()
    agent.look()
    told = world.calls["tell_demand"]
    world.broken = set()
    agent.look()
    assert [reason for _, _, reason, _ in world.agent] == ["", "hosts did not answer", ""]
    assert world.calls["tell_demand"] == told + 1, "the operator is woken"
    agent.look()
    assert world.calls["tell_demand"] == told + 1


def test_a_pass_follows_a_message_a_stir_or_a_pause_and_nothing_else() -> None:
    world = World()
    agent = world.head()
    agent.turn(no_wait)
    assert world.calls["look"] == 1
    agent.turn(no_wait)
    assert world.calls["look"] == 1, "nothing has happened"
    world.queue = ["a"]
    agent.turn(no_wait)
    assert world.calls["look"] == 2
    world.jobs = [JOB]
    agent.turn(no_wait)
    assert world.calls["look"] == 3
    world.now += PAUSE
    agent.turn(no_wait)
    assert world.calls["look"] == 4


def test_a_slow_scheduler_is_asked_less_often() -> None:
    world = World(slowness=0.5)
    agent = world.head()
    agent.turn(no_wait)
    world.calls.clear()
    while world.now < agent.asked + 5 - POLL:
        agent.turn(no_wait)
    assert "waiting" not in world.calls
    world.jobs = [JOB]
    agent.turn(no_wait)
    assert world.calls["look"] == 1


@pytest.mark.parametrize(("idle", "most"), [(0.0, 3 * POLL), (LATELY, PAUSE + 2 * POLL)])
def test_a_node_that_is_to_go_is_drained_soon(idle: float, most: float) -> None:
    """Nothing tells of a row that the operator has marked. One that has been idle for long is in no hurry."""
    world = World()
    world.put("i-1", "cpu-1", Row.READY)
    world.launch("i-1", Member.SERVING)
    world.register("cpu-1")
    agent = world.head()
    agent.look()
    world.now += idle
    agent.look()
    world.rows["i-1"] = replace(world.rows["i-1"], state=Row.DRAINING)
    asked = world.now
    while states(world) != {"i-1": "drained"}:
        agent.turn(no_wait)
    assert world.now - asked <= most
    assert world.hosts_of["cpu-1"].state is Host.LOCKED
    world.now += SOON
    agent.look()
    world.calls.clear()
    for _ in range(5):
        agent.turn(no_wait)
    assert world.calls["look"] <= 1, "there is nothing more to see"


@pytest.mark.parametrize("state", [Row.DRAINED, Row.FAILED])
@pytest.mark.parametrize(("ago", "most"), [(0.0, 2 * POLL), (SOON, PAUSE + POLL)])
def test_a_node_that_the_operator_ends_may_go_at_once(state: Row, ago: float, most: float) -> None:
    """Nothing tells of an instance that the hook holds. One that the operator cannot end is in no hurry."""
    world = World()
    world.put("i-1", "cpu-1", state, since=NOW - ago)
    world.launch("i-1", Member.SERVING)
    agent = world.head()
    agent.look()
    world.end("i-1")
    asked = world.now
    while world.members:
        agent.turn(no_wait)
    assert world.now - asked <= most
    agent.look()
    world.calls.clear()
    while world.now < asked + most + PAUSE - POLL:
        agent.turn(no_wait)
    assert world.calls["look"] <= 1, "there is nothing more to see"


def test_a_slow_scheduler_is_not_looked_at_without_a_pause_for_the_end_of_a_node() -> None:
    world = World(slowness=0.5)
    world.put("i-1", "cpu-1", Row.DRAINED)
    world.launch("i-1", Member.SERVING)
    agent = world.head()
    agent.look()
    world.calls.clear()
    while world.now < NOW + 5 - POLL:
        agent.turn(no_wait)
    assert world.calls["look"] == 0


def test_messages_are_deleted_after_the_pass_that_followed_them() -> None:
    world = World(queue=["a", "b"], broken={"members"})
    agent = world.head()
    waits = run(world, agent.run, 1)
    assert world.deleted == []
    assert waits == [2.0]
    world.queue, world.broken = ["a", "b"], set()
    run(world, agent.run, 1)
    assert world.deleted == ["a", "b"]


def run(world: World, loop: Callable[..., None], turns: int) -> list[float]:
    """So many turns of an agent's loop: what it waited."""
    waits: list[float] = []
    left = iter([True] * turns + [False])

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        world.now += seconds

    loop(sleep, lambda: next(left))
    return waits


@pytest.mark.parametrize("call", ["prepare", "look", "members", "tell_demand", "tell_agent", "delete"])
def test_nothing_ends_the_loop(call: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World(broken={call}, queue=["a"])
    agent = world.head()
    with caplog.at_level(logging.ERROR):
        waits = run(world, agent.run, 8)
    assert waits == [2, 4, 8, 16, 32, BACKOFF, BACKOFF, BACKOFF][: len(waits)]
    assert all(call in line and "\n" not in line for line in caplog.messages)
    world.broken = set()
    world.launch("i-1")
    world.now += PAUSE
    run(world, agent.run, 2)
    assert states(world) == {"i-1": "booting"}
    assert world.prepared == 1


def test_without_the_queue_of_messages_all_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    world = World(broken={"receive"})
    agent = world.head()
    world.launch("i-1")
    waits = run(world, agent.run, 3 * int(PAUSE / POLL))
    assert set(waits) == {POLL}
    assert world.calls["look"] in (3, 4), "as often as without messages"
    assert states(world) == {"i-1": "booting"}
    assert world.agent[-1][2] == ""
    assert "no messages: BrokenError: receive" in caplog.text


@pytest.mark.parametrize("call", ["add", "move", "drop", "let_go"])
def test_of_many_calls_those_that_fail_hold_up_no_others(call: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World(broken={call})
    world.launch("i-1")
    world.put("i-2", "cpu-2", Row.BOOTING)
    world.launch("i-2")
    world.register("cpu-2")
    world.put("i-3", "cpu-3", Row.FAILED, since=NOW - GRACE)
    world.end("i-4")
    agent = world.head()
    agent.look()
    assert "1 calls failed, the first one: " in caplog.text
    assert bool(world.agent[-1][2]) is (call != "let_go"), "AWS lets them go by itself in a minute"
    assert demand(world)["queues"]
    world.broken = set()
    agent.look()
    assert states(world) == {"i-1": "booting", "i-2": "ready"}
    assert world.members.keys() == {"i-1", "i-2"}


def test_a_row_that_somebody_else_has_moved_meanwhile_is_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.put("i-1", "cpu-1", Row.BOOTING)
    world.launch("i-1")
    world.register("cpu-1")
    hosts = world.hosts

    def hosts_and_a_failure() -> Any:
        world.put("i-1", "cpu-1", Row.FAILED)
        return hosts()

    monkeypatch.setattr(world, "hosts", hosts_and_a_failure)
    world.head().look()
    assert world.rows["i-1"].state is Row.FAILED


def test_a_pass_writes_only_what_changes_and_asks_in_bulk() -> None:
    """A thousand nodes that end at once cost the scheduler one command."""
    facts = World().facts.replace('"max":6', '"max":1000')
    world = World(facts=facts)
    for number in range(1, 1001):
        world.put(f"i-{number}", f"cpu-{number}", Row.READY)
        world.launch(f"i-{number}", Member.SERVING)
        world.register(f"cpu-{number}", Host.BUSY)
    agent = world.head()
    agent.look()
    looks, tells = {"look", "shape", "members", "hosts", "waiting", "started"}, {"tell_demand", "tell_agent"}
    assert world.calls.keys() == {"prepare", "prefer"} | looks | tells
    assert world.calls["prefer"] == 1
    for number in range(1, 1001):
        world.end(f"i-{number}")
    world.calls.clear()
    agent.look()
    assert (world.calls["unbind"], world.calls["let_go"], world.calls["prefer"]) == (1, 1000, 0)
    assert "drop" not in world.calls


def test_a_clock_that_is_set_back_holds_up_nothing() -> None:
    world = World()
    agent = world.head()
    world.end("i-1")
    held = dict(world.members)
    agent.turn(no_wait)
    world.now -= 3600
    world.members = held
    agent.turn(no_wait)
    assert (world.calls["look"], world.calls["let_go"]) == (2, 2)
    assert world.agent[-1][3] < NOW, "a sign of life"


def test_jobs_go_first_to_hosts_whose_jobs_have_run_for_long() -> None:
    world = World()
    for number, state in ((1, Host.BUSY), (2, Host.BUSY), (3, Host.IDLE)):
        world.put(f"i-{number}", f"cpu-{number}", Row.READY)
        world.launch(f"i-{number}", Member.SERVING)
        world.register(f"cpu-{number}", state)
    world.running = {"cpu-1": [world.now, world.now + 300], "cpu-2": [world.now, world.now]}

    def ranks() -> list[int]:
        return [world.hosts_of[f"cpu-{number}"].rank for number in range(1, 5)]

    agent = world.head()
    agent.look()
    assert ranks() == [LAST - 1, LAST - 1, LAST, LAST], "a job of another clock's future has not run yet"
    world.now += 59
    agent.look()
    assert ranks() == [LAST - 1, LAST - 2, LAST, LAST], "two have run for two minutes, nearly"
    world.now += 241
    agent.look()
    assert ranks() == [LAST - 4, LAST - 5, LAST, LAST]
    world.now += 1e9
    agent.look()
    assert ranks() == [1, 1, LAST, LAST]
    world.calls.clear()
    agent.look()
    assert "prefer" not in world.calls
    assert world.calls["tell_demand"] == 0, "the operator need not know"
    world.register("cpu-1", Host.SILENT)
    agent.look()
    assert ranks() == [LAST, 1, LAST, LAST]


def test_a_scheduler_that_is_slow_to_tell_of_jobs_is_asked_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()

    def started() -> dict[str, list[float]]:
        world.now += 0.5
        return {}

    monkeypatch.setattr(world, "started", started)
    agent = world.head()
    agent.look()
    world.calls.clear()
    for _ in range(4):
        agent.turn(lambda seconds: None)
    assert "hosts" not in world.calls
    agent.turn(lambda seconds: None)
    assert world.calls["hosts"] == 1


def test_what_the_scheduler_forgot_is_told_again() -> None:
    world = World()
    world.put("i-1", "cpu-1", Row.READY)
    world.launch("i-1", Member.SERVING)
    world.register("cpu-1", Host.BUSY)
    agent = world.head()
    agent.look()
    world.register("cpu-1", Host.BUSY)
    assert world.hosts_of["cpu-1"].rank == LAST, "it was started anew"
    agent.look()
    assert world.hosts_of["cpu-1"].rank == LAST - 1


def test_a_lowered_limit_keeps_the_hosts_of_instances() -> None:
    world = World(facts=World().facts.replace('"max":6', '"max":1'))
    world.put("i-5", "cpu-5", Row.READY)
    world.launch("i-5", Member.SERVING)
    world.register("cpu-5", Host.BUSY)
    world.head().look()
    assert world.hosts_of["cpu-5"].state is Host.BUSY


# Driven apart, with messages that get lost, come twice or in another order, and calls that fail now and then.

IDS = [f"i-{number}" for number in range(5)]


def advance(world: World, daemons: set[str]) -> None:
    """Time passes: jobs end, instances come up, the operator ends what is drained or has failed."""
    for name, each in list(world.hosts_of.items()):
        after = {Host.BUSY: Host.IDLE, Host.LOCKED_BUSY: Host.LOCKED}.get(each.state)
        if after:
            world.hosts_of[name] = replace(each, state=after)
    for instance, belonging in list(world.members.items()):
        row = world.rows.get(instance)
        if belonging.member is Member.COMING:
            world.launch(instance, Member.SERVING)
        if row and row.state in (Row.DRAINED, Row.FAILED):
            world.end(instance)
        elif row and row.state is Row.BOOTING and belonging.member is Member.SERVING and instance in daemons:
            world.rows[instance] = replace(row, address=f"10.0.0.{IDS.index(instance)}")
            if world.hosts_of[row.name].state is Host.DOWN:
                world.register(row.name, address=f"10.0.0.{IDS.index(instance)}")


@st.composite
def apart(draw: st.DrawFn) -> tuple[World, set[str]]:
    """A world whose lists say different things; and which instances have daemons that come up."""
    world = World()
    some = st.sets(st.sampled_from(IDS))
    names = draw(st.permutations([f"cpu-{number}" for number in range(1, CPU.max + 1)]))
    for instance in sorted(draw(some)):
        member = draw(st.sampled_from([Member.COMING, Member.SERVING, Member.GOING]))
        hook = {Member.COMING: LAUNCH_HOOK, Member.GOING: TERMINATE_HOOK}.get(member, "")
        world.members[instance] = Belonging("demo.cpu", member, hook)
    for name, instance in zip(names, sorted(draw(some)), strict=False):
        world.put(instance, name, draw(st.sampled_from([*Row][1:])), draw(st.floats(NOW - 5000, NOW)))
    for name in sorted(draw(st.sets(st.sampled_from(names)))):
        state = draw(st.sampled_from([each for each in Host if each not in (Host.SET_ASIDE, Host.SET_ASIDE_BUSY)]))
        world.hosts_of[name] = host(state)
    return world, set(IDS) if draw(st.booleans()) else draw(some)


CALLS = ("add", "move", "drop", "let_go", "members", "look", "hosts", "unbind", "lock", "tell_demand", "receive")


@settings(max_examples=25)
@given(apart(), st.data())
def test_whatever_happens_to_messages_and_calls_the_lists_come_together(
    made: tuple[World, set[str]], data: st.DataObject
) -> None:
    world, daemons = made
    agent = world.head()
    for _ in range(12):
        world.broken = data.draw(st.sets(st.sampled_from(CALLS), max_size=2))
        world.queue = data.draw(st.lists(st.sampled_from("abc"), max_size=3))
        if data.draw(st.integers(0, 9)) == 0:
            agent = world.head()
        run(world, agent.run, 1)
        advance(world, daemons)
    world.broken = set()
    for _ in range(100):
        world.now += 90
        run(world, agent.run, 1)
        advance(world, daemons)
    serving = {instance for instance, each in world.members.items() if each.member is Member.SERVING}
    assert world.rows.keys() == world.members.keys() == serving
    assert {row.state for row in world.rows.values()} <= {Row.READY}
    up = {name for name, each in world.hosts_of.items() if each.state is not Host.DOWN}
    assert {row.name for row in world.rows.values()} == up
    assert demand(world)["nodes"] == ({"ready": len(serving)} if serving else {})
    assert demand(world)["queues"]["cpu"]["idle"].keys() == serving
    world.calls.clear()
    world.now += PAUSE
    run(world, agent.run, 1)
    changing = {"add", "move", "drop", "let_go", "bind", "unbind", "lock", "unlock", "tell_demand"}
    assert not changing & world.calls.keys(), "and all is quiet"
