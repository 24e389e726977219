"""The sweep and a pass ask AWS Batch in different ways, and have to see the same."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from reconciler.batch import BatchFacts
from reconciler.facts import Actual, Stack, digest
from reconciler.observe_batch import observe_batch
from reconciler.statuses import ENABLED, STANDING
from reconciler.sweep import Known, _batches, due
from tests.unit.batch_factories import ARN, definition_arn, outputs, scene
from tests.unit.factories import NAME, NOW, OWNER, stack

Json = dict[str, Any]
MARKS = {"muster:owner": OWNER, "muster:cluster": NAME}
OUTPUTS = outputs(scene().wanted)
ANY, OLD, MAIN = scene().name(), "muster-demo_any_0ldo1d00", "muster-demo_main"


class Batch:
    """AWS Batch as far as it is described: what it holds, by list or page by page."""

    def __init__(self, environments: list[Json], queues: list[Json], active: bool) -> None:
        self.environments, self.queues = environments, queues
        self.definitions = [{"jobDefinitionArn": definition_arn("run"), "status": "ACTIVE" if active else "INACTIVE"}]
        self.calls: list[str] = []

    def describe_compute_environments(self, computeEnvironments: list[str]) -> Json:  # noqa: N803
        found = [e for e in self.environments if e["computeEnvironmentName"] in computeEnvironments]
        return {"computeEnvironments": found}

    def describe_job_queues(self, jobQueues: list[str]) -> Json:  # noqa: N803
        return {"jobQueues": [each for each in self.queues if each["jobQueueArn"] in jobQueues]}

    def describe_job_definitions(self, jobDefinitions: list[str]) -> Json:  # noqa: N803
        return {"jobDefinitions": [each for each in self.definitions if each["jobDefinitionArn"] in jobDefinitions]}

    def list_jobs(self, **_: Any) -> Json:
        return {"jobSummaryList": [{}, {}]}

    def get_paginator(self, operation: str) -> SimpleNamespace:
        self.calls.append(operation)
        pages = {
            "describe_compute_environments": ("computeEnvironments", self.environments),
            "describe_job_queues": ("jobQueues", self.queues),
            "describe_job_definitions": ("jobDefinitions", self.definitions),
        }

        def paginate(status: str = "", **_: Any) -> Iterable[Json]:
            key, things = pages[operation]
            # In another order than a list by name, and one a page.
            return [{key: [each]} for each in reversed(things) if status in ("", each["status"])]

        return SimpleNamespace(paginate=paginate)


def environment(name: str, **fields: Any) -> Json:
    sizes = {key: fields.pop(key) for key in ("minvCpus", "maxvCpus", "desiredvCpus") if key in fields}
    return {
        "computeEnvironmentName": name,
        "computeEnvironmentArn": f"{ARN}compute-environment/{name}",
        "computeResources": {"type": "EC2", "minvCpus": 0, "maxvCpus": 20, "desiredvCpus": 0, **sizes},
        "tags": MARKS,
        "state": "ENABLED",
        "status": "VALID",
        **fields,
    }


def queue(*order: str, name: str = MAIN, **fields: Any) -> Json:
    arns = [f"{ARN}compute-environment/{each}" for each in order or (ANY,)]
    return {
        "jobQueueName": name,
        "jobQueueArn": f"{ARN}job-queue/{name}",
        "computeEnvironmentOrder": [{"order": n, "computeEnvironment": arn} for n, arn in enumerate(arns)],
        "tags": {**MARKS, "muster:queue": "main"},
        "state": "ENABLED",
        "status": "VALID",
        "priority": 1,
        **fields,
    }


def ecs(clusters: list[str]) -> Json:
    return {"clusters": [{"clusterArn": arn, "runningTasksCount": 3} for arn in clusters]}


def by_pass(batch: Batch, of: Stack | None) -> str:
    clients: Any = SimpleNamespace(batch=batch, ecs=SimpleNamespace(describe_clusters=ecs))
    owned = of.outputs if of and of.owned_by(OWNER, NAME) else {}
    facts = observe_batch(clients, MARKS, owned, (ANY, OLD), (), deleting=False)
    return digest(Actual(stack=of, batch=facts))


def by_sweep(batch: Batch, of: Stack | None) -> str:
    clients: Any = SimpleNamespace(batch=batch)
    found = _batches(clients, OWNER, {NAME: of} if of else {})
    return digest(Actual(stack=of, batch=found.get(NAME, BatchFacts())))


STATES, STATUSES = st.sampled_from([*ENABLED, "DORMANT"]), st.sampled_from([*STANDING, "PONDERING"])
SIZES = st.integers(0, 9)
OWNERS = st.sampled_from([MARKS, MARKS, {"muster:owner": "another", "muster:cluster": NAME}, {}])


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    names = draw(st.lists(st.sampled_from([ANY, OLD]), unique=True))
    environments = [
        environment(
            name,
            **{field: draw(SIZES) for field in ("minvCpus", "maxvCpus", "desiredvCpus")},
            state=draw(STATES),
            status=draw(STATUSES),
            ecsClusterArn=draw(st.sampled_from(["", f"ecs/{name}"])),
            tags=draw(OWNERS),
        )
        for name in names
    ]
    queues = [
        queue(
            *draw(st.permutations([ANY, OLD])),
            name=name,
            state=draw(STATES),
            status=draw(STATUSES),
            priority=draw(SIZES),
            tags=draw(OWNERS),
        )
        for name in draw(st.lists(st.sampled_from([MAIN, "muster-demo_other"]), unique=True))
    ]
    return Batch(environments, queues, draw(st.booleans()))


STACKS = st.none() | st.builds(
    lambda status, told, tags: stack(status, outputs=told, **tags),
    st.sampled_from(["CREATE_COMPLETE", "CREATE_IN_PROGRESS"]),
    st.sampled_from([OUTPUTS, OUTPUTS, {}]),
    st.sampled_from([{}, {}, {"tags": {"muster:owner": "another", "muster:cluster": NAME}}]),
)


@given(batches(), STACKS)
def test_a_pass_and_the_sweep_see_the_same(batch: Batch, of: Stack | None) -> None:
    """Else a cluster that nothing happens to would be woken by each sweep."""
    assert by_pass(batch, of) == by_sweep(batch, of)
    event(f"there are {len(batch.environments)} environments and {len(batch.queues)} queues")


SOUND = stack(outputs=OUTPUTS)
DRIFT: list[tuple[str, Json, Json, bool]] = [
    ("environment-disabled", {"state": "DISABLED"}, {}, True),
    ("environment-invalid", {"status": "INVALID"}, {}, True),
    ("least", {"minvCpus": 1}, {}, True),
    ("most", {"maxvCpus": 1}, {}, True),
    ("desired", {"desiredvCpus": 1}, {}, True),
    ("queue-disabled", {}, {"state": "DISABLED"}, True),
    ("queue-invalid", {}, {"status": "INVALID"}, True),
    ("priority", {}, {"priority": 2}, True),
    ("order", {}, {"computeEnvironmentOrder": queue(OLD, ANY)["computeEnvironmentOrder"]}, True),
    ("definition-deregistered", {}, {}, False),
    ("environment-gone", {"tags": {}}, {}, True),
    ("queue-gone", {}, {"tags": {}}, True),
]


@pytest.mark.parametrize(("of", "at", "active"), [row[1:] for row in DRIFT], ids=[row[0] for row in DRIFT])
def test_drift_that_no_event_told_of_is_found(of: Json, at: Json, active: bool) -> None:
    before = Batch([environment(ANY)], [queue()], active=True)
    known = Known("hash", by_pass(before, SOUND), None)
    after = Batch([environment(ANY, **of)], [queue(**at)], active=active)
    clients: Any = SimpleNamespace(batch=after)
    there = {NAME: Actual(stack=SOUND, batch=_batches(clients, OWNER, {NAME: SOUND})[NAME])}
    assert due({NAME: "hash"}, {NAME: known}, there, NOW) == {NAME: "facts"}
    assert by_sweep(before, SOUND) == known.digest


def test_jobs_and_tasks_wake_nobody() -> None:
    """They come and go by the thousand; who shows them looks again by a timer."""
    batch = Batch([environment(ANY), environment(OLD, ecsClusterArn="ecs/old")], [queue()], active=True)
    assert by_pass(batch, SOUND) == by_sweep(batch, SOUND)


def test_where_no_stack_has_any_only_environments_are_looked_for() -> None:
    """One that outlived its stack is found all the same."""
    batch = Batch([environment(OLD)], [queue()], active=True)
    clients: Any = SimpleNamespace(batch=batch)
    assert [each.name for each in _batches(clients, OWNER, {})[NAME].environments] == [OLD]
    assert batch.calls == ["describe_compute_environments"]
