"""`muster schema`, also as `muster explain`."""

import functools
import json

import pytest
from typer.testing import CliRunner

from cli.main import app
from reconciler.cluster import schema
from reconciler.cluster.schema import json_schema


def printed(*args: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(args))
    assert result.exit_code == code, result.output
    return result.output


def fields(text: str) -> list[str]:
    """The names of the fields that are explained."""
    return [line.split()[0] for line in text.splitlines() if line.startswith("  ") and line[2] != " "]


def test_the_schema_is_the_published_one() -> None:
    assert json.loads(printed("schema")) == json_schema()


def test_a_field_is_explained_with_those_below_it() -> None:
    text = printed("schema", "spec.queues")
    assert "FIELD:    queues <[]Object>" in text
    assert "at most 10 entries" in text
    assert fields(text)[:2] == ["name", "instanceTypes"]
    assert "  name\t<string> -required-" in text
    assert "  subnetIds\t<[]string>\n" in text
    assert "one of onDemand, spot; default onDemand" in text
    assert "default false" in text


def test_explain_is_another_name_for_it() -> None:
    assert printed("explain", "spec.queues") == printed("schema", "spec.queues")


@pytest.mark.parametrize(
    "path", ["cluster.spec.queues.maxSize", "spec.queues[0].maxSize", "Cluster.spec.queues.maxSize"]
)
def test_paths_are_written_as_kubectl_and_as_error_messages_write_them(path: str) -> None:
    assert printed("explain", path) == printed("explain", "spec.queues.maxSize")


def test_a_field_without_fields_is_explained_alone() -> None:
    text = printed("schema", "spec.queues.maxSize")
    assert "FIELD:    maxSize <integer>" in text
    assert "at least 0; at most 5000" in text
    assert "FIELDS:" not in text


def test_maps_and_the_whole_document_are_explained() -> None:
    assert "<map[string]string>" in printed("schema", "spec.tags")
    text = printed("explain")
    assert text.startswith("KIND:     Cluster\nVERSION:  muster/v1\n")
    assert fields(text) == ["apiVersion", "kind", "metadata", "spec"]
    assert "must be muster/v1" in text


def test_every_field_of_the_schema_can_be_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "json_schema", functools.cache(json_schema))

    def walk(path: str, depth: int = 0) -> int:
        text = printed("explain", path)
        assert text.count("DESCRIPTION:\n    ") == 1
        return 1 + sum(walk(f"{path}.{name}", depth + 1) for name in fields(text))

    assert walk("spec") > 100


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("spec.queue", 'there is no field "queue" in spec: it has '),
        ("spec.queues.size.more", 'there is no field "more" in spec.queues.size: it has no fields'),
        ("sepc", 'there is no field "sepc" in the document: it has apiVersion, kind, metadata, spec'),
    ],
)
def test_a_field_that_there_is_not_is_told(path: str, message: str) -> None:
    assert message in printed("schema", path, code=1)
