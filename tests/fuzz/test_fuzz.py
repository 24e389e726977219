"""A seeded part of the fuzz run (`make fuzz` runs all of it), and the checks' own checks."""

import pytest

from handlers import wake
from reconciler import nodes
from reconciler.cluster import FieldError, Invalid
from reconciler.render import shell
from tests.fuzz.checks import check_refusal, check_shell
from tests.fuzz.generate import CANARIES
from tests.fuzz.handlers import CASES, run_handlers
from tests.fuzz.nodes import run_nodes
from tests.fuzz.run import run, run_published
from tests.unit.render.support import cluster

EACH, PUBLISHED = 1_500, 200
RARELY = {"shell_every": 50, "lint_every": 200}


@pytest.mark.parametrize(("kind", "least"), [("spec", EACH // 5), ("item", EACH // 100)])
def test_every_case_is_refused_by_field_or_rendered(kind: str, least: int) -> None:
    found = run(kind, range(EACH), **RARELY)
    assert found.failures == []
    assert least < len(found.accepted) < EACH


def test_every_case_of_the_published_schema_is_too() -> None:
    found = run_published(PUBLISHED, **RARELY)
    assert found.failures == []
    assert found.cases >= PUBLISHED
    assert PUBLISHED // 20 < len(found.accepted) < found.cases


@pytest.mark.parametrize(("kind", "cases"), [(kind, 40 if kind == "handled_item" else 100) for kind in CASES])
def test_no_damage_makes_a_handler_raise(kind: str, cases: int) -> None:
    assert run_handlers(kind, range(cases)) == []


def test_no_row_that_nodes_write_breaks_or_bends_a_pass() -> None:
    assert run_nodes(range(200)) == []


def test_a_row_that_is_not_left_out_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "_tried", lambda read, unread, what, value: read(what, value))
    assert run_nodes(range(50)) != []


def test_a_handler_that_raises_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake, "_drop", lambda *_: 1 / 0)
    assert any("ZeroDivisionError" in failure for failure in run_handlers("stream_record", range(20)))


def test_no_text_of_the_users_is_obeyed() -> None:
    script = {"url": "https://example.com/a?b&c", "args": list(CANARIES)}
    check_shell(cluster(bootstrap={"preInstall": script, "postInstall": script}))


def test_a_text_without_quotes_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell.shlex, "join", " ".join)
    script = {"url": "https://example.com/a", "args": ["$(>pwned)"]}
    with pytest.raises(AssertionError):
        check_shell(cluster(bootstrap={"preInstall": script}))


@pytest.mark.parametrize("field", ["spec.queues[7].name", "elsewhere.name", "spec.network.vpcId.a.b"])
def test_an_error_about_nothing_in_the_document_would_be_seen(field: str) -> None:
    document = {"spec": {"queues": [{}], "network": {"vpcId": "x"}}}
    with pytest.raises(AssertionError):
        check_refusal(document, Invalid((FieldError(field, "1", "rule", "fix"),)))
