"""Clusters of AWS Batch to render."""

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.cluster import Cluster
from reconciler.cluster.rules import RULES
from tests.unit.render.support import EBS, EFS, LUSTRE, NETWORK, RAID, of_type, rendered, subnet

Json = dict[str, Any]
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:licence-AbCdEf"
PARAMETER = "arn:aws:ssm:us-east-1:123456789012:parameter/app/key"
DOCKERFILE = {"name": "app", "dockerfile": "FROM public.ecr.aws/amazonlinux/amazonlinux:2023\n"}
LEAST: Json = {
    "images": [DOCKERFILE],
    "computeEnvironments": [{"name": "any"}],
    "queues": [{"name": "main", "computeEnvironments": ["any"]}],
    "jobDefinitions": [{"name": "run", "image": "app"}],
}


def document(name: str = "demo", batch: Json | None = None, **spec: Any) -> Json:
    """The least cluster of Batch, with these parts of it instead."""
    parts = {"scheduler": "awsbatch", "network": NETWORK, "batch": {**LEAST, **(batch or {})}}
    return {
        "apiVersion": "muster/v1",
        "kind": "Cluster",
        "metadata": {"name": name},
        "spec": {**parts, **spec},
    }


def cluster(name: str = "demo", batch: Json | None = None, **spec: Any) -> Cluster:
    parsed = Cluster.model_validate(document(name, batch, **spec))
    found = [str(error) for rule in RULES for error in rule(parsed)]
    assert found == []
    return parsed


def body(name: str = "demo", batch: Json | None = None, **spec: Any) -> str:
    return rendered(cluster(name, batch, **spec)).body


def resources(name: str = "demo", batch: Json | None = None, **spec: Any) -> Json:
    return json.loads(body(name, batch, **spec))["Resources"]


def environment(batch_environment: Json | None = None, **spec: Any) -> tuple[str, Json]:
    """Logical id and properties of the one compute environment of a cluster."""
    one = {"computeEnvironments": [{"name": "any", **(batch_environment or {})}]}
    kind = one["computeEnvironments"][0].get("type", "EC2")
    processor = one["computeEnvironments"][0].get("architecture", "x86_64")
    platform = "FARGATE" if kind.startswith("FARGATE") else "EC2"
    job = {"name": "run", "image": "app", "platform": platform, "architecture": processor}
    found = of_type("AWS::Batch::ComputeEnvironment", resources(batch={**one, "jobDefinitions": [job]}, **spec))
    ((logical, made),) = found.items()
    return logical, made["Properties"]


def definition(job: Json | None = None, **spec: Any) -> Json:
    """Properties of the one job definition of a cluster."""
    kinds = [{"name": "any"}, {"name": "small", "type": "FARGATE"}, {"name": "arm", "architecture": "arm64"}]
    batch = {"computeEnvironments": kinds, "jobDefinitions": [{"name": "run", "image": "app", **(job or {})}]}
    return resources(batch=batch, **spec)["JobDefinitionRun"]["Properties"]


def pairwise(options: Mapping[str, list[Any]]) -> Iterator[Json]:
    """Rows such that any two values of two options meet in one of them."""
    values = {name: [(name, place) for place in range(len(found))] for name, found in options.items()}
    left = {
        frozenset(pair)
        for one, other in itertools.combinations(values, 2)
        for pair in itertools.product(values[one], values[other])
    }
    while left:
        row = sorted(min(left, key=sorted))
        for name in sorted(values.keys() - {name for name, _ in row}):
            row.append(max(values[name], key=lambda value: sum(frozenset({value, each}) in left for each in row)))
        left -= {frozenset(pair) for pair in itertools.combinations(row, 2)}
        yield {name: options[name][place] for name, place in row}


def present(row: Json) -> Json:
    return {name: value for name, value in row.items() if value is not None}


ENVIRONMENTS: dict[str, list[Any]] = {
    "type": ["EC2", "SPOT", "FARGATE", "FARGATE_SPOT"],
    "architecture": ["x86_64", "arm64"],
    "allocationStrategy": [None, "BEST_FIT", "BEST_FIT_PROGRESSIVE", "SPOT_CAPACITY_OPTIMIZED"],
    "bidPercentage": [None, 60],
    "ami": [None, "ami-0123456789abcdef0"],
    "subnetIds": [None, [subnet(2)]],
    "minVcpus": [None, 4],
    "desiredVcpus": [None, 4],
    "rootVolume": [None, {"size": 100, "type": "gp3", "iops": 4000, "throughput": 250, "kmsKeyId": "alias/mine"}],
}
OF_EC2 = ("allocationStrategy", "bidPercentage", "ami", "minVcpus", "desiredVcpus", "rootVolume")
JOBS: dict[str, list[Any]] = {
    "platform": ["EC2", "FARGATE"],
    "architecture": ["x86_64", "arm64"],
    "image": ["dockerfile", "archive", "uri"],
    "nodes": [None, 4],
    "gpus": [None, 2],
    "command": [None, ["sh", "-c", "true $HOME"]],
    "attempts": [None, 3],
    "timeout": [None, 600],
    "environment": [None, {"A": "b c"}],
    "secrets": [None, {"KEY": f"{SECRET}:key::", "OTHER": PARAMETER}],
    "mounts": [None, [{"storage": "efs"}, {"storage": "shared", "path": "/mnt", "readOnly": True}]],
    "scratch": [None, True],
    "arraySize": [None, 100],
    "sharedMemory": [None, 64],
    "privileged": [None, True],
}
RETRIES = [
    {"onStatusReason": "Host EC2*", "action": "RETRY"},
    {"onReason": "Cannot*", "onExitCode": "1*", "action": "EXIT"},
]


def _environment(row: Json) -> Json:
    """What fits of a row of options."""
    left = {name: value for name, value in row.items() if not (row["type"].startswith("FARGATE") and name in OF_EC2)}
    if row["type"] == "EC2":
        left["bidPercentage"] = None
        left["allocationStrategy"] = (row["allocationStrategy"] or "").removeprefix("SPOT_CAPACITY_OPTIMIZED") or None
    return present(left)


def _job(row: Json) -> Json:
    fargate = row["platform"] == "FARGATE"
    left = {
        name: value
        for name, value in row.items()
        if not (fargate and name in ("nodes", "gpus", "scratch", "sharedMemory", "privileged"))
    }
    if left["nodes" if not fargate else "arraySize"]:
        left["arraySize"] = None
    left["image"] = f"{row['image']}-{'arm' if row['architecture'] == 'arm64' else 'x86'}"
    left["retries"] = RETRIES if row["attempts"] else None
    return present(left)


def everything() -> Json:
    """Parts of Batch in which any two options meet that can."""
    environments = [{"name": f"e{n}", **_environment(row)} for n, row in enumerate(pairwise(ENVIRONMENTS))]
    environments.append({"name": "plain-arm", "architecture": "arm64"})
    shares = [None, {}, {"decaySeconds": 0, "computeReservation": 10, "shares": [{"name": "a*", "weight": 0.5}]}]
    images = [
        {"name": f"{kind}-{processor}", kind: source}
        for kind, source in {"dockerfile": "FROM a", "archive": "s3://sources/a.zip", "uri": "busybox"}.items()
        for processor in ("x86", "arm")
    ]
    return {
        "images": images,
        "computeEnvironments": environments,
        "queues": [
            present({"name": f"q{n}", "computeEnvironments": [each["name"]], "fairShare": shares[n % 3]})
            for n, each in enumerate(environments)
        ],
        "jobDefinitions": [{"name": f"j{n}", **_job(row)} for n, row in enumerate(pairwise(JOBS))],
    }


STORAGE = [EFS[0], EFS[2]]
# A volume, an array, both kinds of file systems; and jobs that mount one of each.
ALL_KINDS = [EBS[0], RAID[0], EFS[0], LUSTRE[0]]
MOUNTS = [{"storage": each["name"]} for each in ALL_KINDS]
HEAD_NODE = {"instanceType": "m7i.large"}
MATRIX: dict[str, Json] = {
    "least": {},
    "everything": {"batch": everything(), "sharedStorage": STORAGE},
    "given-groups": {
        "batch": {**LEAST, "computeEnvironments": [{"name": "any", "type": "SPOT", "allocationStrategy": "BEST_FIT"}]},
        "network": {**NETWORK, "securityGroupIds": ["sg-0123456789abcdef0"], "publicIps": True},
        "sharedStorage": EFS,
        "s3Access": [
            {"resource": "arn:aws:s3:::data/in/*", "access": "read"},
            {"resource": "arn:aws:s3:::results", "access": "readWrite"},
        ],
        "iam": {
            "additionalPolicies": ["arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess"],
            "permissionsBoundary": "arn:aws:iam::123456789012:policy/boundary",
        },
        "tags": {"CostCenter": "physics 42", "team": "weather"},
        "logs": {"retentionDays": 90},
    },
    "head-node": {
        "batch": {
            "computeEnvironments": [{"name": "any"}, {"name": "small", "type": "FARGATE"}],
            "jobDefinitions": [
                {"name": "run", "image": "app", "mounts": MOUNTS},
                {"name": "report", "image": "app", "platform": "FARGATE", "mounts": [MOUNTS[2]]},
            ],
        },
        "headNode": {**HEAD_NODE, "keyName": "ops", "elasticIp": True},
        "network": {**NETWORK, "sshFrom": ["10.0.0.0/8"]},
        "sharedStorage": ALL_KINDS,
        "bootstrap": {"preInstall": {"url": "s3://scripts/pre.sh", "args": ["a b"]}},
        "proxy": "http://proxy.internal:3128",
        "image": {"os": "ubuntu2404"},
    },
    "head-node-with-given-groups": {
        "headNode": HEAD_NODE,
        "network": {**NETWORK, "securityGroupIds": ["sg-0123456789abcdef0"]},
        "sharedStorage": ALL_KINDS,
    },
    "lustre-without-head-node": {
        "batch": {"jobDefinitions": [{"name": "run", "image": "app", "mounts": [MOUNTS[3]]}]},
        "sharedStorage": [LUSTRE[0]],
    },
    "fargate-alone": {
        "batch": {
            "computeEnvironments": [{"name": "any", "type": "FARGATE"}],
            "jobDefinitions": [{"name": "run", "image": "app", "platform": "FARGATE"}],
        }
    },
}
