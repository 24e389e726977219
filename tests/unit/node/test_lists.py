"""The three lists of nodes: whatever they say, there is one thing to do, and doing it brings them together."""

import itertools
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.lists import (
    BOOT,
    GRACE,
    LATE,
    PATIENCE,
    RULES,
    Deed,
    Host,
    Known,
    Member,
    Row,
    Seen,
    Task,
    free_names,
    rule_of,
    tasks,
)

NOW = 1_000_000.0
ID, NAME = "i-1", "compute-1"
OLD = NOW - 10_000


def test_every_way_in_which_the_lists_can_differ_has_a_rule() -> None:
    used = {RULES.index(rule_of(*each)) for each in itertools.product(Member, Row, Host, (0.0, BOOT))}
    assert used == set(range(len(RULES))), "and every rule is for some of them"


def one(member: Member, row: Row, host: Host, since: float = OLD) -> list[Task]:
    """What is to be done about one node."""
    members = {} if member is Member.ABSENT else {ID: member}
    rows = {} if row is Row.ABSENT else {ID: Known(row, since, NAME)}
    hosts = {} if host is Host.DOWN else {NAME: Seen(host, since)}
    return list(tasks(members, rows, hosts, NOW))


@pytest.mark.parametrize(
    ("member", "row", "host", "deed"),
    [
        (Member.COMING, Row.ABSENT, Host.DOWN, Deed.ADD),
        (Member.SERVING, Row.ABSENT, Host.DOWN, Deed.ADD),
        (Member.SERVING, Row.BOOTING, Host.IDLE, Deed.SAY_READY),
        (Member.SERVING, Row.BOOTING, Host.DOWN, Deed.SAY_FAILED),
        (Member.SERVING, Row.READY, Host.DOWN, Deed.SAY_FAILED),
        (Member.SERVING, Row.READY, Host.SILENT, Deed.SAY_FAILED),
        (Member.SERVING, Row.READY, Host.LOCKED, Deed.UNLOCK),
        (Member.SERVING, Row.DRAINING, Host.BUSY, Deed.LOCK),
        (Member.SERVING, Row.DRAINING, Host.LOCKED, Deed.SAY_DRAINED),
        (Member.SERVING, Row.DRAINED, Host.BUSY, Deed.SAY_DRAINING),
        (Member.SERVING, Row.FAILED, Host.BUSY, Deed.UNBIND),
        (Member.GOING, Row.READY, Host.BUSY, Deed.UNBIND),
        (Member.ABSENT, Row.READY, Host.BUSY, Deed.UNBIND),
        (Member.ABSENT, Row.READY, Host.DOWN, Deed.DROP),
    ],
)
def test_what_is_done(member: Member, row: Row, host: Host, deed: Deed) -> None:
    assert one(member, row, host) == [Task(deed, ID, NAME if row is not Row.ABSENT else "")]


@pytest.mark.parametrize(
    ("member", "row", "host"),
    [
        (Member.SERVING, Row.READY, Host.BUSY),
        (Member.SERVING, Row.READY, Host.SET_ASIDE),
        (Member.SERVING, Row.READY, Host.SET_ASIDE_BUSY),
        (Member.SERVING, Row.DRAINING, Host.LOCKED_BUSY),
        (Member.SERVING, Row.DRAINED, Host.LOCKED),
        (Member.SERVING, Row.FAILED, Host.DOWN),
        (Member.GOING, Row.READY, Host.DOWN),
        (Member.ABSENT, Row.ABSENT, Host.DOWN),
    ],
)
def test_what_is_left_alone(member: Member, row: Row, host: Host) -> None:
    assert one(member, row, host) == []


def test_a_host_of_no_instance_is_a_ghost() -> None:
    assert list(tasks({}, {}, {NAME: Seen(Host.BUSY, OLD)}, NOW)) == [Task(Deed.UNBIND, "", NAME)]


@pytest.mark.parametrize(
    ("member", "row", "host", "after"),
    [
        (Member.ABSENT, Row.BOOTING, Host.DOWN, GRACE),
        (Member.SERVING, Row.BOOTING, Host.DOWN, BOOT),
        (Member.SERVING, Row.READY, Host.SILENT, PATIENCE),
    ],
)
def test_what_may_come_right_by_itself_is_waited_for(member: Member, row: Row, host: Host, after: float) -> None:
    assert [task.deed for task in one(member, row, host, NOW - after + 1) if task.deed is not Deed.BIND] == []
    assert len(one(member, row, host, NOW - after)) == 1


@pytest.mark.parametrize("host", [Host.DOWN, Host.BUSY])
def test_a_node_that_goes_while_it_boots_has_failed_only_if_nobody_completed_its_hook(host: Host) -> None:
    assert one(Member.GOING, Row.BOOTING, host, NOW - LATE) == [Task(Deed.SAY_FAILED, ID, NAME)]
    assert one(Member.GOING, Row.BOOTING, host, NOW - LATE + 1) == [Task(Deed.SAY_DRAINING, ID, NAME)]


@pytest.mark.parametrize("row", [Row.READY, Row.DRAINING, Row.DRAINED, Row.FAILED])
def test_the_name_of_an_instance_that_was_there_and_is_gone_is_free_at_once(row: Row) -> None:
    assert one(Member.ABSENT, row, Host.DOWN, NOW) == [Task(Deed.DROP, ID, NAME)]


def test_a_node_that_is_ready_is_told_to_the_scheduler() -> None:
    assert one(Member.COMING, Row.READY, Host.DOWN, NOW - PATIENCE + 1) == [Task(Deed.BIND, ID, NAME)]


def test_a_host_that_has_just_fallen_silent_is_given_time_whatever_the_age_of_its_row() -> None:
    rows, hosts = {ID: Known(Row.READY, OLD, NAME)}, {NAME: Seen(Host.SILENT, NOW - 1)}
    assert list(tasks({ID: Member.SERVING}, rows, hosts, NOW)) == []


def test_a_row_of_a_clock_that_is_ahead_has_just_been_written() -> None:
    """The operator writes rows, and nodes do; nobody's clock is ours."""
    for each in itertools.product(Member, Row, Host):
        assert one(*each, since=NOW + 0.4) == one(*each, since=NOW)


def test_a_node_whose_host_has_just_been_taken_for_down_is_told_to_the_scheduler_first() -> None:
    rows, hosts = {ID: Known(Row.READY, OLD, NAME)}, {NAME: Seen(Host.DOWN, NOW - PATIENCE + 1)}
    assert [task.deed for task in tasks({ID: Member.SERVING}, rows, hosts, NOW)] == [Deed.BIND]
    assert [task.deed for task in tasks({ID: Member.SERVING}, rows, hosts, NOW + 1)] == [Deed.SAY_FAILED]


def test_no_job_is_lost_to_a_node_that_is_to_leave() -> None:
    """Whatever the lists say, a node whose host has jobs, or may have, is not called drained."""
    for member, row, age in itertools.product(Member, Row, (0.0, BOOT)):
        for host in (Host.BUSY, Host.LOCKED_BUSY, Host.SET_ASIDE_BUSY, Host.SILENT):
            assert rule_of(member, row, host, age).deed is not Deed.SAY_DRAINED


def test_a_name_is_given_once() -> None:
    assert list(free_names("compute", 3, [])) == ["compute-1", "compute-2", "compute-3"]
    assert list(free_names("compute", 3, ["compute-1", "compute-3", "other-2"])) == ["compute-2"]


# Driven apart at random, they come together.


@dataclass
class World:
    """Instances that live or not, and the lists. Deeds are carried out at once; the operator ends what is to end."""

    members: dict[str, Member]
    rows: dict[str, Known]
    hosts: dict[str, Seen]
    daemons: set[str] = field(default_factory=set)
    now: float = NOW

    def look(self) -> list[Task]:
        found = list(tasks(self.members, self.rows, self.hosts, self.now))
        for task in found:
            self.carry_out(task)
        return found

    def carry_out(self, task: Task) -> None:
        say = {Deed.SAY_READY: Row.READY, Deed.SAY_FAILED: Row.FAILED}
        say |= {Deed.SAY_DRAINED: Row.DRAINED, Deed.SAY_DRAINING: Row.DRAINING}
        if task.deed is Deed.ADD:
            name = next(free_names("compute", 99, [row.name for row in self.rows.values()]))
            self.rows[task.instance] = Known(Row.BOOTING, self.now, name)
        elif task.deed in say:
            self.rows[task.instance] = replace(self.rows[task.instance], state=say[task.deed], since=self.now)
        elif task.deed is Deed.DROP:
            del self.rows[task.instance]
        elif task.deed in (Deed.BIND, Deed.UNLOCK):
            self.hosts[task.name] = Seen(Host.IDLE, self.now)
        elif task.deed is Deed.LOCK:
            busy = self.hosts[task.name].state is Host.BUSY
            self.hosts[task.name] = Seen(Host.LOCKED_BUSY if busy else Host.LOCKED, self.now)
        else:
            assert task.deed is Deed.UNBIND
            del self.hosts[task.name]

    def pass_on(self) -> None:
        """Time passes: jobs end, instances come up and say so, and those that are to go do."""
        self.now += 60
        for name, host in list(self.hosts.items()):
            ends = {Host.BUSY: Host.IDLE, Host.LOCKED_BUSY: Host.LOCKED, Host.SET_ASIDE_BUSY: Host.SET_ASIDE}
            after = ends.get(host.state)
            if after:
                self.hosts[name] = Seen(after, self.now)
        for instance, member in list(self.members.items()):
            row = self.rows.get(instance)
            if member is Member.GOING or (row and row.state in (Row.DRAINED, Row.FAILED)):
                self.members.pop(instance) if member is Member.GOING else self.members.update({instance: Member.GOING})
            elif member is Member.COMING:
                self.members[instance] = Member.SERVING
            if row and row.state is Row.BOOTING and instance in self.daemons:
                self.rows[instance] = replace(row, state=Row.READY, since=self.now)


@given(st.data())
def test_lists_that_were_driven_apart_come_together(data: st.DataObject) -> None:
    """In the end the hosts where jobs can run are those of the instances that serve, each by the name of its row."""
    ids = [f"i-{number}" for number in range(6)]
    names = data.draw(st.permutations([f"compute-{number}" for number in range(1, 9)]))
    some = st.sets(st.sampled_from(ids))
    members = {each: data.draw(st.sampled_from([*Member][1:])) for each in sorted(data.draw(some))}
    ages = st.floats(NOW - 5000, NOW)
    rows = {
        each: Known(data.draw(st.sampled_from([*Row][1:])), data.draw(ages), names[place])
        for place, each in enumerate(sorted(data.draw(some)))
    }
    hosts = {
        name: Seen(data.draw(st.sampled_from([*Host][1:])), data.draw(ages))
        for name in sorted(data.draw(st.sets(st.sampled_from(names))))
    }
    world = World(members, rows, hosts, {each for each in ids if data.draw(st.booleans())})
    for _ in range(60):
        world.look()
        world.pass_on()
    assert world.look() == []
    serving = {each for each, member in world.members.items() if member is Member.SERVING}
    assert set(world.rows) == set(world.members) == serving
    assert {row.name for row in world.rows.values()} == set(world.hosts)
    assert all(row.state is Row.READY for row in world.rows.values())
