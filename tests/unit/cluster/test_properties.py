"""What holds for every document: parse answers, locates what it refuses, and keeps what it accepts."""

import json
from decimal import Decimal
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reconciler.cluster import Cluster, Invalid, from_item, parse, spec_hash, to_item
from reconciler.cluster.schema import json_schema
from tests.unit.cluster.documents import AMI, GROUP, MINIMAL, OTHER_SUBNET, VOLUME, merged
from tests.unit.cluster.generated import documents_of

SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text(st.characters(codec=None))
    | st.binary()
    | st.dates()
    | st.frozensets(st.integers() | st.text()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner),
    max_leaves=20,
)
PRINTABLE = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=20)
TAG_TEXT = st.text("abcXYZ019 _.:/=+@-", min_size=1, max_size=20)


def maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


ROOT_VOLUME = maybe(size=st.integers(40, 16384), throughput=st.integers(125, 750), kmsKeyId=st.just("alias/mine"))
QUEUE = st.builds(
    dict.__or__,
    maybe(
        subnetIds=st.just([OTHER_SUBNET]),
        rootVolume=ROOT_VOLUME,
        placementGroup=st.sampled_from(["dynamic", "mine"]),
        ami=st.just(AMI),
        efa=st.booleans(),
        disableHyperthreading=st.booleans(),
    ),
    st.fixed_dictionaries({"size": st.integers(0, 5000)})
    | maybe(minSize=st.integers(0, 10), maxSize=st.integers(10, 5000))
    | st.fixed_dictionaries(
        {"capacityType": st.just("spot")},
        optional={
            "spotMaxPrice": st.floats(0.001, 1000) | st.integers(1, 1000),
            "spotAllocationStrategy": st.just("lowest-price"),
        },
    ),
)
SYSTEM = maybe(
    image=st.fixed_dictionaries({"os": st.sampled_from(["alinux2023", "ubuntu2204", "ubuntu2404"])})
) | st.fixed_dictionaries(
    {"scheduler": st.just("slurm"), "image": st.just({"os": "ubuntu2404"})},
    optional={"idleTime": st.integers(1, 10080), "fleet": st.sampled_from(["running", "stopped"])},
)
STORAGE = st.sampled_from(
    [
        {"ebs": {"volumeId": VOLUME}},
        {"raid": {"level": 1, "volumes": 2}},
        {"efs": {"throughputMode": "provisioned", "provisionedThroughput": 12.5}, "deletionPolicy": "Delete"},
        {"fsxLustre": {"storageCapacity": 1200, "importPath": "s3://data/in"}},
    ]
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Documents of clusters, of all fields, that parse accepts."""
    queues = draw(st.lists(QUEUE, min_size=1, max_size=3))
    types = st.sampled_from([["c7i.large"], ["c7i.xlarge", "m7i.large"], ["r6a.large"]])
    storages = draw(st.lists(STORAGE, max_size=3, unique_by=repr))
    spec = draw(
        maybe(
            headNode=maybe(elasticIp=st.booleans(), keyName=st.just("ops"), rootVolume=ROOT_VOLUME),
            network=maybe(publicIps=st.booleans(), sshFrom=st.just(["10.0.0.0/8"]))
            | maybe(securityGroupIds=st.just([GROUP])),
            tags=st.dictionaries(TAG_TEXT.filter(lambda key: key[0] != " " and key != "Name"), TAG_TEXT, max_size=3),
            bootstrap=maybe(
                preInstall=st.fixed_dictionaries(
                    {"url": st.just("https://h/x?y=1"), "args": st.lists(PRINTABLE, max_size=3)}
                )
            ),
            logs=st.fixed_dictionaries({"retentionDays": st.sampled_from([1, 14, 3653])}),
            consent=st.lists(st.sampled_from(["headNode", "queues/a", "sharedStorage/b"]), unique=True),
            s3Access=st.just([{"resource": "arn:aws:s3:::data/*", "access": "read"}]),
            paused=st.booleans(),
            deletionProtection=st.booleans(),
            deletionPolicy=st.sampled_from(["Delete", "Retain"]),
        )
    )
    spec |= draw(SYSTEM)
    spec["queues"] = [{"name": f"q{n}", "instanceTypes": draw(types), **queue} for n, queue in enumerate(queues)]
    spec["sharedStorage"] = [{"name": f"s{n}", "mountDir": f"/shared/{n}", **kind} for n, kind in enumerate(storages)]
    metadata = draw(maybe(labels=st.just({"team": "physics"}), annotations=st.just({"note": "two\nlines"})))
    return merged(MINIMAL, {"spec": spec, "metadata": metadata})


def check(result: Cluster | Invalid) -> None:
    """An answer: a cluster, or reasons that a status can hold, each with a place and a way out."""
    if isinstance(result, Invalid):
        assert result.errors
        for error in result.errors:
            assert all(vars(error).values()), error
            assert str(error).isprintable()
            assert len(str(error)) < 1500
        json.dumps([vars(error) for error in result.errors], ensure_ascii=False).encode()


@given(ANYTHING)
def test_parse_answers_whatever_it_is_given(anything: object) -> None:
    check(parse(anything))


@given(st.dictionaries(st.text(), ANYTHING))
def test_items_of_anything_are_answered(item: dict[str, Any]) -> None:
    check(parse(from_item(item)))


ITEM_VALUE = st.dictionaries(st.sampled_from([*"SNBLM", "SS", "NS", "BS", "NULL", "BOOL"]), ANYTHING, max_size=1)


@given(st.dictionaries(st.text(), ITEM_VALUE))
def test_items_of_wrong_types_are_answered(item: dict[str, Any]) -> None:
    check(parse(from_item(item)))


def paths(node: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(below for key, child in children for below in paths(child, (*path, key)))]


def replaced(node: Any, path: tuple[str | int, ...], value: object) -> Any:
    if not path:
        return value
    changed = dict(node) if isinstance(node, dict) else list(node)
    changed[path[0]] = replaced(node[path[0]], path[1:], value)
    return changed


@given(st.data(), documents(), ANYTHING)
def test_one_wrong_part_is_located(data: st.DataObject, document: dict[str, Any], anything: object) -> None:
    path = data.draw(st.sampled_from(paths(document)))
    result = parse(replaced(document, path, anything))

    check(result)


@given(documents_of(SCHEMA))
def test_what_the_schema_allows_is_answered(document: dict[str, Any]) -> None:
    result = parse(document)

    check(result)
    assert isinstance(result, Invalid) or VALIDATOR.is_valid(document)


@given(documents())
def test_what_parse_accepts_the_schema_allows(document: dict[str, Any]) -> None:
    result = parse(document)

    assert isinstance(result, Cluster), str(result)
    assert [error.message for error in VALIDATOR.iter_errors(document)] == []


@given(documents())
def test_all_clothes_mean_the_same(document: dict[str, Any]) -> None:
    cluster = parse(document)
    item = to_item(document)
    clothes: list[Any] = [
        from_item(item),
        json.loads(json.dumps(document)),
        json.loads(json.dumps(document), parse_float=Decimal, parse_int=Decimal),
        yaml.safe_load(yaml.safe_dump(document, allow_unicode=True)),
    ]

    assert isinstance(cluster, Cluster), str(cluster)
    for other in clothes:
        assert parse(other) == cluster
        assert spec_hash(parse(other)) == spec_hash(cluster)


@given(documents())
def test_a_cluster_written_out_is_the_same_cluster(document: dict[str, Any]) -> None:
    cluster = parse(document)
    assert isinstance(cluster, Cluster), str(cluster)

    again = parse(cluster.model_dump(mode="json", by_alias=True, exclude_unset=True))

    assert again == cluster
    assert spec_hash(again) == spec_hash(cluster)
