"""Finding the control plane, and the global options."""

from pathlib import Path

import pytest

from cli.options import Target, hoisted
from cli.plane import OUTPUTS as FIELDS
from cli.plane import VERSION_OUTPUT
from cli.seen import INDEX, KIND
from local.template import read_template
from reconciler.settings import Settings
from reconciler.version import VERSION
from tests.unit.cli.conftest import OUTPUTS, World, client


def test_the_settings_are_those_that_the_operator_has(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    arn = "arn:aws:dynamodb:us-east-1:123456789012:table/state-table"
    monkeypatch.setenv("MUSTER_OWNER", "muster")
    monkeypatch.setenv("MUSTER_STATE_TABLE_ARN", arn)
    for field, output in FIELDS.items():
        monkeypatch.setenv(f"MUSTER_{field.upper()}", OUTPUTS[output])
    assert Target(region="us-east-1").plane().settings == Settings.from_environment()


def test_the_template_has_the_outputs_and_the_index_that_the_command_reads() -> None:
    template = read_template()
    assert {*FIELDS.values(), VERSION_OUTPUT} <= template["Outputs"].keys()
    assert template["Outputs"][VERSION_OUTPUT]["Value"] == VERSION
    (index,) = template["Resources"]["StateTable"]["Properties"]["GlobalSecondaryIndexes"]
    assert (index["IndexName"], index["KeySchema"][0]["AttributeName"]) == (INDEX, "kind")
    assert KIND == "cluster"


def test_a_control_plane_that_is_not_there_is_told(account: World) -> None:
    stderr = account.run("get", code=1).stderr
    assert stderr == (
        "error: no stack muster in us-east-1: is the control plane deployed? `sam deploy` deploys it; "
        "--stack and --region name another\n"
    )


def test_a_stack_that_is_no_control_plane_is_told(account: World) -> None:
    client("cloudformation").create_stack(
        StackName="muster", TemplateBody='{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'
    )
    stderr = account.run("get", code=1).stderr
    assert stderr.startswith("error: stack muster (CREATE_COMPLETE) has no output SpecsTable: it is no control plane")


@pytest.mark.parametrize("args", [("--stack", "other", "get"), ("get", "--stack", "other"), ("get", "--stack=other")])
def test_another_control_plane_is_named_before_or_after_the_verb(account: World, args: tuple[str, ...]) -> None:
    account.deploy("other")
    assert account.run(*args).stderr == "No clusters found.\n"


def test_another_control_plane_is_named_by_the_environment(account: World, monkeypatch: pytest.MonkeyPatch) -> None:
    account.deploy("other")
    monkeypatch.setenv("MUSTER_STACK", "other")
    account.run("get")
    account.run("get", "--stack", "muster", code=1)


def test_another_region_has_another_control_plane(world: World) -> None:
    assert "no stack muster in eu-west-1" in world.run("get", "--region", "eu-west-1", code=1).stderr


def test_a_profile_says_region_and_credentials(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[profile p]\nregion = eu-west-1\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert "no stack muster in eu-west-1" in world.run("--profile", "p", "get", code=1).stderr


def test_global_options_stay_behind_two_dashes() -> None:
    assert hoisted(["get", "--region", "r", "--", "--stack"]) == ["--region", "r", "get", "--", "--stack"]
    assert hoisted(["get", "--stack"]) == ["--stack", "get"]


def test_a_verb_that_there_is_not_is_told(account: World) -> None:
    assert "No such command" in account.run("destroy", code=2).stderr


@pytest.mark.parametrize("name", ["cluster/", "clusters/", ""])
def test_a_kind_without_a_name_is_told(world: World, name: str) -> None:
    assert "name is missing" in world.run("get", name, code=2).stderr


def test_versions_of_both_sides(account: World) -> None:
    account.deploy(Version="9.8.7")
    assert account.run("version").stdout == (
        f"Client Version: {VERSION}\nControl Plane Version: 9.8.7 (stack muster, us-east-1)\n"
    )


def test_the_commands_own_version_needs_no_control_plane(account: World) -> None:
    assert account.run("version", "--client").stdout == f"Client Version: {VERSION}\n"
    result = account.run("version", code=1)
    assert result.stdout == f"Client Version: {VERSION}\n"
    assert "no stack muster" in result.stderr
