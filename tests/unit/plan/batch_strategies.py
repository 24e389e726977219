"""What hypothesis makes plans of clusters of AWS Batch of: all that can be wanted, be there and be remembered."""

from dataclasses import replace
from functools import cache
from typing import Any

from hypothesis import strategies as st

from reconciler.batch import BatchFacts, Build, Environment, JobQueue
from reconciler.cluster import Cluster
from reconciler.facts import Actual
from reconciler.pins import Pins
from reconciler.plan import Desired
from reconciler.record import Record
from reconciler.statuses import BUILD, ENABLED, STACK, STANDING, Step
from tests.unit import batch_factories as batch
from tests.unit import factories as make
from tests.unit.plan import strategies
from tests.unit.plan.strategies import YES_OR_NO, few, kept, known_or, none_or, numbers, some

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
SHOWN_BEFORE = st.sampled_from([{}, SHOWN])
SIZES = st.sampled_from([(0, 20), (2, 20), (0, 100_000), (0, 50), (5, 99)])


@cache
def cluster(part: int, **flags: Any) -> Cluster:
    return batch.cluster(PARTS[part], **flags)


@kept
@st.composite
def desires(draw: st.DrawFn, *, present: bool | None = None, **flags: Any) -> Desired:
    given = {
        "paused": draw(some(False, False, False, True)),
        "deletionProtection": draw(some(False, False, False, True)),
        "deletionPolicy": draw(some("Delete", "Delete", "Delete", "Retain")),
    }
    there = draw(YES_OR_NO) if present is None else present
    return batch.desired(
        cluster(draw(numbers(0, len(PARTS) - 1)), **given | flags),
        template=draw(strategies.TEMPLATES),
        present=there,
        stack_spec_hash=draw(some(make.SPEC_HASH, make.SPEC_HASH, "new-spec")),
        upgrade=draw(YES_OR_NO),
    )


@kept
def valid_or(statuses: tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.just("VALID") | st.sampled_from(statuses)


@kept
def orders(known: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    """The environments of a queue."""
    return st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True)


JOBS = st.sampled_from([{}, {}, {"RUNNING": 2}, {"RUNNABLE": 1, "STARTING": 1}])


@kept
@st.composite
def environments(draw: st.DrawFn, name: str, statuses: tuple[str, ...]) -> Environment:
    low, high = draw(SIZES)
    return batch.environment(
        name,
        state=draw(some(*ENABLED, *(s for s in statuses if s == UNKNOWN))),
        status=draw(valid_or(statuses)),
        reason=draw(some("", "CLIENT_ERROR - no such role")),
        kind=draw(some("EC2", "SPOT", "FARGATE", "FARGATE_SPOT")),
        min=low,
        max=high,
        desired=draw(numbers(0, 6)),
        tasks=draw(some(None, 0, 0, 2)),
    )


@kept
@st.composite
def queues(draw: st.DrawFn, name: str, known: tuple[str, ...], statuses: tuple[str, ...]) -> JobQueue:
    return batch.queue(
        name,
        *draw(orders(known)),
        state=draw(some(*ENABLED, *(s for s in statuses if s == UNKNOWN))),
        status=draw(valid_or(statuses)),
        priority=draw(some(1, 1, 5)),
        jobs=draw(JOBS),
        more=draw(YES_OR_NO),
    )


@kept
@st.composite
def builds(draw: st.DrawFn, tag: str) -> Build:
    return batch.build(
        draw(some(tag, tag, "app-0ther")),
        draw(known_or(BUILD, UNKNOWN)),
        draw(numbers(1, 99)),
        phase="BUILD",
        reason=draw(strategies.REASONS),
        ended=draw(none_or(strategies.TIMES)),
    )


@kept
def many_builds(tag: str) -> st.SearchStrategy[list[Build]]:
    return st.lists(builds(tag), max_size=4, unique_by=lambda build: build.id)


@st.composite
def facts(draw: st.DrawFn, wanted: Desired, *, unknown: bool = True, deregistered: bool = False) -> BatchFacts:
    """The names of a stack's environments and of its outputs are those of the spec; what is seen of them is not."""
    statuses = (*STANDING, UNKNOWN) if unknown else tuple(STANDING)
    of = batch.batch_of(wanted)
    held = list(of.environments)
    left = [f"muster-demo_any_{mark}" for mark in MARKS if draw(YES_OR_NO)]
    lacking = draw(few(2, *held, *of.orders, *(image.tag for image in of.images)))
    outside = draw(few(1, *held)) if draw(some(False, False, True)) else set()
    whole = batch.facts(wanted)
    tags = [image.tag for image in of.images]
    found = draw(many_builds(tags[0]))
    return BatchFacts(
        environments=tuple(draw(environments(name, statuses)) for name in [*held, *left] if name not in lacking),
        queues=tuple(
            draw(queues(each.queue, (*held, *left), statuses)) for each in whole.queues if each.name not in lacking
        ),
        definitions={arn: not deregistered or draw(YES_OR_NO) for arn in whole.definitions},
        images={tag: batch.DIGEST for tag in tags if tag not in lacking},
        builds=tuple(found),
        current=frozenset(held) - outside,
    )


STATUSES = (*STACK, *(("CREATE_COMPLETE", "UPDATE_COMPLETE") * len(STACK)))


@kept
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
    there = draw(none_or(strategies.stacks(owned=True, statuses=STATUSES)))
    there = there and replace(there, outputs=batch.outputs(asked))
    seen = draw(facts(asked, unknown=unknown, deregistered=deregistered))
    if there is None:
        seen = BatchFacts(environments=seen.environments)
    sizes = ({}, batch.sizes(asked), dict.fromkeys(batch.sizes(asked), (0, 9, None)))[draw(numbers(0, 2))]
    change_set = draw(none_or(strategies.change_sets(memory.change_set))) if memory.change_set and there else None
    memory = memory.remember(
        sizes=sizes,
        environments=tuple(each.name for each in seen.environments),
        pins=Pins(serving=({}, batch.serving(asked), {"app": "app-before"})[draw(numbers(0, 2))]),
        status=draw(SHOWN_BEFORE),
    )
    return asked, Actual(stack=there, change_set=change_set, batch=seen), memory


@kept
@st.composite
def nearly_sound(draw: st.DrawFn, *, unknown: bool = True) -> tuple[Desired, Actual, Record]:
    """A cluster as it should be, but perhaps for one or two things."""
    asked, there, memory = draw(situations(desires(present=True), unknown=unknown))
    assert asked.rendered is not None
    steady = [status for status, step in STACK.items() if step is Step.STEADY]
    whole = {
        field: getattr(batch.facts(asked), field) for field in ("environments", "queues", "images", "builds", "current")
    }
    odd = draw(few(2, *whole, "stack", "memory"))
    definitions = batch.facts(asked).definitions
    seen = replace(there.batch, definitions=definitions, **{f: value for f, value in whole.items() if f not in odd})
    if "stack" not in odd:
        sound = batch.stack(asked, draw(some(*steady)), asked.rendered.hash)
        there = replace(there, stack=sound, change_set=None)
    if "memory" not in odd:
        memory = batch.record(asked, status=memory.status)
    return asked, replace(there, batch=seen), memory
