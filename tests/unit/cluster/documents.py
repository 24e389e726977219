"""Documents to test with: the least that parses, and changes of it."""

import copy
from typing import Any

VPC = "vpc-0123456789abcdef0"
SUBNET = "subnet-0123456789abcdef0"
OTHER_SUBNET = "subnet-0123456789abcdef1"
AMI = "ami-0123456789abcdef0"
GROUP = "sg-0123456789abcdef0"
VOLUME = "vol-0123456789abcdef0"
FILE_SYSTEM = "fs-0123456789abcdef0"

MINIMAL: dict[str, Any] = {
    "apiVersion": "muster/v1",
    "kind": "Cluster",
    "metadata": {"name": "first"},
    "spec": {
        "headNode": {"instanceType": "t3.small"},
        "queues": [{"name": "compute", "instanceTypes": ["c7i.large"], "size": 2}],
        "network": {"vpcId": VPC, "subnetIds": [SUBNET]},
    },
}

BATCH: dict[str, Any] = {
    "images": [{"name": "app", "uri": "public.ecr.aws/docker/library/busybox:1.36"}],
    "computeEnvironments": [{"name": "any"}],
    "queues": [{"name": "main", "computeEnvironments": ["any"]}],
    "jobDefinitions": [{"name": "run", "image": "app"}],
}


def merged(base: Any, change: Any) -> Any:
    """The base with a change: maps are joined, all else is replaced, None removes."""
    if not isinstance(base, dict) or not isinstance(change, dict):
        return copy.deepcopy(change)
    joined = {key: merged(base.get(key), value) for key, value in change.items() if value is not None}
    return {**{key: value for key, value in copy.deepcopy(base).items() if key not in change}, **joined}


def document(spec: Any = None, **parts: Any) -> dict[str, Any]:
    """The least document, changed in its spec or in other parts."""
    return merged(MINIMAL, {**({"spec": spec} if spec is not None else {}), **parts})


def queue(**fields: Any) -> dict[str, Any]:
    """Changes of the spec: its only queue with these fields besides name and types."""
    return {"queues": [{"name": "compute", "instanceTypes": ["c7i.large"], **fields}]}


def storage(*entries: dict[str, Any]) -> dict[str, Any]:
    """Changes of the spec: shared storage, named and mounted for what it does not say itself."""
    named = [{"name": f"s{n}", "mountDir": f"/shared/s{n}", **entry} for n, entry in enumerate(entries)]
    return {"sharedStorage": named}


def batch(**parts: Any) -> dict[str, Any]:
    """Changes of the spec: AWS Batch with these parts, or the least of each, and no nodes."""
    return {"scheduler": "awsbatch", "headNode": None, "queues": None, "batch": {**BATCH, **parts}}
