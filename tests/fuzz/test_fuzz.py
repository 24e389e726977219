"""A seeded part of the fuzz run (`make fuzz` runs all of it), and the checks' own checks."""

import pytest

from reconciler.cluster import FieldError, Invalid
from reconciler.render import shell
from tests.fuzz.checks import check_refusal, check_shell
from tests.fuzz.generate import CANARIES
from tests.fuzz.run import run
from tests.unit.render.support import cluster

CASES = 1_500


@pytest.mark.parametrize(("kind", "least"), [("spec", CASES // 5), ("item", CASES // 100)])
def test_every_case_is_refused_by_field_or_rendered(kind: str, least: int) -> None:
    accepted, failures = run(kind, range(CASES), shell_every=50)
    assert failures == []
    assert least < len(accepted) < CASES


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
