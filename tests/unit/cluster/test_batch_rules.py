"""Every rule for AWS Batch: what it refuses, what it lets pass, and that nothing else refuses it."""

from typing import Any, NamedTuple

import pytest

from reconciler.cluster import Cluster, Invalid, parse
from reconciler.cluster.rules import RULES, Rule, unsupported
from reconciler.cluster.rules import batch as rules
from tests.unit.cluster.documents import BATCH, MINIMAL, batch, document, storage

IMAGES = "spec.batch.images"
ENVIRONMENT = "spec.batch.computeEnvironments[0]"
QUEUE = "spec.batch.queues[0]"
JOB = "spec.batch.jobDefinitions[0]"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:licence-AbCdEf"


class Case(NamedTuple):
    rule: Rule
    spec: dict[str, Any]
    field: str
    words: str


def image(**fields: Any) -> dict[str, Any]:
    return batch(images=[{"name": "app", **fields}])


def environments(*entries: dict[str, Any]) -> dict[str, Any]:
    """These environments, and a queue of each that takes all kinds of jobs out of the way."""
    named = [{"name": f"e{n}", **entry} for n, entry in enumerate(entries)]
    queues = [{"name": f"q{n}", "computeEnvironments": [entry["name"]]} for n, entry in enumerate(named)]
    usual = {"name": "usual"}
    return batch(computeEnvironments=[*named, usual], queues=queues)


def queue(*entries: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """One queue of these environments."""
    named = [{"name": f"e{n}", **entry} for n, entry in enumerate(entries)]
    order = {"name": "main", "computeEnvironments": [entry["name"] for entry in named], **fields}
    return batch(computeEnvironments=[*named, {"name": "usual"}], queues=[order])


def shares(*names: str) -> dict[str, Any]:
    return queue({}, fairShare={"shares": [{"name": name} for name in names]})


def job(**fields: Any) -> dict[str, Any]:
    """One job definition, and environments of all kinds but arm64 on EC2."""
    kinds = [{"name": "any"}, {"name": "small", "type": "FARGATE"}]
    return batch(computeEnvironments=kinds, jobDefinitions=[{"name": "run", "image": "app", **fields}])


def fargate(**fields: Any) -> dict[str, Any]:
    return job(platform="FARGATE", **fields)


def with_efs(spec: dict[str, Any]) -> dict[str, Any]:
    return {**spec, **storage({"name": "data", "efs": {}}, {"name": "home", "efs": {}})}


def mounts(*entries: dict[str, Any]) -> dict[str, Any]:
    return with_efs(job(mounts=list(entries)))


TWO_NODES_ON_SPOT = batch(
    computeEnvironments=[{"name": "any", "type": "SPOT"}],
    jobDefinitions=[{"name": "run", "image": "app", "nodes": 2}],
)
BOTH_PROCESSORS = {
    "computeEnvironments": [{"name": "any"}, {"name": "arm", "architecture": "arm64"}],
    "jobDefinitions": [
        {"name": "run", "image": "app"},
        {"name": "run-arm", "image": "app", "architecture": "arm64"},
    ],
}
LONG = [f"arn:aws:ssm:eu-west-1:123456789012:parameter/{n}/{'a' * 900}" for n in range(9)]
SECRETS = {f"A{n}": arn for n, arn in enumerate(LONG)}

HEAD_NODE = {"instanceType": "t3.small"}
# What a cluster of Batch has for its head node alone.
OF_THE_HEAD_NODE: dict[str, dict[str, Any]] = {
    "image": {"image": {"os": "alinux2023"}},
    "scratch": {"scratch": {"mountDir": "/local"}},  # But for jobs that want it.
    "bootstrap": {"bootstrap": {}},
    "proxy": {"proxy": "http://h:80"},
    "network.sshFrom": {"network": {"sshFrom": ["10.0.0.0/8"]}},
}

REFUSED = [
    Case(rules.parts_of_the_scheduler, {**batch(), "batch": None}, "spec.batch", "required with scheduler awsbatch"),
    Case(rules.parts_of_the_scheduler, {"batch": BATCH}, "spec.batch", "only with scheduler awsbatch"),
    Case(rules.parts_of_the_scheduler, {"headNode": None}, "spec.headNode", "required unless scheduler is awsbatch"),
    Case(rules.parts_of_the_scheduler, {"queues": None}, "spec.queues", "at least 1 entries unless"),
    *(
        Case(rules.nothing_unused, {**batch(), **part}, f"spec.{field}", "has no use with scheduler awsbatch")
        for field, part in {
            "queues": {"queues": MINIMAL["spec"]["queues"]},
            "idleTime": {"idleTime": 5},
            "fleet": {"fleet": "running"},
            **OF_THE_HEAD_NODE,
        }.items()
    ),
    *(
        Case(
            rules.volumes_need_a_head_node,
            {**batch(), **storage({"efs": {}}, {kind: settings})},
            "spec.sharedStorage[1]",
            f"{kind}: needs a head node",
        )
        for kind, settings in {"ebs": {}, "raid": {"level": 0}}.items()
    ),
    *(
        Case(
            rules.fargate_mounts_efs,
            {**fargate(mounts=[{"storage": "s1"}]), "headNode": HEAD_NODE, **storage({"efs": {}}, {kind: settings})},
            f"{JOB}.mounts[0].storage",
            f'"s1", {kind}: only efs on platform FARGATE',
        )
        for kind, settings in {
            "ebs": {},
            "raid": {"level": 0},
            "fsxLustre": {"storageCapacity": 1200},
        }.items()
    ),
    *(
        Case(rules.batch_names_differ, batch(**{part: BATCH[part] * 2}), f"spec.batch.{part}[1].name", "has this name")
        for part in BATCH
    ),
    Case(rules.one_source, image(), f"{IMAGES}[0]", "exactly one of dockerfile, archive, uri"),
    Case(rules.one_source, image(uri="a/b", dockerfile="FROM a"), f"{IMAGES}[0]", "dockerfile and uri"),
    Case(rules.one_source, image(uri="a/b", archive="s3://abc/d"), f"{IMAGES}[0]", "archive and uri"),
    *(
        Case(
            rules.environment_fields_fit,
            environments({"type": kind, field: value}),
            f"{ENVIRONMENT}.{field}",
            f"this is {kind}",
        )
        for kind in ("FARGATE", "FARGATE_SPOT")
        for field, value in {
            "instanceTypes": ["c7i"],
            "minVcpus": 0,
            "desiredVcpus": 0,
            "allocationStrategy": "BEST_FIT",
            "bidPercentage": 50,
            "ami": "ami-01234567",
            "rootVolume": {},
        }.items()
    ),
    Case(
        rules.environment_fields_fit,
        environments({"bidPercentage": 50}),
        f"{ENVIRONMENT}.bidPercentage",
        "only for type SPOT, and this is EC2",
    ),
    Case(rules.vcpus_are_in_order, environments({"maxVcpus": 0}), f"{ENVIRONMENT}.maxVcpus", "must be 1 or more"),
    Case(
        rules.vcpus_are_in_order,
        environments({"minVcpus": 21}),
        f"{ENVIRONMENT}.maxVcpus",
        "must be 21 or more, which is minVcpus",
    ),
    *(
        Case(
            rules.vcpus_are_in_order,
            environments({"minVcpus": 4, "maxVcpus": 8, "desiredVcpus": desired}),
            f"{ENVIRONMENT}.desiredVcpus",
            "must be from 4 to 8, which are minVcpus and maxVcpus",
        )
        for desired in (3, 9)
    ),
    Case(
        rules.spot_strategies_need_spot,
        environments({"allocationStrategy": "SPOT_CAPACITY_OPTIMIZED"}),
        f"{ENVIRONMENT}.allocationStrategy",
        "only for type SPOT",
    ),
    Case(
        rules.types_have_the_architecture,
        environments({"instanceTypes": ["c7i", "c7g.large"]}),
        f"{ENVIRONMENT}.instanceTypes[1]",
        "must be of architecture x86_64, and it is arm64",
    ),
    Case(
        rules.types_have_the_architecture,
        environments({"instanceTypes": ["m7i"], "architecture": "arm64"}),
        f"{ENVIRONMENT}.instanceTypes[0]",
        "must be of architecture arm64",
    ),
    Case(
        rules.types_have_the_architecture,
        environments({"instanceTypes": ["default_arm64"]}),
        f"{ENVIRONMENT}.instanceTypes[0]",
        "and it is arm64",
    ),
    Case(rules.shares_are_apart, shares("a", "b", "a"), f"{QUEUE}.fairShare.shares[2].name", "overlaps with a"),
    Case(rules.shares_are_apart, shares("UserA*", "UserA1"), f"{QUEUE}.fairShare.shares[1].name", "with UserA*"),
    Case(rules.shares_are_apart, shares("UserA1", "UserA*"), f"{QUEUE}.fairShare.shares[1].name", "with UserA1"),
    Case(rules.shares_are_apart, shares("a*", "ab*"), f"{QUEUE}.fairShare.shares[1].name", "overlaps with a*"),
    Case(
        rules.queue_environments_fit,
        queue({}, computeEnvironments=["e0", "gone"]),
        f"{QUEUE}.computeEnvironments[1]",
        "no compute environment has this name",
    ),
    Case(
        rules.queue_environments_fit,
        queue({}, {"type": "FARGATE_SPOT"}),
        f"{QUEUE}.computeEnvironments",
        "all EC2 or all Fargate",
    ),
    Case(
        rules.queue_environments_fit,
        queue({}, {"architecture": "arm64"}),
        f"{QUEUE}.computeEnvironments",
        "all of one architecture",
    ),
    Case(rules.definition_refers_to_what_exists, job(image="gone"), f"{JOB}.image", "no image has this name"),
    Case(
        rules.definition_refers_to_what_exists,
        mounts({"storage": "data"}, {"storage": "gone"}),
        f"{JOB}.mounts[1].storage",
        "no shared storage has this name",
    ),
    Case(rules.definition_runs_somewhere, job(architecture="arm64"), f"{JOB}.platform", "no compute environment is"),
    Case(
        rules.definition_runs_somewhere,
        batch(jobDefinitions=[{"name": "run", "image": "app", "platform": "FARGATE"}]),
        f"{JOB}.platform",
        "no compute environment is of this kind",
    ),
    *(
        Case(rules.fargate_takes_what_it_has, fargate(**{field: value}), f"{JOB}.{field}", "only for platform EC2")
        for field, value in {"gpus": 1, "nodes": 2, "scratch": True, "sharedMemory": 64, "privileged": True}.items()
    ),
    Case(rules.fargate_takes_what_it_has, fargate(vcpus=3), f"{JOB}.vcpus", "Fargate has 0.25, 0.5, 1, 2, 4, 8, 16"),
    Case(rules.fargate_takes_what_it_has, fargate(vcpus=0.25, memory=3072), f"{JOB}.memory", "512, 1024, 2048 MiB"),
    Case(rules.fargate_takes_what_it_has, fargate(vcpus=8, memory=17408), f"{JOB}.memory", "with 8 vCPUs Fargate has"),
    Case(rules.fargate_takes_what_it_has, job(vcpus=1.5), f"{JOB}.vcpus", "whole vCPUs on EC2"),
    Case(rules.parallel_jobs_need_on_demand, TWO_NODES_ON_SPOT, f"{JOB}.nodes", "environment of type EC2 on x86_64"),
    Case(
        rules.mounts_are_apart,
        mounts({"storage": "data", "path": "/d"}, {"storage": "home", "path": "/d"}),
        f"{JOB}.mounts[1].path",
        "mounts[0] is there already",
    ),
    Case(
        rules.mounts_are_apart,
        mounts({"storage": "data"}, {"storage": "home", "path": "/shared/s0"}),
        f"{JOB}.mounts[1].path",
        "mounts[0] is there already",
    ),
    Case(
        rules.mounts_are_apart,
        {
            **with_efs(job(scratch=True, mounts=[{"storage": "data", "path": "/local"}])),
            "scratch": {"mountDir": "/local"},
        },
        f"{JOB}.mounts[0].path",
        "spec.scratch.mountDir is there already",
    ),
    Case(rules.arrays_have_jobs_of_one_node, job(arraySize=5, nodes=2), f"{JOB}.arraySize", "5: not with nodes"),
    Case(rules.arns_fit_a_role, job(secrets=SECRETS), "spec.batch.jobDefinitions", "ARNs of secrets must have at most"),
    Case(
        rules.arns_fit_a_role,
        batch(
            images=[*BATCH["images"], *({"name": f"i{n}", "archive": f"s3://abc/{'a' * 790}{n}"} for n in range(10))]
        ),
        "spec.batch.images",
        "addresses of archives must have at most",
    ),
    Case(
        rules.retries_need_attempts,
        job(retries=[{"onReason": "a*", "action": "EXIT"}]),
        f"{JOB}.retries",
        "needs attempts of 2 or more",
    ),
    Case(
        rules.retries_need_attempts,
        job(attempts=2, retries=[{"action": "EXIT"}]),
        f"{JOB}.retries[0]",
        "one of onExitCode, onReason, onStatusReason",
    ),
    Case(
        rules.environment_variables_differ,
        job(environment={"KEY": "a"}, secrets={"KEY": SECRET}),
        f"{JOB}.secrets.KEY",
        "environment has this name too",
    ),
    Case(
        rules.environment_variables_differ,
        job(environment={"AWS_BATCH_X": "a"}),
        f"{JOB}.environment.AWS_BATCH_X",
        "are reserved",
    ),
    Case(
        rules.environment_variables_differ,
        job(secrets={"MUSTER_X": SECRET}),
        f"{JOB}.secrets.MUSTER_X",
        "are reserved",
    ),
    Case(
        rules.an_image_has_one_architecture,
        {**image(dockerfile="FROM a"), "batch": {**BATCH, **image(dockerfile="FROM a")["batch"], **BOTH_PROCESSORS}},
        "spec.batch.jobDefinitions[1].architecture",
        "image app is built for x86_64",
    ),
]

ACCEPTED: list[dict[str, Any]] = [
    batch(),
    {**batch(), "network": {"sshFrom": [], "publicIps": True}, "s3Access": [], "tags": {"a": "b"}},
    {**batch(), **storage({"efs": {}}, {"efs": {"fileSystemId": "fs-01234567"}})},
    image(dockerfile="FROM a\n"),
    image(archive="s3://abc/d.zip"),
    environments(
        {"minVcpus": 20, "maxVcpus": 20, "allocationStrategy": "BEST_FIT", "ami": "ami-01234567"},
        {"type": "SPOT", "bidPercentage": 100, "allocationStrategy": "SPOT_CAPACITY_OPTIMIZED"},
        {"type": "SPOT", "allocationStrategy": "BEST_FIT_PROGRESSIVE", "rootVolume": {"size": 100}},
        {"minVcpus": 4, "maxVcpus": 8, "desiredVcpus": 4},
        {"type": "SPOT", "maxVcpus": 8, "desiredVcpus": 8},
        {"type": "FARGATE", "maxVcpus": 1},
        {"type": "FARGATE_SPOT", "subnetIds": ["subnet-01234567"]},
        {"architecture": "arm64"},
        {"architecture": "arm64", "instanceTypes": ["optimal", "default_arm64", "c7g", "m8g.large"]},
        {"instanceTypes": ["optimal", "default_x86_64", "c7i", "m7a.large"]},
    ),
    queue({}, {"type": "SPOT"}),
    queue({"type": "FARGATE"}, {"type": "FARGATE_SPOT"}),
    shares("a", "b*", "ab", "c1", "c2*"),
    job(gpus=1, nodes=2, sharedMemory=64, privileged=True, vcpus=3, memory=17),
    fargate(vcpus=0.25, memory=512),
    fargate(vcpus=16, memory=122880),
    mounts({"storage": "data"}, {"storage": "data", "path": "/again"}, {"storage": "home", "readOnly": True}),
    job(attempts=2, retries=[{"onExitCode": "*", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}]),
    job(environment={"AWS_REGION": "a", "KEY": "b"}, secrets={"LICENCE": SECRET}),
    job(secrets=dict.fromkeys(SECRETS, SECRET)),
    # An image that exists may be of both processors.
    batch(**BOTH_PROCESSORS),
]


def errors_of(spec: dict[str, Any]) -> dict[str, str]:
    result = parse(document(spec))
    return {error.field: str(error) for error in result.errors} if isinstance(result, Invalid) else {}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case.rule.__name__}: {case.field}: {case.words}")
def test_rule_refuses(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    found = errors_of(case.spec)
    assert found.keys() == {case.field}
    assert case.words in found[case.field]

    # What is not supported yet, whatever the scheduler, has its own tests.
    others = tuple(rule for rule in RULES if rule not in (case.rule, *unsupported.RULES))
    monkeypatch.setattr("reconciler.cluster.parsing.RULES", others)

    assert errors_of(case.spec) == {}


@pytest.mark.parametrize("spec", ACCEPTED, ids=lambda spec: str(spec)[:100])
def test_rules_let_pass(spec: dict[str, Any]) -> None:
    result = parse(document(spec))

    assert isinstance(result, Cluster), str(result)


def test_every_rule_has_a_case() -> None:
    assert {case.rule for case in REFUSED} == set(rules.RULES)


def test_a_retry_by_exit_code_names_digits() -> None:
    found = errors_of(job(attempts=2, retries=[{"onExitCode": "x", "action": "EXIT"}]))

    assert "digits" in found[f"{JOB}.retries[0].onExitCode"]
