"""Ages, times, tables, and what a start of the command imports."""

import subprocess
import sys
import time
from typing import Any

import pytest

from cli import polling, terminal
from cli.template_changes import ResourceChange, changes, template

M, H, D = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (9 * M + 59, "9m59s"),
        (10 * M, "10m"),
        (3 * H - 1, "179m"),
        (3 * H + 61, "3h1m"),
        (8 * H, "8h"),
        (48 * H, "2d"),
        (2 * D + 3 * H, "2d3h"),
        (8 * D + 3 * H, "8d"),
        (800 * D, "2y70d"),
    ],
)
def test_ages_are_as_kubectl_shows_them(monkeypatch: pytest.MonkeyPatch, seconds: int, text: str) -> None:
    monkeypatch.setattr(time, "time", lambda: 1e9)
    assert terminal.age(1e9 - seconds) == text


def test_an_age_is_read_from_a_status_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 100.0)
    assert terminal.age("1970-01-01T00:00:10Z") == "90s"
    assert terminal.age("long ago") == terminal.age(None) == terminal.NONE


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("500ms", 0.5)]
)
def test_times_are_written_as_kubectl_takes_them(text: str, seconds: float) -> None:
    assert polling.duration(text) == seconds


def test_a_wait_ends_with_a_last_look_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(polling, "monotonic", lambda: clock[0])
    monkeypatch.setattr(polling, "sleep", sleep)
    assert [clock[0] for _ in polling.ticks(5)] == [0, 2, 4, 5]


def test_a_terminal_gets_colours_and_folded_messages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")
    terminal.table(["STATUS", "MESSAGE"], [["Ready", "word " * 20]])
    lines = capsys.readouterr().out.splitlines()
    assert "\x1b[32m" in lines[1]
    assert len(lines) > 2


def test_no_table_is_folded_without_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    terminal.table(["STATUS", "MESSAGE"], [["Ready", "word " * 200]])
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_square_brackets_are_no_markup(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    terminal.table(["A [b]", "C"], [["[red]x", ":smile: [/]"]])
    terminal.coloured("[bold]x", "")
    out = capsys.readouterr().out
    assert "A [b]" in out
    assert "[red]x   :smile: [/]" in out
    assert "[bold]x" in out


OLD = {"Resources": {"A": {"Type": "T", "Properties": {"List": [1, {"x": 2}], "Same": 1}}, "B": {"Type": "U"}}}
NEW = {
    "Resources": {"A": {"Type": "T", "Properties": {"List": [1, {"x": 3}], "Same": 1, "New": 1}}, "C": {"Type": "V"}}
}


def test_templates_are_compared_resource_by_resource() -> None:
    assert changes(OLD, NEW) == [
        ResourceChange("~", "A", "T", ("Properties.List[1].x", "Properties.New")),
        ResourceChange("-", "B", "U"),
        ResourceChange("+", "C", "V"),
    ]
    assert changes(OLD, OLD) == []


def test_lists_of_unequal_length_differ_as_a_whole() -> None:
    assert [c.paths for c in changes({"Resources": {"A": {"L": [1]}}}, {"Resources": {"A": {"L": [1, 2]}}})] == [("L",)]


def test_the_worst_that_a_change_may_mean_is_handed_to_the_rules_of_consent() -> None:
    change = changes(OLD, NEW)[0].may_be()
    assert (change.action, change.replacement, change.causes) == ("Modify", "Conditional", ("List[1]", "New"))


@pytest.mark.parametrize("body", [OLD, '{"Resources": {}}'])
def test_a_template_is_taken_as_boto3_gives_it(body: Any) -> None:
    assert "Resources" in template(body)


def test_a_start_of_the_command_loads_nothing_that_only_some_verbs_need() -> None:
    script = (
        "import sys, cli.main; loaded = {name.split('.')[0] for name in sys.modules}; "
        "print(*loaded & {'boto3', 'botocore', 'pydantic', 'rich', 'yaml', 'local'})"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
