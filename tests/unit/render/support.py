"""Clusters to render, and ways to look at what came out."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.cluster import Cluster, Invalid, parse
from reconciler.render import Pins, Rendered, Site, render, required_images, required_zones
from reconciler.slurm import required_shapes

# What a slurm node fetches and runs, as far as a faked one does.
AGENT = b"what nodes run"
SITE = Site(
    owner="muster",
    region="us-east-1",
    partition="aws",
    account="123456789012",
    artifacts_bucket="artifacts",
    cleanup_function_arn="arn:aws:lambda:us-east-1:123456789012:function:cleanup",
    state_table="state",
    state_table_arn="arn:aws:dynamodb:us-east-1:123456789012:table/state",
    agent=hashlib.sha256(AGENT).hexdigest(),
)
AMI = "ami-0123456789abcdef0"
VOLUME = "vol-0123456789abcdef0"
SYSTEM = "fs-0123456789abcdef0"
ADDRESS = "255.255.255.255"
QUEUE_URL = f"https://sqs.ap-northeast-99.amazonaws.com.cn/123456789012/{'q' * 80}"
SHAPE = (8, 4, 16384, 0)


def subnet(number: int) -> str:
    return f"subnet-{number:017x}"


QUEUE = {"name": "compute", "instanceTypes": ["c6i.large"]}
NETWORK = {"vpcId": "vpc-0123456789abcdef0", "subnetIds": [subnet(1), subnet(2), subnet(3)]}
# Subnets 1 and 3 are in one zone.
ZONES = {1: "us-east-1a", 2: "us-east-1b", 3: "us-east-1a"}


def document(name: str = "demo", **spec: Any) -> dict[str, Any]:
    base = {"headNode": {"instanceType": "t3.medium"}, "queues": [QUEUE], "network": NETWORK}
    return {
        "apiVersion": "muster/v1",
        "kind": "Cluster",
        "metadata": {"name": name},
        "spec": {**base, **spec},
    }


def cluster(name: str = "demo", **spec: Any) -> Cluster:
    parsed = parse(document(name, **spec))
    assert not isinstance(parsed, Invalid), str(parsed)
    return parsed


def pins(of: Cluster) -> Pins:
    zones = {name: ZONES.get(int(name[-2:], 16), "us-east-1c") for name in required_zones(of)}
    images, shapes = dict.fromkeys(required_images(of), AMI), dict.fromkeys(required_shapes(of), SHAPE)
    return Pins(images=images, zones=zones, shapes=shapes)


def rendered(of: Cluster) -> Rendered:
    return render(of, SITE, pins(of))


def resources(name: str = "demo", **spec: Any) -> dict[str, Any]:
    return json.loads(rendered(cluster(name, **spec)).body)["Resources"]


def outputs(name: str = "demo", **spec: Any) -> dict[str, Any]:
    return json.loads(rendered(cluster(name, **spec)).body)["Outputs"]


def of_type(kind: str, among: Mapping[str, Any]) -> dict[str, Any]:
    return {logical: resource for logical, resource in among.items() if resource["Type"] == kind}


def storage(name: str, number: int = 0, **settings: Any) -> dict[str, Any]:
    return {"name": name, "mountDir": f"/shared{number or ''}/{name}", **settings}


# References as AWS fills them in, at their longest: instance and volume ids, addresses.
FILLINGS = {"Volume": VOLUME, "FileSystem": SYSTEM, "HeadNode": ADDRESS, "Queue": QUEUE_URL}


def filled(piece: str | dict[str, Any]) -> str:
    """A piece of user data as CloudFormation would fill it in."""
    match piece:
        case str():
            return piece
        case {"Fn::GetAtt": [_, "LustreMountName"]}:
            return "abcdefgh"
        case {"Ref": str(logical)} | {"Fn::GetAtt": [str(logical), _]}:
            return next(value for prefix, value in FILLINGS.items() if logical.startswith(prefix))
    raise AssertionError(piece)


def user_data(encoded: Any) -> str:
    return "".join(filled(piece) for piece in encoded["Fn::Base64"]["Fn::Join"][1])


def all_user_data(among: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The user data of each kind of node, by logical id."""
    for logical, resource in among.items():
        if resource["Type"] == "AWS::EC2::Instance":
            yield logical, user_data(resource["Properties"]["UserData"])
        if resource["Type"] == "AWS::EC2::LaunchTemplate" and logical != "HeadDisks":
            yield logical, user_data(resource["Properties"]["LaunchTemplateData"]["UserData"])


def statements(role: Mapping[str, Any]) -> list[dict[str, Any]]:
    return role["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]


EBS = [
    storage("empty", ebs={}),
    storage("cold", ebs={"type": "st1"}, deletionPolicy="Delete"),
    storage("fast", ebs={"type": "io2", "size": 100, "iops": 5000, "kmsKeyId": "alias/data"}),
    storage("copy", ebs={"snapshotId": "snap-0123456789abcdef0"}, deletionPolicy="Snapshot"),
    storage("there", ebs={"volumeId": "vol-0fedcba9876543210"}),
]
RAID = [
    storage("stripe", raid={"level": 0, "volumes": 3, "throughput": 500}, deletionPolicy="Snapshot"),
    storage("mirror", raid={"level": 1}),
]
EFS = [
    storage("efs", efs={}),
    storage("quick", efs={"throughputMode": "provisioned", "provisionedThroughput": 64.0, "encrypted": False}),
    storage("shared", efs={"fileSystemId": "fs-0fedcba9876543210"}),
]
LUSTRE = [
    storage("scratch2", fsxLustre={"storageCapacity": 1200}, deletionPolicy="Delete"),
    storage(
        "lasting",
        fsxLustre={
            "storageCapacity": 6000,
            "deploymentType": "PERSISTENT_1",
            "storageType": "HDD",
            "driveCacheType": "READ",
            "perUnitStorageThroughput": 12,
            "automaticBackupRetentionDays": 7,
            "dailyAutomaticBackupStartTime": "03:00",
            "weeklyMaintenanceStartTime": "7:05:00",
            "copyTagsToBackups": True,
            "dataCompressionType": "LZ4",
        },
    ),
    storage(
        "linked",
        fsxLustre={
            "storageCapacity": 2400,
            "importPath": "s3://data/in",
            "exportPath": "s3://data/out",
            "importedFileChunkSize": 1024,
            "autoImportPolicy": "NEW_CHANGED",
        },
    ),
    storage("backup", fsxLustre={"backupId": "backup-0123456789abcdef0"}),
    storage("given", fsxLustre={"fileSystemId": "fs-0aaaaaaaaaaaaaaaa", "mountName": "fsx"}),
]
SCRIPTS = {
    "preInstall": {"url": "s3://scripts/pre.sh", "args": ["--fast", "two words"]},
    "postInstall": {"url": "https://example.com/post.sh?version=2&force=1", "args": ["é"]},
}
SPOT = {
    "name": "spot",
    "instanceTypes": ["c6i.large", "c5.large", "m5.large"],
    "capacityType": "spot",
    "spotMaxPrice": 0.05,
    "minSize": 1,
    "maxSize": 8,
    "disableHyperthreading": True,
}
MPI = {
    "name": "mpi",
    "instanceTypes": ["hpc7g.16xlarge"],
    "efa": True,
    "placementGroup": "dynamic",
    "subnetIds": [subnet(1)],
    "size": 16,
    "rootVolume": {"size": 100, "type": "io1", "iops": 2000},
}

SLURM = {"scheduler": "slurm", "image": {"os": "ubuntu2404"}}

# Together they meet every option; each holds what fits together.
MATRIX: dict[str, dict[str, Any]] = {
    "least": {},
    "queues": {
        "queues": [QUEUE, SPOT, MPI, {**QUEUE, "name": "named", "placementGroup": "pg", "subnetIds": [subnet(2)]}],
        "image": {"os": "ubuntu2404"},
        "headNode": {
            "instanceType": "m7g.large",
            "keyName": "ops",
            "elasticIp": True,
            "subnetId": subnet(2),
            "rootVolume": {"iops": 4000, "throughput": 250, "kmsKeyId": "alias/root"},
        },
    },
    "volumes": {"sharedStorage": EBS + RAID, "bootstrap": SCRIPTS, "image": {"os": "ubuntu2204"}},
    "file-systems": {
        "sharedStorage": EFS + LUSTRE,
        "network": {**NETWORK, "sshFrom": ["203.0.113.0/24", "198.51.100.7/32"], "publicIps": True},
        "scratch": {"mountDir": "/local"},
        "proxy": "http://proxy.example.com:3128",
    },
    "given-groups": {
        "network": {
            **NETWORK,
            "securityGroupIds": ["sg-0123456789abcdef0"],
            "additionalSecurityGroupIds": ["sg-0fedcba9876543210"],
        },
        "sharedStorage": [EFS[0], LUSTRE[0], EBS[0]],
        "image": {"os": "alinux2023", "ami": AMI},
        "s3Access": [
            {"resource": "arn:aws:s3:::data/in/*", "access": "read"},
            {"resource": "arn:aws:s3:::results", "access": "readWrite"},
        ],
        "iam": {
            "additionalPolicies": ["arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"],
            "permissionsBoundary": "arn:aws:iam::123456789012:policy/boundary",
        },
        "tags": {"CostCenter": "physics 42", "team": "weather"},
        "logs": {"retentionDays": 90},
    },
    "slurm": {**SLURM, "queues": [QUEUE, SPOT, MPI], "idleTime": 10, "fleet": "stopped"},
}
