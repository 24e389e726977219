"""What is told of a bad document, whatever it is: the field, the value, the rule, the way out."""

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from reconciler.cluster import FieldError, Invalid, parse
from reconciler.cluster.parsing import MAX_ERRORS
from reconciler.cluster.problems import ADVICE
from tests.unit.cluster.documents import BATCH, MINIMAL, document, queue


def only_error(bad: object) -> FieldError:
    result = parse(bad)
    assert isinstance(result, Invalid), result
    assert len(result.errors) == 1, str(result)
    return result.errors[0]


JOB = BATCH["jobDefinitions"][0]
SECRETIVE: dict[str, dict[str, Any]] = {
    "images[0].dockerfile": {"images": [{"name": "app", "dockerfile": "ENV KEY=hunter2\u0000"}]},
    "jobDefinitions[0].command[0]": {"jobDefinitions": [{**JOB, "command": ["hunter2\n"]}]},
    "jobDefinitions[0].environment.A": {"jobDefinitions": [{**JOB, "environment": {"A": "hunter2\n"}}]},
}
MISSING_HEAD = {"headNode": None}
TOLD = [
    # unknown fields
    (document({"hedNode": {}}), "spec.hedNode", "a map of 0", "unknown field", "did you mean headNode?"),
    (document(queue(max_size=3)), "spec.queues[0].max_size", "3", "unknown field", "did you mean maxSize?"),
    (document(queue(MAXSIZE=3)), "spec.queues[0].MAXSIZE", "3", "unknown field", "did you mean maxSize?"),
    (
        document({"headNode": {"rootVolume": {"gb": 3}}}),
        "spec.headNode.rootVolume.gb",
        "3",
        "unknown field",
        "known here: iops, kmsKeyId, size, throughput, type",
    ),
    (document(status={}), "status", "a map of 0", "unknown field", "known here: apiVersion, kind, metadata, spec"),
    (document({"x y\n": 1}), 'spec["x y\\u000a"]', "1", "unknown field", "known here"),
    # required fields
    (document(MISSING_HEAD), "spec.headNode", "(missing)", "required unless scheduler", "add it: The head node"),
    (document({"queues": None}), "spec.queues", "(missing)", "at least 1 entries", "add entries: Queues of compute"),
    (document(metadata={"name": None}), "metadata.name", "(missing)", "required", "add it: Name of the cluster"),
    # types
    (document(queue(size="3")), "spec.queues[0].size", '"3"', "must be a whole number", "(in DynamoDB: type N)"),
    (document(queue(size=1.5)), "spec.queues[0].size", "1.5", "must be a whole number", "without a fraction"),
    (document(queue(size=True)), "spec.queues[0].size", "true", "must be a whole number", "write a number"),
    (document(queue(efa="true")), "spec.queues[0].efa", '"true"', "must be true or false", "type BOOL)"),
    (document({"paused": 1}), "spec.paused", "1", "must be true or false", "write true or false"),
    (document({"proxy": 3}), "spec.proxy", "3", "must be text", "put it in quotes"),
    (document({"queues": {}}), "spec.queues", "a map of 0", "must be a list", "write a list"),
    (document({"headNode": "t3.small"}), "spec.headNode", '"t3.small"', "must be a map", "write a map"),
    (document({"tags": []}), "spec.tags", "a list of 0", "must be a map", "write a map"),
    (
        document(queue(capacityType="spot", spotMaxPrice="0.1")),
        "spec.queues[0].spotMaxPrice",
        '"0.1"',
        "must be a number",
        "without quotes",
    ),
    # few possible values
    (document({"scheduler": "slrum"}), "spec.scheduler", '"slrum"', "one of none, slurm", "did you mean slurm?"),
    (document({"scheduler": "x"}), "spec.scheduler", '"x"', "one of none, slurm", "choose one of them"),
    (document({"logs": {"retentionDays": 2}}), "spec.logs.retentionDays", "2", "one of 1, 3, 5", "choose one"),
    (document(apiVersion="v2"), "apiVersion", '"v2"', "must be muster/v1", "write muster/v1"),
    (document(kind="Pod"), "kind", '"Pod"', "must be Cluster", "write Cluster"),
    # limits
    (document(queue(size=-1)), "spec.queues[0].size", "-1", "must be at least 0", "write 0 or more"),
    (document(queue(size=5001)), "spec.queues[0].size", "5001", "must be at most 5000", "write 5000 or less"),
    (document({"queues": []}), "spec.queues", "a list of 0", "must have at least 1 entries", "add entries"),
    (document(queue(instanceTypes=[])), "spec.queues[0].instanceTypes", "a list of 0", "at least 1", "add entries"),
    (document({"queues": [3]}), "spec.queues[0]", "3", "must be a map", "write a map"),
    (
        document({"network": {"sshFrom": [f"10.0.{n}.0/24" for n in range(21)]}}),
        "spec.network.sshFrom",
        "a list of 21",
        "must have at most 20 entries",
        "leave at most 20",
    ),
    (
        document({"network": {"subnetIds": ["subnet-01234567"] * 2}}),
        "spec.network.subnetIds",
        "a list of 2",
        "must not repeat an entry",
        "remove the repetitions",
    ),
    (
        document(metadata={"annotations": {"a": "x" * 16385}}),
        "metadata.annotations.a",
        "(not shown)",
        "must have at most 16384 characters",
        "shorten it",
    ),
    # kinds of text
    (document(metadata={"name": "a" * 61}), "metadata.name", '"aaaa', "at most 60 characters", "shorten it"),
    (document(metadata={"name": "A"}), "metadata.name", '"A"', "1 to 60 lower-case", "write it like weather-7"),
    (document({"headNode": {"ami": "ami-1"}}), "spec.headNode.ami", '"ami-1"', "must be ami- and 8 or 17", "ami-0123"),
    (document({"tags": {"a\n": "b"}}), "spec.tags", '"a\\u000a"', "the name must be 1 to 128", "write it like"),
    # no secrets
    (document({"password": "hunter2"}), "spec.password", "(not shown)", "unknown field", "known here"),
    (
        document({"proxy": "http://me:hunter2@proxy:80"}),
        "spec.proxy",
        '"http://...@proxy:80"',
        "no user name or password",
        "write it like",
    ),
    (
        document({"bootstrap": {"preInstall": {"url": "https://a/b\n?X-Amz-Signature=hunter2"}}}),
        "spec.bootstrap.preInstall.url",
        '"https://a/b\\u000a?..."',
        "https:// or s3://",
        "write it like",
    ),
    (
        document({"bootstrap": {"preInstall": {"url": "s3://abc/d", "args": ["--token\nhunter2"]}}}),
        "spec.bootstrap.preInstall.args[0]",
        "(not shown)",
        "no line breaks",
        "write it like",
    ),
    *(
        (document({"batch": {**BATCH, **part}}), f"spec.batch.{field}", "(not shown)", "", "write it like")
        for field, part in SECRETIVE.items()
    ),
    # what is no JSON
    (document({"paused": None, "proxy": b"x"}), "spec.proxy", "a value of type bytes", "only text", "type S"),
    (document({"idleTime": date(2026, 1, 1)}), "spec.idleTime", "a value of type date", "only text", "in quotes"),
    (document({"idleTime": float("nan")}), "spec.idleTime", "nan", "not a finite number", "smaller"),
    (document({"idleTime": float("inf")}), "spec.idleTime", "inf", "not a finite number", "smaller"),
    (document({"idleTime": Decimal("sNaN")}), "spec.idleTime", "sNaN", "not a finite number", "smaller"),
    (document({"idleTime": Decimal("1E+999999")}), "spec.idleTime", "1E+999999", "38 digits", "smaller"),
    (document({"idleTime": 10**5000}), "spec.idleTime", "a number of 16610 bits", "38 digits", "smaller"),
    (document({"tags": {1: "x"}}), "spec.tags", "1", "names of fields are text", "in quotes"),
    (document({"proxy": "\ud800"}), "spec.proxy", "text of 1", "not valid Unicode", "surrogates"),
    (document({"\udfff": 1}), 'spec["\\udfff"]', "text of 1", "not valid Unicode", "surrogates"),
    # not a document at all
    (None, "document", "null", "null is no value", "leave"),
    ([], "document", "a list of 0", "must be a map", "write a map"),
    ("apiVersion: muster/v1", "document", '"apiVersion: muster/v1"', "must be a map", "write a map"),
    (3, "document", "3", "must be a map", "write a map"),
    (object(), "document", "a value of type object", "only text", "type S"),
]


@pytest.mark.parametrize(("bad", "field", "value", "rule", "fix"), TOLD, ids=[f"{c[1]}={c[2]}" for c in TOLD])
def test_error_is_located(bad: object, field: str, value: str, rule: str, fix: str) -> None:
    error = only_error(bad)

    assert error.field == field
    assert error.value.startswith(value)
    assert rule in error.rule
    assert fix in error.fix
    assert "hunter2" not in str(error)
    assert str(error).isprintable()


def test_null_is_refused_everywhere() -> None:
    nulls = {**MINIMAL["spec"], "proxy": None, "queues": [None]}

    result = parse({**MINIMAL, "spec": nulls})

    assert isinstance(result, Invalid)
    assert [(error.field, error.value) for error in result.errors] == [
        ("spec.queues[0]", "null"),
        ("spec.proxy", "null"),
    ]


def test_a_field_that_is_called_as_pydantic_calls_keys() -> None:
    result = parse(document({"tags": {"[key]": "${x}"}, "[key]": 1}, **{"[key]": 1}))

    assert isinstance(result, Invalid)
    assert [(error.field, error.value) for error in result.errors] == [
        ("spec.tags", '"[key]"'),
        ('spec.tags["[key]"]', '"${x}"'),
        ('spec["[key]"]', "1"),
        ('["[key]"]', "1"),
    ]


def test_errors_of_all_fields_are_told_at_once() -> None:
    result = parse(document({"headNode": {"instanceType": None}, "paused": 1, **queue(size="x", efa=3)}))

    assert isinstance(result, Invalid)
    assert [error.field for error in result.errors] == [
        "spec.headNode.instanceType",
        "spec.queues[0].size",
        "spec.queues[0].efa",
        "spec.paused",
    ]


def test_a_list_of_wrong_entries_is_not_also_called_short() -> None:
    assert only_error(document(queue(instanceTypes=[3]))).field == "spec.queues[0].instanceTypes[0]"


def test_errors_are_few_enough_for_a_status() -> None:
    result = parse(document({f"wrong{n}": n for n in range(1000)}))

    assert isinstance(result, Invalid)
    assert len(result.errors) == MAX_ERRORS + 1
    assert result.errors[-1].value == f"{1000 - MAX_ERRORS} more errors"


def test_errors_unknown_to_us_are_told_in_the_words_of_pydantic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(ADVICE, "bool_type")

    error = only_error(document({"paused": 1}))

    assert (error.field, error.value) == ("spec.paused", "1")
    assert "boolean" in error.rule


@pytest.mark.parametrize("length", [81, 10_000])
def test_long_values_are_cut(length: int) -> None:
    error = only_error(document({"proxy": "é" * length}))

    assert len(error.value) <= 82
    assert error.value.startswith('"ééé')


def deep_map() -> object:
    tree: dict[str, Any] = {}
    for _ in range(100_000):
        tree = {"spec": tree}
    return tree


def itself() -> object:
    tree: dict[str, Any] = {}
    tree["spec"] = tree
    return tree


def itself_in_lists() -> object:
    tree: list[Any] = []
    tree.append(tree)
    return {"spec": tree}


def laughs() -> object:
    tree: Any = "ha"
    for _ in range(20):
        tree = [tree] * 10
    return {"spec": tree}


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (deep_map, "nested deeper than 32 levels"),
        (itself, "nested deeper than 32 levels"),
        (itself_in_lists, "nested deeper than 32 levels"),
        (laughs, "a DynamoDB item holds 400 KiB"),
        (lambda: {"spec": "x" * 500_000}, "a DynamoDB item holds 400 KiB"),
        (lambda: document({"tags": {"a": "x" * 350_000}}), "at most 64 KiB as JSON"),
        (lambda: document({"tags": {"a": "\n" * 33_000}}), "at most 64 KiB as JSON"),
    ],
    ids=["deep", "itself", "itself in lists", "laughs", "500 KB", "350 KB", "64 KiB escaped"],
)
def test_documents_without_end_or_measure_are_refused(make: Callable[[], object], rule: str) -> None:
    error = only_error(make())

    assert rule in error.rule
    assert len(str(error)) < 500


def test_large_annotations_do_not_count_as_spec() -> None:
    annotations = {f"a{n}": "x" * 16000 for n in range(5)}

    assert not isinstance(parse(document(metadata={"annotations": annotations})), Invalid)


def test_a_document_may_be_of_other_numbers_and_sets() -> None:
    changed = queue(instanceTypes=frozenset({"c7i.xlarge", "c6i.large"}), size=Decimal("2.0"))

    assert parse(document(changed)) == parse(document(queue(instanceTypes=["c6i.large", "c7i.xlarge"], size=2)))


def test_sets_of_long_text_read_the_same_in_any_order() -> None:
    policies = [f"arn:aws:iam::aws:policy/{'long/' * 20}{name}" for name in "jihgfedcba"]
    as_set, as_list = frozenset(policies), sorted(policies)

    assert parse(document({"iam": {"additionalPolicies": as_set}})) == parse(
        document({"iam": {"additionalPolicies": as_list}})
    )


def test_errors_are_json() -> None:
    result = parse(document({"proxy": "\ud800", "a\x00": "\x1b[31m"}))

    assert isinstance(result, Invalid)
    assert json.dumps([vars(error) for error in result.errors], ensure_ascii=False).encode()
