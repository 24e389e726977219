"""Builders of a cluster of AWS Batch that is as it should be; a test changes only what it is about."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.batch import BatchFacts, Build, Environment, JobQueue
from reconciler.cluster import Cluster, Invalid, parse
from reconciler.facts import Actual, Stack, job_definition_name, job_queue_name
from reconciler.pins import Pins
from reconciler.plan import Desired, Plan, plan
from reconciler.record import Record
from reconciler.render import Rendered
from reconciler.render.batch import BatchRendered
from tests.unit import factories as make
from tests.unit.render import batches, support

Json = dict[str, Any]
PROJECT, REPOSITORY = "muster-demo", "muster/demo"
ARN = "arn:aws:batch:us-east-1:123456789012:"
DIGEST = f"sha256:{'d' * 64}"
NAMES = {"JobQueueMain": "queues/main"}


def cluster(batch: Json | None = None, **spec: Any) -> Cluster:
    parsed = parse(batches.document(make.NAME, batch, **spec))
    assert not isinstance(parsed, Invalid), str(parsed)
    return parsed


def desired(of: Cluster | None = None, *, template: str = make.WANTED, **fields: Any) -> Desired:
    wanted = of or cluster()
    given = {"cluster": wanted, "rendered": rendered(wanted, template), "stack_spec_hash": make.SPEC_HASH}
    return Desired(**{"name": make.NAME, "owner": make.OWNER, "version": make.VERSION, **given, **fields})


def rendered(of: Cluster, template: str = make.WANTED) -> Rendered:
    return make.rendered(template, names=NAMES, retained={}, batch=_batch(of))


# By identity, and kept alive here: hypothesis asks for few clusters, and to render one takes most of a test's time.
_RENDERED: dict[int, tuple[Cluster, BatchRendered | None]] = {}


def _batch(of: Cluster) -> BatchRendered | None:
    if id(of) not in _RENDERED:
        _RENDERED[id(of)] = (of, support.rendered(of).batch)
    return _RENDERED[id(of)][1]


def batch_of(wanted: Desired) -> BatchRendered:
    """What the reconciler knows of the stack that is wanted."""
    assert wanted.rendered is not None
    assert wanted.rendered.batch is not None
    return wanted.rendered.batch


def environment(name: str, **fields: Any) -> Environment:
    arn, cluster_arn = f"{ARN}compute-environment/{name}", f"arn:aws:ecs:us-east-1:123456789012:cluster/{name}"
    given = {"state": "ENABLED", "status": "VALID", "kind": "EC2", "max": 20, "ecs_cluster": cluster_arn}
    return Environment(**{"name": name, "arn": arn, **given, **fields})


def old(mark: str = "0ldo1d00", **fields: Any) -> Environment:
    """An environment that another has replaced."""
    return environment(f"muster-demo_any_{mark}", **{"tasks": 0, **fields})


def queue(name: str = "main", *environments: str, **fields: Any) -> JobQueue:
    of = job_queue_name(make.NAME, name)
    given = {"state": "ENABLED", "status": "VALID", "environments": environments}
    return JobQueue(**{"name": of, "arn": f"{ARN}job-queue/{of}", "queue": name, **given, **fields})


def build(tag: str, status: str = "SUCCEEDED", number: int = 1, **fields: Any) -> Build:
    return Build(**{"id": f"{PROJECT}:{number}", "tag": tag, "status": status, **fields})


def definition_arn(name: str, revision: int = 1) -> str:
    return f"{ARN}job-definition/{job_definition_name(make.NAME, name)}:{revision}"


def outputs(wanted: Desired) -> dict[str, str]:
    """Of the stack that is wanted, as far as the reconciler reads them."""
    assert wanted.cluster is not None
    assert wanted.cluster.spec.batch is not None
    spec, of = wanted.cluster.spec.batch, batch_of(wanted)
    return {
        "Repository": REPOSITORY,
        "BuildProject": PROJECT,
        "JobsLogGroup": "/muster/demo/jobs",
        **{f"Environment{n}": f"{ARN}compute-environment/{name}" for n, name in enumerate(of.environments)},
        **{f"JobQueue{n}": f"{ARN}job-queue/{name}" for n, name in enumerate(of.orders)},
        **{f"JobDefinition{n}": definition_arn(each.name) for n, each in enumerate(spec.job_definitions)},
    }


def sizes(wanted: Desired) -> dict[str, tuple[int, int, int | None]]:
    """The sizes of the spec, by the names of the environments."""
    assert wanted.cluster is not None
    assert wanted.cluster.spec.batch is not None
    of = {each.name: each for each in wanted.cluster.spec.batch.compute_environments}
    return {
        name: (of[each].min_vcpus or 0, of[each].max_vcpus, of[each].desired_vcpus)
        for name, each in batch_of(wanted).environments.items()
    }


def facts(wanted: Desired) -> BatchFacts:
    """What there is when all is as specified."""
    assert wanted.cluster is not None
    assert wanted.cluster.spec.batch is not None
    spec, of = wanted.cluster.spec.batch, batch_of(wanted)
    kinds = {each.name: each.type for each in spec.compute_environments}
    bounds = sizes(wanted)
    return BatchFacts(
        environments=tuple(
            environment(name, kind=kinds[each], min=bounds[name][0], max=bounds[name][1], desired=bounds[name][0])
            for name, each in of.environments.items()
        ),
        queues=tuple(
            queue(
                each.name,
                *of.orders[job_queue_name(make.NAME, each.name)],
                priority=each.priority,
                fair_share=bool(each.fair_share),
            )
            for each in spec.queues
        ),
        definitions={definition_arn(each.name): True for each in spec.job_definitions},
        images={each.tag: DIGEST for each in of.images},
        current=frozenset(of.environments),
    )


def serving(wanted: Desired) -> dict[str, str]:
    return {each.name: each.tag for each in batch_of(wanted).images}


@dataclass(frozen=True, slots=True)
class Scene:
    """What is wanted, what is there, and what is remembered; to be changed part by part."""

    wanted: Desired
    there: Actual
    memory: Record

    def plan(self, now: float = make.NOW) -> Plan:
        return plan(self.wanted, self.there, self.memory, now)

    def asking(self, **changes: Any) -> "Scene":
        """With another wish."""
        return replace(self, wanted=replace(self.wanted, **changes))

    def seeing(self, **changes: Any) -> "Scene":
        """With other facts of Batch."""
        return replace(self, there=replace(self.there, batch=replace(self.there.batch, **changes)))

    def on(self, status: str = "CREATE_COMPLETE", **changes: Any) -> "Scene":
        """With another stack."""
        assert self.there.stack is not None
        return replace(self, there=replace(self.there, stack=replace(self.there.stack, status=status, **changes)))

    def remembering(self, **changes: Any) -> "Scene":
        return replace(self, memory=self.memory.remember(**changes))

    def environment(self, of: str = "any", **changes: Any) -> "Scene":
        """With the environment of that name in the spec as it is changed."""
        name = self.name(of)
        found = self.there.batch.environments
        return self.seeing(environments=tuple(replace(e, **changes) if e.name == name else e for e in found))

    def queue(self, of: str = "main", **changes: Any) -> "Scene":
        """With that queue as it is changed."""
        found = self.there.batch.queues
        return self.seeing(queues=tuple(replace(q, **changes) if q.queue == of else q for q in found))

    def beside(self, *others: Environment) -> "Scene":
        """With these environments as well, which the stack does not hold."""
        known = tuple(sorted({*self.memory.environments, *(each.name for each in others)}))
        return self.seeing(environments=(*self.there.batch.environments, *others)).remembering(environments=known)

    def name(self, of: str = "any") -> str:
        """The name in AWS of an environment of the spec."""
        return next(name for name, each in batch_of(self.wanted).environments.items() if each == of)

    def next(self, made: Plan) -> "Scene":
        """After a pass of which all went well, and before anything of it is seen."""
        return replace(self, memory=made.record)


def scene(batch: Json | None = None, *, template: str = make.WANTED, **spec: Any) -> Scene:
    """A cluster that stands as specified."""
    wanted = desired(cluster(batch, **spec))
    there = Actual(stack=stack(wanted, template=template), batch=facts(wanted))
    return Scene(wanted, there, record(wanted))


def stack(wanted: Desired, status: str = "CREATE_COMPLETE", template: str = make.WANTED) -> Stack:
    return make.stack(status, template, outputs=outputs(wanted))


def record(wanted: Desired, **fields: Any) -> Record:
    """The memory of a cluster that was made as specified."""
    given = {
        "rendering": make.rendering(names=NAMES, retained={}),
        "sizes": sizes(wanted),
        "environments": tuple(sorted(batch_of(wanted).environments)),
        "pins": Pins(serving=serving(wanted)),
    }
    return make.record(**{**given, **fields})


def gone(of: Scene) -> Scene:
    """The same cluster once its spec is gone."""
    return of.asking(present=False)


def shown(of: Plan, kind: str) -> list[Mapping[str, Any]]:
    """What a plan's status lists of a kind."""
    return list(of.record.status.get(kind, ()))


def told(of: Plan) -> list[str]:
    """The reasons of what a plan tells."""
    return [*(step.event.reason for step in of.steps), *(event.reason for event in of.events)]
