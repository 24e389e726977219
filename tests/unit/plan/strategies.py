"""What hypothesis makes plans of: all that can be wanted, be there and be remembered, odd things included.

Strategies are kept: to make one, and for hypothesis to look it over, takes longer than to draw from it.
"""

from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

from hypothesis import strategies as st

from reconciler.actions import CreateStack, DeleteArtifacts, DeleteStack, ResizeGroup
from reconciler.cluster import Cluster
from reconciler.facts import OWNER_TAG, Actual, Change, ChangeSet, Group, Member, Stack
from reconciler.plan import Desired
from reconciler.plan.draft import words
from reconciler.record import Accepted, Failure, Pending, Record, Rendering
from reconciler.statuses import ACTIVITY, CHANGE_SET, EXECUTION, HEAD_NODE, LIFECYCLE, STACK, Step
from tests.unit import factories as make

kept = lru_cache(maxsize=None, typed=True)


@kept
def some(*values: Any) -> st.SearchStrategy[Any]:
    """One of them."""
    return st.sampled_from(values)


@kept
def none_or(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


@kept
def few(most: int, *values: Any) -> st.SearchStrategy[set[Any]]:
    """Some of them, at the most so many."""
    return st.sets(some(*values), max_size=most)


@kept
def numbers(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high)


YES_OR_NO = st.booleans()
TEMPLATES = st.sampled_from([make.WANTED, make.BEFORE, "c" * 64])
QUEUES = ("compute", "other")
STACK_IDS = st.sampled_from([make.STACK_ID, "second-life"])
REASONS = st.sampled_from(["", "no capacity", "vCPU limit exceeded", "User is not authorized"])
UNKNOWN = "SLEEP_IN_PROGRESS"
TIMES = st.sampled_from([make.NOW - 700, make.NOW - 1, make.NOW, make.NOW + 40])


def known_or(table: dict[str, Any], unknown: str) -> st.SearchStrategy[str]:
    """A status of a table, or one that it lacks."""
    return some(*table, unknown)


@cache
def cluster(sizes: tuple[tuple[tuple[str, int], ...], ...], consent: tuple[str, ...], **flags: Any) -> Cluster:
    queues = [make.queue_spec(name, **dict(size)) for name, size in zip(QUEUES, sizes, strict=False)]
    return make.cluster(queues=queues, consent=list(consent), **flags)


SIZES = st.sampled_from(
    [(("size", 0),), (("size", 2),), (("size", 3),), (("minSize", 1), ("maxSize", 4)), (("maxSize", 0),)]
)
CONSENT = st.lists(st.sampled_from(["headNode", "queues/compute", "queues/other", "sharedStorage/home"]), unique=True)


QUEUE_SIZES = st.lists(SIZES, min_size=1, max_size=2)


@kept
@st.composite
def clusters(draw: st.DrawFn, **flags: Any) -> Cluster:
    given = {
        "paused": draw(YES_OR_NO),
        "deletionProtection": draw(YES_OR_NO),
        "deletionPolicy": draw(some("Delete", "Retain")),
    }
    return cluster(tuple(draw(QUEUE_SIZES)), tuple(sorted(draw(CONSENT))), **given | flags)


@kept
@st.composite
def desires(draw: st.DrawFn, *, present: bool | None = None, accepted: bool | None = None, **flags: Any) -> Desired:
    """A spec that is there is accepted or has errors; what is in force may be an older one, or none."""
    there = draw(YES_OR_NO) if present is None else present
    errors = draw(some((), ("spec.x: 1: wrong; right it",))) if there else ()
    known = draw(YES_OR_NO) if accepted is None else accepted
    wanted = draw(clusters(**flags)) if known or (there and not errors) else None
    refusal, look_again = draw(some(("InvalidSpec", None), ("InvalidReference", 300.0)))
    return make.desired(
        present=there,
        cluster=wanted,
        rendered=make.rendered(draw(TEMPLATES)) if wanted else None,
        stack_spec_hash=draw(some(make.SPEC_HASH, "new-spec")),
        errors=errors,
        refusal=refusal,
        look_again=look_again if errors else None,
        upgrade=draw(YES_OR_NO),
    )


@kept
@st.composite
def stacks(
    draw: st.DrawFn,
    *,
    owned: bool | None = None,
    statuses: tuple[str, ...] = (*STACK, UNKNOWN),
    templates: tuple[str, ...] = (make.WANTED, make.BEFORE, "c" * 64),
) -> Stack:
    ours = draw(some(True, True, True, False)) if owned is None else owned
    there = make.stack(
        draw(some(*statuses)),
        draw(some(*templates)),
        id=draw(STACK_IDS),
        reason=draw(REASONS),
        failure=draw(REASONS),
    )
    return there if ours else replace(there, tags={**there.tags, OWNER_TAG: "another"})


CHANGES = st.builds(
    Change,
    st.sampled_from(["Add", "Modify", "Modify", "Remove", "Import", "Dynamic"]),
    st.sampled_from([*make.NAMES, "Nameless"]),
    st.sampled_from(["AWS::EC2::Instance", "AWS::EC2::Volume", "AWS::AutoScaling::AutoScalingGroup", "AWS::IAM::Role"]),
    st.sampled_from(["", "True", "False", "Conditional"]),
)


SOME_CHANGES = st.lists(CHANGES, max_size=2)


@kept
@st.composite
def change_sets(draw: st.DrawFn, name: str) -> ChangeSet:
    made = draw(YES_OR_NO)
    return ChangeSet(
        name,
        "CREATE_COMPLETE" if made else draw(known_or(CHANGE_SET, "PONDERED")),
        "AVAILABLE" if made and draw(YES_OR_NO) else draw(known_or(EXECUTION, "PERHAPS")),
        draw(some("", "The submitted information didn't contain changes.", "quota reached")),
        tuple(draw(SOME_CHANGES)),
        f"arn:{name}/found",
    )


STATES = st.lists(known_or(LIFECYCLE, "Dreaming") | st.just("InService"), max_size=4)
ACTIVITIES = known_or(ACTIVITY, "Pondering") | st.just("")


@kept
@st.composite
def groups(draw: st.DrawFn, queue: str) -> Group:
    states = draw(STATES)
    low, high = draw(some((0, 5000), (0, 0), (2, 2), (3, 3), (1, 4), (0, 9)))
    return make.group(
        queue,
        min=low,
        max=high,
        desired=draw(numbers(low, min(high, 9))),
        suspended=draw(some((), (), ("Launch", "Terminate"))),
        members=tuple(Member(f"i-{n}", state) for n, state in enumerate(states)),
        activity=draw(ACTIVITIES),
        activity_message="InsufficientInstanceCapacity",
    )


INSTANCES = st.builds(
    make.head,
    known_or(HEAD_NODE, "rebooting"),
    id=st.sampled_from(["i-a", "i-b"]),
    node=st.sampled_from(["head", "compute"]),
    owner=st.sampled_from([make.OWNER, "another"]),
)


HEADS = st.lists(INSTANCES, max_size=2)


@kept
@st.composite
def facts(draw: st.DrawFn, there: st.SearchStrategy[Stack | None], change_set: str) -> Actual:
    found = draw(there)
    return Actual(
        stack=found,
        change_set=draw(none_or(change_sets(change_set))) if change_set and found else None,
        groups=tuple(draw(groups(queue)) for queue in QUEUES if draw(YES_OR_NO)),
        instances=tuple(draw(HEADS)),
        volumes=draw(some((), (make.volume(),))),
        resources=draw(some((), (make.resource("StorageHome", "DELETE_FAILED", reason="in use"),))),
    )


SUBJECTS = [
    *(f"{verb} {'a' * 64} of generation {number}" for verb in ("create", "update") for number in (0, 1)),
    f"delete {make.STACK_ID}",
    f"continue rollback of {make.STACK_ID}",
]
FAILURES = st.builds(
    Failure,
    st.sampled_from(SUBJECTS),
    st.just("no capacity"),
    st.sampled_from([make.STACK_ID, "muster-old", "token"]),
    st.integers(1, 4),
    st.none() | TIMES,
)
CALLS = [
    CreateStack("muster-demo", "", ""),
    ResizeGroup("muster-demo.compute", 0, 0, 0),
    DeleteStack(make.STACK_ID, ""),
    DeleteArtifacts("clusters/demo/"),
]
TROUBLES = st.builds(
    Failure,
    st.sampled_from([words(call) for call in CALLS] + ["cluster demo"]),
    st.just("x answered Throttling: because"),
    st.sampled_from(["1", "2"]),
    st.integers(1, 4),
    TIMES,
    st.just("Throttling"),
    YES_OR_NO,
) | st.builds(
    Failure,
    st.sampled_from([words(call) for call in CALLS]),
    st.just("wrong"),
    st.sampled_from(["1", "2"]),
    stalled=st.just(True),
)
RENDERINGS = st.builds(
    Rendering,
    TEMPLATES,
    st.just("0.0.9"),
    st.sampled_from([make.SPEC_HASH, "old-spec"]),
    st.sampled_from([make.NAMES, {}]),
    st.sampled_from([make.RETAINED, {}]),
)
IN_FORCE = st.dictionaries(
    st.sampled_from([*QUEUES, "old"]), st.sampled_from([(2, 2, 2), (3, 3, 3), (1, 4, None), (0, 0, None)])
)


GENERATIONS = st.integers(1, 2)
ACCEPTED = Accepted(1, "content", "{}")
UNCHANGED = st.just("") | st.builds("{}/{}".format, TEMPLATES, TEMPLATES)
KNOWN_STACKS = st.just("") | STACK_IDS
PENDING = some(None, Pending("CreateStack", "stack x", "token", make.NOW - 9))
STATUSES = st.sampled_from([{}, make.planned().record.status])


@kept
@st.composite
def records(draw: st.DrawFn, change_sets: tuple[str, ...] = ("", "muster-old"), *, accepted: bool = True) -> Record:
    return make.record(
        generation=draw(GENERATIONS),
        accepted=ACCEPTED if accepted else draw(some(None, ACCEPTED)),
        rendering=draw(none_or(RENDERINGS)),
        change_set=draw(some(*change_sets)),
        unchanged=draw(UNCHANGED),
        sizes=draw(IN_FORCE),
        stack_id=draw(KNOWN_STACKS),
        deleting_since=draw(none_or(TIMES)),
        failure=draw(none_or(FAILURES)),
        trouble=draw(none_or(TROUBLES)),
        pending=draw(PENDING),
        timer=draw(none_or(TIMES)),
        status=draw(STATUSES),
    )


@kept
@st.composite
def situations(
    draw: st.DrawFn,
    wanted: st.SearchStrategy[Desired] | None = None,
    there: st.SearchStrategy[Stack | None] | None = None,
) -> tuple[Desired, Actual, Record]:
    """What is wanted, what is there, and what is remembered of it; the last two need not agree."""
    asked = draw(desires() if wanted is None else wanted)
    template = asked.rendered.hash if asked.rendered else make.WANTED
    names = ("", "muster-old", *(f"muster-{template[:16]}-1-{tries}" for tries in (0, 0, 1)))
    memory = draw(records(names, accepted=asked.cluster is not None))
    return asked, draw(facts(none_or(stacks()) if there is None else there, memory.change_set)), memory


@st.composite
def updates(draw: st.DrawFn) -> tuple[Desired, Actual, Record]:
    """A change set was made and can be carried out; what it changes, and what else there is, is left open."""
    steady = tuple(status for status, step in STACK.items() if step is Step.STEADY)
    asked, there, memory = draw(
        situations(desires(accepted=True, paused=False), stacks(owned=True, statuses=steady, templates=("d" * 64,)))
    )
    assert asked.rendered is not None
    name = f"muster-{asked.rendered.hash[:16]}-1-0"
    seen = make.change_set(*draw(SOME_CHANGES), name=name)
    return asked, replace(there, change_set=seen), memory.remember(change_set=name, failure=None, unchanged="")


@st.composite
def nearly_sound(draw: st.DrawFn) -> tuple[Desired, Actual, Record]:
    """A cluster as it should be, but perhaps for one or two things."""
    asked, there, memory = draw(situations(desires(present=True, accepted=True)))
    assert asked.cluster is not None
    assert asked.rendered is not None
    queues = asked.cluster.spec.queues
    sizes = [queue.bounds.min for queue in queues]
    healthy = {
        "stack": make.stack("UPDATE_COMPLETE", asked.rendered.hash),
        "change_set": None,
        "groups": tuple(
            make.group(queue.name, size, max=queue.bounds.max) for queue, size in zip(queues, sizes, strict=True)
        ),
        "instances": (make.head(),),
    }
    odd = draw(few(2, *healthy, "errors", "sizes"))
    there = replace(there, **{part: value for part, value in healthy.items() if part not in odd})
    if "errors" not in odd:
        asked = replace(asked, errors=(), look_again=None)
    if "sizes" not in odd:
        memory = memory.remember(sizes={queue.name: tuple(queue.bounds) for queue in queues})
    return asked, there, memory
