"""A cluster as an item of the specs table, as DynamoDB's API and as its libraries write it."""

from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import Binary, TypeDeserializer

from reconciler.cluster import Cluster, Invalid, from_item, parse, spec_hash, to_item
from tests.unit.cluster.documents import MINIMAL, SUBNET, VPC, document, queue

ITEM: dict[str, Any] = {
    "name": {"S": "first"},
    "labels": {"M": {"team": {"S": "physics"}}},
    "annotations": {"M": {"note": {"S": "line\nline"}}},
    "spec": {
        "M": {
            "headNode": {"M": {"instanceType": {"S": "t3.small"}, "elasticIp": {"BOOL": True}}},
            "queues": {
                "L": [
                    {
                        "M": {
                            "name": {"S": "compute"},
                            "instanceTypes": {"SS": ["c7i.xlarge", "c6i.large"]},
                            "capacityType": {"S": "spot"},
                            "spotMaxPrice": {"N": "0.25"},
                            "size": {"N": "3"},
                        }
                    }
                ]
            },
            "network": {"M": {"vpcId": {"S": VPC}, "subnetIds": {"L": [{"S": SUBNET}]}}},
        }
    },
}


def deserialised(item: dict[str, Any]) -> dict[str, Any]:
    return {key: TypeDeserializer().deserialize(value) for key, value in item.items()}


@pytest.mark.parametrize("clothes", [lambda item: item, deserialised], ids=["of the API", "deserialised"])
def test_item_is_a_cluster(clothes: Any) -> None:
    cluster = parse(from_item(clothes(ITEM)))

    assert isinstance(cluster, Cluster), str(cluster)
    assert cluster.metadata.name == "first"
    assert cluster.metadata.labels == {"team": "physics"}
    assert cluster.metadata.annotations == {"note": "line\nline"}
    assert cluster.spec.head_node.elastic_ip is True
    assert cluster.spec.queues[0].instance_types == ("c6i.large", "c7i.xlarge")
    assert cluster.spec.queues[0].spot_max_price == 0.25
    assert cluster.spec.queues[0].size == 3


def test_item_and_file_are_the_same_cluster() -> None:
    wanted = {"capacityType": "spot", "spotMaxPrice": 0.25, "size": 3, "instanceTypes": ["c6i.large", "c7i.xlarge"]}
    file = parse(document({"headNode": {"elasticIp": True}, **queue(**wanted)}))
    item = parse(from_item(ITEM))

    assert isinstance(file, Cluster)
    assert isinstance(item, Cluster)
    assert spec_hash(file) == spec_hash(item)


def item_with(**attributes: Any) -> dict[str, Any]:
    return {**ITEM, **attributes}


def spec_with(**fields: Any) -> dict[str, Any]:
    return item_with(spec={"M": {**ITEM["spec"]["M"], **fields}})


LOCATED = [
    (spec_with(idleTime={"S": "3"}), "spec.idleTime", '"3"'),
    (spec_with(paused={"S": "true"}), "spec.paused", '"true"'),
    (spec_with(proxy={"B": b"x"}), "spec.proxy", "a value of type bytes"),
    (spec_with(proxy={"B": "aGVsbG8="}), "spec.proxy", "a value of type bytes"),
    (spec_with(consent={"BS": [b"x"]}), "spec.consent[0]", "a value of type bytes"),
    (spec_with(consent={"NS": ["3"]}), "spec.consent[0]", "3"),
    (spec_with(proxy={"NULL": True}), "spec.proxy", "null"),
    (spec_with(proxy={"N": "text"}), "spec.proxy", '"text"'),
    (spec_with(proxy={"L": "text"}), "spec.proxy", "a map of 1"),
    (item_with(spec={"S": "{}"}), "spec", '"{}"'),
    (item_with(spec={"L": []}), "spec", "a list of 0"),
    ({"name": {"S": "first"}}, "spec", "(missing)"),
    ({}, "metadata.name", "(missing)"),
    ({"name": "first", "spec": 3}, "spec", "3"),
    (item_with(name={"N": "3"}), "metadata.name", "3"),
    (item_with(note={"S": "x"}), "note", "(not shown)"),
    (item_with(metadata={"M": {}}), "metadata.metadata", "a map of 0"),
    (item_with(apiVersion={"S": "v2"}), "apiVersion", '"v2"'),
    (item_with(kind={"S": "Pod"}), "kind", '"Pod"'),
    (item_with(labels={"SS": ["a"]}), "metadata.labels", "a list of 1"),
]


@pytest.mark.parametrize(("item", "field", "value"), LOCATED, ids=[f"{case[1]}={case[2]}" for case in LOCATED])
def test_bad_item_is_located(item: dict[str, Any], field: str, value: str) -> None:
    result = parse(from_item(item))

    assert isinstance(result, Invalid)
    assert (field, value) in [(error.field, error.value) for error in result.errors]


def test_binary_of_boto3_is_located() -> None:
    plain = deserialised(ITEM)
    plain["spec"]["proxy"] = Binary(b"x")

    result = parse(from_item(plain))

    assert isinstance(result, Invalid)
    assert [(error.field, error.value) for error in result.errors] == [("spec.proxy", "a value of type Binary")]


def test_item_nested_without_end_is_refused() -> None:
    tree: dict[str, Any] = {}
    tree["M"] = {"spec": tree}

    result = parse(from_item({"name": {"S": "first"}, "spec": tree}))

    assert isinstance(result, Invalid)
    assert "nested deeper" in result.errors[0].rule


def test_api_version_and_kind_may_be_in_the_item() -> None:
    item = item_with(apiVersion={"S": "muster/v1"}, kind={"S": "Cluster"})

    assert parse(from_item(item)) == parse(from_item(ITEM))


def test_document_to_item() -> None:
    item = to_item(document(queue(size=2, efa=False), metadata={"labels": {"team": "physics"}}))

    assert item["name"] == {"S": "first"}
    assert item["labels"] == {"M": {"team": {"S": "physics"}}}
    assert item["kind"] == {"S": "Cluster"}
    assert "metadata" not in item
    assert item["spec"]["M"]["queues"]["L"][0]["M"] == {
        "name": {"S": "compute"},
        "instanceTypes": {"L": [{"S": "c7i.large"}]},
        "size": {"N": "2"},
        "efa": {"BOOL": False},
    }


def test_item_is_what_boto3_reads() -> None:
    changed = document(queue(size=Decimal(2), instanceTypes=frozenset({"c7i.large"})))

    assert from_item(deserialised(to_item(changed))) == MINIMAL
    assert from_item(to_item(changed)) == MINIMAL
