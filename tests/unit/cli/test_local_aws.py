"""`muster local`: thin, so the tests are about what it hands over and prints."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import local
from cli.main import app

RUNNING = local.LocalAws("http://localhost:4599", 1, Path("/var/log/x"), {"AWS_ENDPOINT_URL": "http://x", "KEY": "a b"})


def run(*args: str) -> Any:
    return CliRunner().invoke(app, ["local", *args])


def test_up_prints_the_environment_for_the_shell_and_the_rest_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def up(**options: Any) -> local.LocalAws:
        asked.update(options)
        return RUNNING

    monkeypatch.setattr(local, "up", up)
    result = run("up", "--port", "4599", "--no-auth")
    assert result.stdout == "export AWS_ENDPOINT_URL=http://x\nexport KEY='a b'\n"
    assert "http://localhost:4599" in result.stderr
    assert asked == {"port": 4599, "auth": False}


def test_up_asks_for_policies_to_be_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "up", lambda **options: RUNNING if options == {"port": 4566, "auth": True} else None)
    assert run("up").exit_code == 0


@pytest.mark.parametrize(("ran", "words"), [(True, "Local AWS stopped.\n"), (False, "No local AWS was running.\n")])
def test_down_says_whether_there_was_one(monkeypatch: pytest.MonkeyPatch, ran: bool, words: str) -> None:
    monkeypatch.setattr(local, "down", lambda: ran)
    result = run("down")
    assert (result.exit_code, result.stderr) == (0, words)


@pytest.mark.parametrize("verb", ["up", "down"])
def test_what_goes_wrong_is_told_line_by_line(monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    def fails(**_: Any) -> Any:
        raise local.LocalAwsError("it ended while starting:\nport in use")

    monkeypatch.setattr(local, verb, fails)
    result = run(verb)
    assert (result.exit_code, result.stderr) == (1, "error: it ended while starting:\nerror: port in use\n")
