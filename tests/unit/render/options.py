"""Every optional feature of a spec, and specs in which each two of them meet in all four ways, on and off."""

from typing import Any

from tests.unit.render.support import AMI, EBS, EFS, LUSTRE, MPI, NETWORK, QUEUE, RAID, SCRIPTS, SLURM, SPOT, subnet

Json = dict[str, Any]

OPTIONS: dict[str, Json] = {
    "head key": {"headNode": {"keyName": "ops"}},
    "head address": {"headNode": {"elasticIp": True}},
    "head subnet": {"headNode": {"subnetId": subnet(2)}},
    "head disk": {"headNode": {"rootVolume": {"iops": 4000, "throughput": 250, "kmsKeyId": "alias/root"}}},
    "ssh": {"network": {"sshFrom": ["203.0.113.0/24", "198.51.100.7/32"]}},
    "public": {"network": {"publicIps": True}},
    "more groups": {"network": {"additionalSecurityGroupIds": ["sg-0fedcba9876543210"]}},
    "image": {"image": {"ami": AMI}},
    "ubuntu": {"image": {"os": "ubuntu2204"}},
    "spot": {"queues": [SPOT]},
    "mpi": {"queues": [{**MPI, "instanceTypes": ["hpc6a.48xlarge"]}]},
    "named placement": {"queues": [{**QUEUE, "name": "named", "placementGroup": "pg", "subnetIds": [subnet(2)]}]},
    "volumes": {"sharedStorage": EBS},
    "raid": {"sharedStorage": RAID},
    "efs": {"sharedStorage": EFS},
    "lustre": {"sharedStorage": LUSTRE},
    "scratch": {"scratch": {"mountDir": "/local"}},
    "proxy": {"proxy": "http://proxy.example.com:3128"},
    "scripts": {"bootstrap": SCRIPTS},
    "read": {"s3Access": [{"resource": "arn:aws:s3:::data/in/*", "access": "read"}]},
    "write": {"s3Access": [{"resource": "arn:aws:s3:::results", "access": "readWrite"}]},
    "policies": {"iam": {"additionalPolicies": ["arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"]}},
    "boundary": {"iam": {"permissionsBoundary": "arn:aws:iam::123456789012:policy/boundary"}},
    "tags": {"tags": {"CostCenter": "physics 42", "team": "weather"}},
    "logs": {"logs": {"retentionDays": 90}},
    # After the other systems: Slurm takes one alone.
    "slurm": {**SLURM, "idleTime": 10, "fleet": "stopped"},
}
# Not for a cluster that makes its own security groups.
GIVEN_GROUPS: Json = {"network": {"securityGroupIds": ["sg-0123456789abcdef0"]}}
ONLY_WITH_OWN_GROUPS = {"ssh"}


def merged(one: Json, other: Json) -> Json:
    """Maps are joined field by field, lists end to end; of two other values the second stands."""
    both = dict(one)
    for key, value in other.items():
        known = both.get(key)
        if isinstance(known, dict):
            both[key] = merged(known, value)
        else:
            both[key] = [*known, *value] if isinstance(known, list) else value
    return both


def spec(names: frozenset[str], *more: Json) -> Json:
    made: Json = {"headNode": {"instanceType": "t3.medium"}, "queues": [QUEUE], "network": NETWORK}
    for part in (*(OPTIONS[name] for name in OPTIONS if name in names), *more):
        made = merged(made, part)
    return made


def rows() -> dict[str, frozenset[str]]:
    """Sets of options. Any two differ in a bit of their places, so one row has the first alone, one the second."""
    places = dict(enumerate(OPTIONS))
    found = {"all": frozenset(OPTIONS), "none": frozenset[str]()}
    for bit in range((len(places) - 1).bit_length()):
        found[f"bit {bit}"] = frozenset(name for place, name in places.items() if place >> bit & 1)
        found[f"not bit {bit}"] = found["all"] - found[f"bit {bit}"]
    return found


PAIRWISE: dict[str, Json] = {name: spec(names) for name, names in rows().items()} | {
    f"given groups, {name}": spec(names - ONLY_WITH_OWN_GROUPS, GIVEN_GROUPS)
    for name, names in rows().items()
    if name in ("all", "none")
}
