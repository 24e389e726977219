"""What hypothesis makes plans of clusters of AWS Batch of: all that can be wanted, be there and be remembered."""

from dataclasses import replace
from functools import cache
from typing import Any

from hypothesis import strategies as st

from reconciler.batch import BatchFacts, Build, Environment, JobQueue
from reconciler.cluster import Cluster
from reconciler.facts import Actual, Stack
from reconciler.pins import Pins
from reconciler.plan import Desired
from reconciler.record import Record
from reconciler.statuses import BUILD, ENABLED, STACK, STANDING, Step
from tests.unit import batch_factories as batch
from tests.unit import factories as make
from tests.unit.plan import strategies
from tests.unit.plan.strategies import known_or

UNKNOWN = "PONDERING"
MARKS = ("aaaaaaaa", "bbbbbbbb")
TWO = {
    "computeEnvironments": [
        {"name": "any", "minVcpus": 2, "desiredVcpus": 4},
        {"name": "spot", "type": "SPOT", "maxVcpus": 50},
        {"name": "small", "type": "FARGATE"},
    ],
    "queues": [
        {"name": "main", "computeEnvironments": ["spot", "any"]},
        {"name": "small", "computeEnvironments": ["small"]},
    ],
    "images": [{"name": "app", "dockerfile": "FROM scratch\n"}, {"name": "old", "uri": "public.ecr.aws/a/b:1"}],
    "jobDefinitions": [{"name": "run", "image": "app"}, {"name": "old", "image": "old", "platform": "FARGATE"}],
}
PARTS: list[dict[str, Any]] = [{}, {"onDelete": "WaitForJobs"}, TWO]
SHOWN = batch.scene().plan().record.status
SIZES = st.sampled_from([(0, 20), (2, 20), (0, 100_000), (0, 50), (5, 99)])


@cache
def cluster(part: int, **flags: Any) -> Cluster:
    return batch.cluster(PARTS[part], **flags)


@st.composite
def desires(draw: st.DrawFn, *, present: bool | None = None, **flags: Any) -> Desired:
    given = {
        "paused": draw(st.sampled_from([False, False, False, True])),
        "deletionProtection": draw(st.sampled_from([False, False, False, True])),
        "deletionPolicy": draw(st.sampled_from(["Delete", "Delete", "Delete", "Retain"])),
    }
    there = draw(st.booleans()) if present is None else present
    return batch.desired(
        cluster(draw(st.sampled_from(range(len(PARTS)))), **given | flags),
        template=draw(strategies.TEMPLATES),
        present=there,
        stack_spec_hash=draw(st.sampled_from([make.SPEC_HASH, make.SPEC_HASH, "new-spec"])),
        upgrade=draw(st.booleans()),
    )


@st.composite
def environments(draw: st.DrawFn, name: str, statuses: list[str]) -> Environment:
    low, high = draw(SIZES)
    return batch.environment(
        name,
        state=draw(st.sampled_from([*ENABLED, *(s for s in statuses if s == UNKNOWN)])),
        status=draw(st.just("VALID") | st.sampled_from(statuses)),
        reason=draw(st.sampled_from(["", "CLIENT_ERROR - no such role"])),
        kind=draw(st.sampled_from(["EC2", "SPOT", "FARGATE", "FARGATE_SPOT"])),
        min=low,
        max=high,
        desired=draw(st.integers(0, 6)),
        tasks=draw(st.sampled_from([None, 0, 0, 2])),
    )


@st.composite
def queues(draw: st.DrawFn, name: str, known: list[str], statuses: list[str]) -> JobQueue:
    return batch.queue(
        name,
        *draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True)),
        state=draw(st.sampled_from([*ENABLED, *(s for s in statuses if s == UNKNOWN)])),
        status=draw(st.just("VALID") | st.sampled_from(statuses)),
        priority=draw(st.sampled_from([1, 1, 5])),
        jobs=draw(st.sampled_from([{}, {}, {"RUNNING": 2}, {"RUNNABLE": 1, "STARTING": 1}])),
        more=draw(st.booleans()),
    )


@st.composite
def builds(draw: st.DrawFn, tag: str) -> Build:
    return batch.build(
        draw(st.sampled_from([tag, tag, "app-0ther"])),
        draw(known_or(BUILD, UNKNOWN)),
        draw(st.integers(1, 99)),
        phase="BUILD",
        reason=draw(strategies.REASONS),
        ended=draw(st.none() | strategies.TIMES),
    )


@st.composite
def facts(draw: st.DrawFn, wanted: Desired, *, unknown: bool = True, deregistered: bool = False) -> BatchFacts:
    """The names of a stack's environments and of its outputs are those of the spec; what is seen of them is not."""
    statuses = [*STANDING, UNKNOWN] if unknown else list(STANDING)
    of = batch.batch_of(wanted)
    held = list(of.environments)
    left = [f"muster-demo_any_{mark}" for mark in MARKS if draw(st.booleans())]
    lacking = draw(st.sets(st.sampled_from([*held, *of.orders, *(image.tag for image in of.images)]), max_size=2))
    outside = draw(st.sets(st.sampled_from(held), max_size=1)) if draw(st.sampled_from([False, False, True])) else set()
    whole = batch.facts(wanted)
    tags = [image.tag for image in of.images]
    found = draw(st.lists(builds(tags[0]), max_size=4, unique_by=lambda build: build.id))
    return BatchFacts(
        environments=tuple(draw(environments(name, statuses)) for name in [*held, *left] if name not in lacking),
        queues=tuple(
            draw(queues(each.queue, [*held, *left], statuses)) for each in whole.queues if each.name not in lacking
        ),
        definitions={arn: not deregistered or draw(st.booleans()) for arn in whole.definitions},
        images={tag: batch.DIGEST for tag in tags if tag not in lacking},
        builds=tuple(found),
        current=frozenset(held) - outside,
    )


@st.composite
def stacks(draw: st.DrawFn, wanted: Desired, statuses: list[str]) -> Stack:
    found = draw(strategies.stacks(owned=True, statuses=statuses))
    return replace(found, outputs=batch.outputs(wanted))


STATUSES = [*STACK, *(["CREATE_COMPLETE", "UPDATE_COMPLETE"] * len(STACK))]


@st.composite
def situations(
    draw: st.DrawFn,
    wanted: st.SearchStrategy[Desired] | None = None,
    *,
    unknown: bool = True,
    deregistered: bool = False,
) -> tuple[Desired, Actual, Record]:
    """What is wanted, what is there, and what is remembered of it; the last two need not agree."""
    asked = draw(desires() if wanted is None else wanted)
    assert asked.rendered is not None
    hash_ = asked.rendered.hash
    memory = draw(strategies.records(("", "muster-old", f"muster-{hash_[:16]}-1-0")))
    there = draw(st.none() | stacks(asked, STATUSES))
    seen = draw(facts(asked, unknown=unknown, deregistered=deregistered))
    if there is None:
        seen = BatchFacts(environments=seen.environments)
    sizes = draw(st.sampled_from([{}, batch.sizes(asked), dict.fromkeys(batch.sizes(asked), (0, 9, None))]))
    change_set = draw(st.none() | strategies.change_sets(memory.change_set)) if memory.change_set and there else None
    memory = memory.remember(
        sizes=sizes,
        environments=tuple(each.name for each in seen.environments),
        pins=Pins(serving=draw(st.sampled_from([{}, batch.serving(asked), {"app": "app-before"}]))),
        status=draw(st.sampled_from([{}, SHOWN])),
    )
    return asked, Actual(stack=there, change_set=change_set, batch=seen), memory


@st.composite
def nearly_sound(draw: st.DrawFn, *, unknown: bool = True) -> tuple[Desired, Actual, Record]:
    """A cluster as it should be, but perhaps for one or two things."""
    asked, there, memory = draw(situations(desires(present=True), unknown=unknown))
    assert asked.rendered is not None
    steady = [status for status, step in STACK.items() if step is Step.STEADY]
    whole = {
        field: getattr(batch.facts(asked), field) for field in ("environments", "queues", "images", "builds", "current")
    }
    odd = draw(st.sets(st.sampled_from([*whole, "stack", "memory"]), max_size=2))
    definitions = batch.facts(asked).definitions
    seen = replace(there.batch, definitions=definitions, **{f: value for f, value in whole.items() if f not in odd})
    if "stack" not in odd:
        sound = batch.stack(asked, draw(st.sampled_from(steady)), asked.rendered.hash)
        there = replace(there, stack=sound, change_set=None)
    if "memory" not in odd:
        memory = batch.record(asked, status=memory.status)
    return asked, replace(there, batch=seen), memory
