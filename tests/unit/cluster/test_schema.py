"""The published schema and the examples: in step with the models, and fit to be the reference."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from reconciler.cluster import Cluster, parse
from reconciler.cluster.schema import json_schema, text
from tests.unit.cluster.documents import AMI, BATCH, FILE_SYSTEM, VOLUME, batch, document, queue, storage

ROOT = Path(__file__).parents[3]
SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def test_published_schema_is_in_step() -> None:
    assert (ROOT / "schemas/cluster.v1.json").read_text() == text(), "make schemas brings it in step"


def test_schema_is_one_of_its_draft() -> None:
    Draft202012Validator.check_schema(SCHEMA)

    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["$id"]
    assert SCHEMA["title"]


def properties() -> dict[str, dict[str, Any]]:
    models = {"Cluster": SCHEMA, **SCHEMA["$defs"]}
    return {
        f"{model}.{name}": field for model, schema in models.items() for name, field in schema["properties"].items()
    }


@pytest.mark.parametrize("name", properties())
def test_every_field_is_described(name: str) -> None:
    description = properties()[name]["description"]

    assert len(description) > 10
    assert description.endswith(".")


def test_every_part_is_described_and_closed() -> None:
    for schema in [SCHEMA, *SCHEMA["$defs"].values()]:
        assert schema["description"].endswith(".")
        assert schema["additionalProperties"] is False


def parts(node: Any) -> list[dict[str, Any]]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [part for child in children for part in parts(child)] + ([node] if isinstance(node, dict) else [])


@pytest.mark.parametrize(
    ("kind", "bounds"),
    [
        ("array", {"maxItems"}),
        ("string", {"maxLength"}),
        ("integer", {"minimum", "maximum"}),
        ("number", {"minimum", "maximum"}),
    ],
)
def test_everything_is_bounded(kind: str, bounds: set[str]) -> None:
    unbounded = [
        part
        for part in parts(SCHEMA)
        if part.get("type") == kind and not {"enum", "const"} & part.keys() and not bounds <= part.keys()
    ]

    assert unbounded == []


def test_open_maps_are_bounded() -> None:
    assert [part for part in parts(SCHEMA) if "propertyNames" in part and "maxProperties" not in part] == []


def test_nothing_is_nullable() -> None:
    assert '"null"' not in text()
    assert "null" not in text()


def test_minimal_example_is_short() -> None:
    assert len((ROOT / "examples/minimal.yaml").read_text().splitlines()) <= 15


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_valid(path: Path) -> None:
    example = yaml.safe_load(path.read_text())
    cluster = parse(example)

    assert [error.message for error in VALIDATOR.iter_errors(example)] == []
    assert isinstance(cluster, Cluster), str(cluster)


def test_examples_show_every_kind_of_storage_and_of_capacity() -> None:
    clusters = [parse(yaml.safe_load(path.read_text())) for path in EXAMPLES]
    specs = [cluster.spec for cluster in clusters if isinstance(cluster, Cluster)]
    kinds = {kind for spec in specs for entry in spec.shared_storage for kind in entry.kinds}

    assert kinds == {"ebs", "raid", "efs", "fsxLustre"}
    assert {queue.capacity_type for spec in specs for queue in spec.queues} == {"onDemand", "spot"}
    assert any(queue.efa for spec in specs for queue in spec.queues)
    assert any(spec.proxy for spec in specs)


SLURM = {"scheduler": "slurm", "image": {"os": "ubuntu2404"}}
REFUSED_BY_SCHEMA = [
    document({"headNode": None}),
    document({"hedNode": {}}),
    document(queue(size="3")),
    document(queue(size=2, minSize=1)),
    document(queue(size=2, maxSize=2)),
    document(queue(spotMaxPrice=1)),
    document(queue(capacityType="onDemand", spotAllocationStrategy="lowest-price")),
    document(queue(size=5001)),
    document({"scheduler": "slurm"}),
    document({"scheduler": "slurm", "image": {"ami": AMI}}),
    document({"scheduler": "slurm", "image": {"os": "alinux2023"}}),
    document({**SLURM, "queues": [{"name": "default", "instanceTypes": ["c7i.large"]}]}),
    document({"idleTime": 10}),
    document(queue(allOrNothing=True)),
    document({"scheduler": "none", "fleet": "running"}),
    document({"queues": []}),
    document({"headNode": {"ami": AMI + "\u0000"}}),
    document({"network": {"subnetIds": ["subnet-01234567"] * 2}}),
    document({"tags": {"a\u0000": "b"}}),
    document({"tags": {"a": "${b}"}}),
    document({"logs": {"retentionDays": 2}}),
    document(storage({})),
    document(storage({"ebs": {}, "efs": {}})),
    document(storage({"ebs": {"volumeId": VOLUME, "size": 3}})),
    document(storage({"efs": {"fileSystemId": FILE_SYSTEM, "encrypted": True}})),
    document(storage({"fsxLustre": {}})),
    document(storage({"fsxLustre": {"fileSystemId": FILE_SYSTEM}})),
    document(storage({"fsxLustre": {"mountName": "abc", "storageCapacity": 1200}})),
    document(storage({"fsxLustre": {"fileSystemId": FILE_SYSTEM, "mountName": "abc", "storageType": "SSD"}})),
    document(storage({"fsxLustre": {"backupId": "backup-01234567", "storageCapacity": 1200}})),
    document(apiVersion="v2"),
    document({"queues": None}),
    document({"batch": BATCH}),
    document({"scheduler": "awsbatch"}),
    document({**batch(), "batch": None}),
    document({**batch(), **queue()}),
    document(batch(queues=[])),
]


@pytest.mark.parametrize("bad", REFUSED_BY_SCHEMA, ids=lambda bad: json.dumps(bad["spec"])[:120])
def test_schema_and_parse_refuse_alike(bad: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(bad)
    assert not isinstance(parse(bad), Cluster)


@pytest.mark.parametrize("more", [{}, {"headNode": {"instanceType": "t3.small"}}])
def test_schema_allows_batch_in_place_of_queues(more: dict[str, Any]) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(document({**batch(), **more}))] == []
