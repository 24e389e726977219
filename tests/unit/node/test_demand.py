"""The document of demand: what it says, and that the operator reads in it what was meant."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.demand import document, idle_since
from node.facts import Queue
from node.lists import Host, Row
from node.rows import NodeRow
from node.scheduler import HostState, Jobs
from reconciler.demand import Pending, Room, Shape
from reconciler.nodes import facts_of

NOW = 1000.0
JOB = Jobs("cpu", 1, 1, 100, 0, exclusive=False, able=True, never=False, reason="Resources")
QUEUES = (Queue("cpu", "demo.cpu", 9, 4, 4000, 0), Queue("gpu", "demo.gpu", 9, 4, 4000, 2))


def row(number: int, state: Row = Row.READY, queue: str = "cpu") -> NodeRow:
    return NodeRow(f"i-{number}", queue, f"{queue}-{number}", state, 1.0)


def host(state: Host, cpus: int = 4, memory: int = 4000, gpus: int = 0) -> HostState:
    return HostState(state, "cpu", cpus, memory, gpus)


def made(
    *jobs: Jobs, rows: tuple[NodeRow, ...] = (), hosts: dict[str, HostState] | None = None, former: Any = None
) -> Any:
    return json.loads(document(QUEUES, {each.id: each for each in rows}, hosts or {}, jobs, former or {}, NOW))


def cpu(*jobs: Jobs, **given: Any) -> Any:
    return made(*jobs, **given)["queues"]["cpu"]


def test_a_cluster_of_which_nobody_wants_anything() -> None:
    nothing = {"pending": [], "rooms": [], "idle": {}, "waiting": {}, "never": {}}
    assert made() == {"queues": {"cpu": nothing, "gpu": nothing}, "nodes": {}}


@pytest.mark.parametrize(
    ("job", "shape"),
    [
        (JOB, [1, 100, 0, 1, 1, 0]),
        (replace(JOB, nodes=2, cpus=5, memory=301, gpus=3), [3, 151, 2, 2, 1, 0]),
        (replace(JOB, nodes=2, cpus=4, memory=300, gpus=2), [2, 150, 1, 2, 1, 0]),
        (replace(JOB, exclusive=True, count=7), [1, 100, 0, 1, 7, 1]),
        (replace(JOB, nodes=0, cpus=0), [1, 100, 0, 1, 1, 0]),
    ],
)
def test_a_job_is_told_by_what_it_takes_of_one_node(job: Jobs, shape: list[int]) -> None:
    assert cpu(job)["pending"] == [shape]


PARTICULAR = {
    "its host is to come": (replace(JOB, hosts=("cpu-3",), count=9), {2: Host.BUSY}, [[1, 100, 0, 1, 1, 1]]),
    "its host is there": (replace(JOB, hosts=("cpu-2",)), {2: Host.BUSY}, []),
    "its host is there and idle": (replace(JOB, hosts=("cpu-2",)), {2: Host.IDLE}, [[1, 100, 0, 1, 1, 1]]),
    "it wants another one as well": (replace(JOB, nodes=2, hosts=("cpu-2",)), {2: Host.BUSY}, [[1, 50, 0, 2, 1, 1]]),
    "one is idle that it does not want": (replace(JOB, hosts=("cpu-3",)), {2: Host.IDLE}, []),
    "it waits for something else": (replace(JOB, hosts=("cpu-3",), able=False), {}, []),
}


@pytest.mark.parametrize(("job", "states", "pending"), PARTICULAR.values(), ids=list(PARTICULAR))
def test_a_job_of_certain_hosts_is_no_reason_to_launch_others(
    job: Jobs, states: dict[int, Host], pending: list[Any]
) -> None:
    hosts = {f"cpu-{number}": host(state) for number, state in states.items()}
    found = cpu(job, rows=tuple(row(number) for number in states), hosts=hosts)
    assert (found["pending"], found["waiting"]) == (pending, {} if pending else {"Resources": job.count})


@pytest.mark.parametrize(
    ("job", "nodes"),
    [
        (replace(JOB, nodes=2, most=5, cpus=8), 2),
        (replace(JOB, nodes=2, most=5, cpus=9), 5),
        (replace(JOB, nodes=2, most=5, cpus=6, task=3), 2),
        (replace(JOB, nodes=2, most=5, cpus=8, task=3), 5),
        (replace(JOB, nodes=2, most=5, memory=8001), 5),
        (replace(JOB, nodes=2, most=5, gpus=1), 5),
        (replace(JOB, nodes=2, most=2, cpus=9), 2),
        (replace(JOB, nodes=2, cpus=9), 2),
        (replace(JOB, nodes=2, most=5, cpus=8, task=9), 5),
    ],
)
def test_a_job_that_does_not_fit_on_as_few_nodes_as_it_may_have_gets_more(job: Jobs, nodes: int) -> None:
    assert [each[3] for each in cpu(job)["pending"]] == [nodes]


def test_like_jobs_are_told_together_and_in_order() -> None:
    big = replace(JOB, cpus=4, count=2)
    found = cpu(big, JOB, replace(JOB, reason="Priority", count=3))["pending"]
    assert found == [[1, 100, 0, 1, 4, 0], [4, 100, 0, 1, 2, 0]]


def test_what_waits_for_something_else_or_can_never_run_is_told_by_its_reason() -> None:
    held = replace(JOB, able=False, reason="JobHeldUser", count=2)
    never = replace(JOB, able=False, never=True, reason="PartitionConfig")
    found = cpu(held, held, never)
    assert (found["pending"], found["waiting"], found["never"]) == ([], {"JobHeldUser": 4}, {"PartitionConfig": 1})


def test_a_job_for_several_queues_asks_the_first_that_there_is() -> None:
    found = made(replace(JOB, queue="old,gpu,cpu"), replace(JOB, queue="other"))["queues"]
    assert found["gpu"]["pending"] == [[1, 100, 0, 1, 1, 0, ["cpu"]]]
    assert found["cpu"]["pending"] == []


def test_rooms_are_on_ready_nodes_with_jobs_and_idle_are_those_without() -> None:
    rows = (row(1), row(2), row(3), row(4, Row.DRAINING), row(5), row(6), row(7, queue="gpu"))
    hosts = {
        "cpu-1": host(Host.BUSY, 1, 500),
        "cpu-2": host(Host.BUSY, 1, 500),
        "cpu-3": host(Host.BUSY, 0, -5),
        "cpu-4": host(Host.BUSY),
        "cpu-5": host(Host.IDLE),
        "cpu-6": host(Host.SET_ASIDE),
        "gpu-7": host(Host.IDLE),
    }
    found = cpu(rows=rows, hosts=hosts, former={"i-5": 400.0, "i-1": 5.0})
    assert found["rooms"] == [[0, 0, 0, 1], [1, 500, 0, 2]]
    assert found["idle"] == {"i-5": 400}
    assert cpu(rows=rows, hosts=hosts)["idle"] == {"i-5": 1000}
    assert made(rows=rows, hosts=hosts)["nodes"] == {"ready": 6, "draining": 1}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"queues": []}', '{"queues": {"cpu": {"idle": {"i-1": "x"}}}}'])
def test_an_unreadable_former_document_knows_of_no_idle_node(text: str) -> None:
    assert idle_since(text) == {}


def test_a_former_document_knows_since_when() -> None:
    assert idle_since(document(QUEUES, {"i-1": row(1)}, {"cpu-1": host(Host.IDLE)}, (), {}, NOW)) == {"i-1": 1000.0}


SHAPES = st.builds(
    Jobs,
    queue=st.sampled_from(["cpu", "gpu", "cpu,gpu", "gpu,cpu", "old,cpu"]),
    nodes=st.integers(1, 4),
    cpus=st.integers(1, 64),
    memory=st.integers(0, 10**6),
    gpus=st.integers(0, 16),
    exclusive=st.booleans(),
    able=st.booleans(),
    never=st.just(False),
    reason=st.sampled_from(["Priority", "Dependency"]),
    count=st.integers(1, 1000),
)


@given(st.lists(SHAPES, max_size=8), st.permutations(range(8)))
def test_the_order_of_what_is_seen_changes_no_byte(jobs: list[Jobs], order: list[int]) -> None:
    other = [jobs[place] for place in order if place < len(jobs)]
    assert document(QUEUES, {}, {}, jobs, {}, NOW) == document(QUEUES, {}, {}, other, {}, NOW)


def test_the_operator_reads_what_was_meant() -> None:
    rows = {"i-1": row(1), "i-2": row(2)}
    hosts = {"cpu-1": host(Host.BUSY, 1, 500), "cpu-2": host(Host.IDLE)}
    jobs = (
        replace(JOB, nodes=2, cpus=4, exclusive=True),
        replace(JOB, able=False, reason="Dependency"),
        replace(JOB, queue="cpu,gpu"),
    )
    text = document(QUEUES, rows, hosts, jobs, {}, NOW)
    facts = facts_of([{"row": "DEMAND", "document": text, "at": 5}])
    assert facts.unread == ()
    found = facts.demand["cpu"]
    one = Pending(Shape(1, 100, 0), others=("gpu",))
    assert found.pending == (one, Pending(Shape(2, 50, 0), 2, 1, exclusive=True))
    assert found.rooms == (Room(Shape(1, 500, 0), 1),)
    assert (found.idle, found.waiting, found.never) == ({"i-2": 1000.0}, {"Dependency": 1}, {})
