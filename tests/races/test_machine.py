"""The real loop, interleaved: passes stop before each of their AWS calls, and a machine says which goes on.

Messages are delivered as two FIFO queues would. Nothing wakes a cluster but what would wake it in AWS: the user's
writes, what CloudFormation and Auto Scaling tell, and the timers that passes send. There is no sweep: what a pass
would lose stays lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reconciler.loop import Tools, reconcile
from reconciler.store import Refused
from tests.unit.factories import NAME
from tests.unit.plane import Plane, client, control_plane

WORKERS = 8
MUTATIONS = {
    *("CreateStack", "CreateChangeSet", "ExecuteChangeSet", "DeleteChangeSet", "DeleteStack"),
    *("UpdateAutoScalingGroup", "ResumeProcesses", "TerminateInstances"),
}
LEASE = 70.0  # seconds, longer than any lease
PATIENCE = 20.0  # seconds that a thread may take from one call to the next


class Killed(BaseException):
    """The end of a process, which nothing catches."""


class Pass:
    """A pass in a thread of its own. `at` is the call that it is about to make, empty when it has ended."""

    def __init__(self, plane: Plane, owner: str, queue: str) -> None:
        self.owner, self.queue, self.at, self.late = owner, queue, "start", 0
        self.refused = self.killed = False
        self.failure: BaseException | None = None
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        tools = Tools(plane.clients, plane.settings, plane.store, lambda: plane.now, lambda: plane.left)
        self.thread = threading.Thread(target=self._run, args=(tools,), name=owner, daemon=True)
        self.thread.start()

    def _run(self, tools: Tools) -> None:
        self._go.acquire()
        try:
            reconcile(tools, NAME, self.owner)
        except Refused:
            self.refused = True
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            self.failure = error
        self.at = ""
        self._stopped.release()

    def stop(self, operation: str) -> None:
        """Called by the pass itself before a call."""
        self.at = operation
        self._stopped.release()
        self._go.acquire()
        if self.killed:
            raise Killed

    def step(self) -> None:
        """Let it make its call and go on to the next one."""
        self._go.release()
        assert self._stopped.acquire(timeout=PATIENCE), f"{self.owner} hangs at {self.at}"
        if self.failure:
            raise self.failure


class Races(RuleBasedStateMachine):
    """One cluster, its user, AWS, and up to eight workers."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.plane = self.stack.enter_context(control_plane())
        self.passes: list[Pass] = []
        self.waiting = {"wakes": 0, "background": 0}
        self.holders: dict[str, Pass | None] = {"wakes": None, "background": None}
        self.fences: dict[int, Pass] = {}
        self.item: dict[str, Any] | None = None
        self.statuses: list[str] = []
        self.size, self.started, self.timers = 0, 0, 0
        for each in (self.plane.clients, self.plane.cloudformation):
            each.before = self._before
            each.after = self._after

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            for each in self.passes:
                each.killed = True
                each._go.release()
                each.thread.join(PATIENCE)
            self.stack.close()

    # --- hooks

    def _before(self, operation: str) -> None:
        running = next((each for each in self.passes if each.thread is threading.current_thread()), None)
        if running:
            running.stop(operation)

    def _after(self, operation: str) -> None:
        if operation == "UpdateAutoScalingGroup":
            self.waiting["wakes"] += 1

    # --- the user

    def _put(self, **spec: Any) -> None:
        self.plane.put(**spec)
        self.item = self._stored_item()
        self.waiting["wakes"] += 1

    def _stored_item(self) -> dict[str, Any] | None:
        return client("dynamodb").get_item(TableName="specs", Key={"name": {"S": NAME}}).get("Item")

    @initialize(size=st.integers(0, 3))
    def born(self, size: int) -> None:
        self.edit(size)

    @rule(size=st.integers(0, 3), team=st.sampled_from(["", "physics"]))
    def edit(self, size: int, team: str = "") -> None:
        self.size = size
        queues = [{"name": "compute", "instanceTypes": ["c7i.large"], "size": size}]
        self._put(queues=queues, tags={"team": team} if team else {})

    @precondition(lambda self: self.item is not None)
    @rule()
    def delete(self) -> None:
        self.plane.delete()
        self.item = None
        self.waiting["wakes"] += 1

    # --- queues and workers

    @precondition(lambda self: len(self.passes) < WORKERS)
    @rule(queue=st.sampled_from(["wakes", "background"]), extra=st.booleans())
    def receive(self, queue: str, extra: bool = False) -> None:
        """`extra`: the background queue has a message of a sweep, which found something or not."""
        self.waiting[queue] += extra and queue == "background"
        if self.waiting[queue] and self.holders[queue] is None:
            self.started += 1
            begun = Pass(self.plane, f"pass-{self.started}", queue)
            self.holders[queue] = begun
            self.passes.append(begun)

    @precondition(lambda self: self.passes)
    @rule(which=st.integers(0, WORKERS - 1), calls=st.integers(1, 8))
    def advance(self, which: int, calls: int) -> None:
        running = self.passes[which % len(self.passes)]
        for _ in range(calls):
            if running.at:
                self._step(running)

    def _step(self, running: Pass) -> None:
        before, operation = self._row(), running.at
        mine = [fence for fence, owner in self.fences.items() if owner is running]
        if operation in MUTATIONS and mine and (before is None or before["fence"] != mine[0]):
            running.late += 1
            assert running.late == 1, f"{running.owner} made {operation} without the lease, and it was not the first"
        running.step()
        after = self._row()
        if before != after:
            written = (after or before or {})["fence"]
            assert self.fences.setdefault(written, running) is running, f"fence {written} is another's"
        self._tell_changes()
        if not running.at:
            self._end(running, acknowledge=not running.refused)

    def _row(self) -> dict[str, Any] | None:
        return next((row for row in self.plane.rows() if row["row"] == "STATE"), None)

    def _end(self, ended: Pass, *, acknowledge: bool) -> None:
        ended.thread.join(PATIENCE)
        self.passes.remove(ended)
        if self.holders[ended.queue] is ended:
            self.holders[ended.queue] = None
            self.waiting[ended.queue] -= acknowledge

    @precondition(lambda self: self.passes)
    @rule(which=st.integers(0, WORKERS - 1))
    def crash(self, which: int) -> None:
        victim = self.passes[which % len(self.passes)]
        victim.killed = True
        if victim.at == "start":
            return
        victim.step()
        self._end(victim, acknowledge=False)

    @rule(queue=st.sampled_from(["wakes", "background"]))
    def visibility_expires(self, queue: str) -> None:
        self.holders[queue] = None

    @rule()
    def leases_expire(self) -> None:
        self.plane.now += LEASE

    # --- AWS

    @rule()
    def aws_goes_on(self) -> None:
        """What CloudFormation was asked for is done."""
        fake = self.plane.cloudformation
        for stack in fake.stacks[-1:]:
            if stack.status.endswith("_IN_PROGRESS"):
                fake.end(stack.status.replace("_IN_PROGRESS", "_COMPLETE"))
            elif any(each["Status"] == "CREATE_IN_PROGRESS" for each in stack.change_sets.values()):
                for each in stack.change_sets.values():
                    change = {"Action": "Modify", "LogicalResourceId": "Logs", "ResourceType": "AWS::Logs::LogGroup"}
                    each |= {
                        "Status": "CREATE_COMPLETE",
                        "ExecutionStatus": "AVAILABLE",
                        "Changes": [{"Type": "Resource", "ResourceChange": change | {"Replacement": "False"}}],
                    }
        self._tell_changes()

    def _tell_changes(self) -> None:
        statuses = [stack.status for stack in self.plane.cloudformation.stacks]
        self.waiting["wakes"] += statuses != self.statuses
        self.statuses = statuses

    # --- what holds

    @invariant()
    def the_users_item_is_the_users(self) -> None:
        assert self._stored_item() == self.item

    def settle(self) -> None:
        """Let all come to rest, with nothing but the messages that there are."""
        self._until(lambda: not self.passes, lambda: self._step(self.passes[0]))
        for _ in range(60):
            self.plane.now += LEASE
            self.aws_goes_on()
            self._deliver_timers()
            for queue in self.waiting:
                self.holders[queue] = None
                self._until(lambda queue=queue: not self.waiting[queue], lambda queue=queue: self._run_one(queue))
            if not self._under_way():
                break
        self._at_rest()

    def _until(self, done: Callable[[], bool], more: Callable[[], None]) -> None:
        for _ in range(2000):
            if done():
                return
            more()
        raise AssertionError(f"no rest: {self.plane.status()}")

    def _run_one(self, queue: str) -> None:
        self.receive(queue)
        self._until(lambda: not self.passes, lambda: self._step(self.passes[0]))
        self.plane.now += 1

    def _deliver_timers(self) -> None:
        sent = len(self.plane.timers())
        self.waiting["wakes"] += sent - self.timers
        self.timers = sent

    def _under_way(self) -> bool:
        """A timer has been sent and not delivered, or CloudFormation is at work."""
        fake = self.plane.cloudformation
        working = [stack.status for stack in fake.stacks if stack.status.endswith("_IN_PROGRESS")]
        making = any(stack.change_sets for stack in fake.stacks)
        return bool(working or making or len(self.plane.timers()) > self.timers)

    def _at_rest(self) -> None:
        living = [stack for stack in self.plane.cloudformation.stacks if stack.status != "DELETE_COMPLETE"]
        if self.item is None:
            assert self._row() is None
            assert living == []
            return
        assert self.plane.condition("Ready") == ("True", "AsSpecified"), self.plane.status()
        assert [stack.name for stack in living] == [f"muster-{NAME}"]
        assert self.plane.group()["DesiredCapacity"] == self.size


Races.TestCase.settings = settings(
    max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestRaces = Races.TestCase
