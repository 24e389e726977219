"""What user data does on the nodes of a Slurm cluster, boot by boot."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.lists import Row
from node.rows import REASON, NodeRow, Table
from tests.unit.render.node import INSTANCE, Node
from tests.unit.render.support import ADDRESS, AGENT, QUEUE_URL, SITE, SLURM
from tests.unit.render.test_node import COMPUTE, DIRECTORIES, HEAD, Boots, data_of

POST = {"bootstrap": {"postInstall": {"url": "https://example.com/x.sh"}}}
PYTHON = "python3 /opt/muster/node.pyz"
FETCH = "aws s3 cp --quiet s3://artifacts/clusters/demo/agent/"
COMPLETE = "aws autoscaling complete-lifecycle-action"
PLACE = {"cluster": "demo", "region": "us-east-1", "table": "state", "queueUrl": QUEUE_URL, "logGroup": "/muster/demo"}


@pytest.fixture
def node(tmp_path: Path) -> Boots:
    def make(which: str, **spec: Any) -> Node:
        return Node(tmp_path / "node", data_of(which, **SLURM, **spec), *DIRECTORIES)

    return make


def unit(of: Node, name: str) -> list[str]:
    return of.read(f"etc/systemd/system/{name}.service").replace(str(of.root), "").split("\n")


def test_the_head_node_runs_its_agent(node: Boots):
    of = node(HEAD)
    assert of.boot() == 0, of.log
    assert of.calls("systemctl") == [
        "systemctl enable slurmctld",
        "systemctl daemon-reload",
        "systemctl enable muster-head",
        "systemctl restart muster-head",
    ]
    assert f"ExecStart=/usr/bin/env {PYTHON} head" in unit(of, "muster-head")
    assert {"Restart=always", "StartLimitIntervalSec=0", "WantedBy=multi-user.target"} <= {*unit(of, "muster-head")}
    assert of.calls(PYTHON) == [], "it is systemd's to run"


def test_a_compute_node_joins_and_is_watched(node: Boots):
    of = node(COMPUTE)
    assert of.boot() == 0, of.log
    assert [call for call in of.calls() if call.startswith(("systemctl", PYTHON, COMPLETE))] == [
        "systemctl disable --now slurmd",
        "systemctl daemon-reload",
        "systemctl enable muster-node",
        "systemctl restart muster-node",
        f"{PYTHON} join",
        f"{COMPLETE} --auto-scaling-group-name muster-demo.compute "
        f"--lifecycle-hook-name muster-launch --instance-id {INSTANCE} --lifecycle-action-result CONTINUE",
    ]
    assert f"ExecStart=/usr/bin/env {PYTHON} watch" in unit(of, "muster-node")


def test_slurmd_may_start_without_the_file_that_it_gets_from_the_head_node(node: Boots):
    of = node(COMPUTE)
    of.boot()
    assert of.read("etc/systemd/system/slurmd.service.d/muster.conf") == "[Unit]\nConditionPathExists=\n"


@pytest.mark.parametrize(("which", "daemon"), [(HEAD, "slurmctld"), (COMPUTE, "slurmd")])
def test_a_daemon_of_slurms_that_dies_comes_again(node: Boots, which: str, daemon: str):
    of = node(which)
    of.boot()
    text = of.read(f"etc/systemd/system/{daemon}.service.d/restart.conf")
    assert text == "[Service]\nRestart=on-failure\nRestartSec=5\n"


@pytest.mark.parametrize(
    ("which", "own"),
    [
        (HEAD, {"queue": "", "group": "", "head": ""}),
        (COMPUTE, {"queue": "compute", "group": "muster-demo.compute", "head": ADDRESS}),
    ],
)
def test_nodes_are_told_their_place(node: Boots, which: str, own: dict[str, str]):
    of = node(which)
    of.boot()
    assert json.loads(of.read("etc/muster/node.json")) == PLACE | own
    assert (of.root / "etc/muster/node.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(("which", "daemon"), [(HEAD, "slurmctld"), (COMPUTE, "slurmd")])
@pytest.mark.parametrize("lacking", ["the daemon", "the SDK"])
def test_what_a_node_lacks_is_installed_before_its_agent_starts(node: Boots, which: str, daemon: str, lacking: str):
    of = node(which)
    if lacking == "the SDK":
        of.failing("import boto3")
    else:
        # This machine's own, if it has one, is not the node's.
        of.script.write_text(of.script.read_text().replace(f"DAEMON={daemon}", f"DAEMON={daemon}-not-there"))
    assert of.boot() == 0, of.log
    (at,) = [place for place, call in enumerate(of.calls()) if call.startswith("apt-get") and daemon in call]
    assert of.calls()[at].endswith(" slurm-client munge python3-boto3")
    mask, unmask = (place for place, call in enumerate(of.calls()) if "mask" in call)
    assert mask < at < unmask, "what is installed is not started by that"
    assert not [call for call in of.calls()[:at] if call.startswith("systemctl restart")]


def test_what_an_image_brings_is_not_installed_again(node: Boots):
    of = node(COMPUTE)
    of.boot()
    assert of.calls("apt-get") == []


# The agent's archive


def test_the_agent_is_fetched_once(node: Boots):
    of = node(COMPUTE)
    of.boot()
    assert of.calls(FETCH) == [f"{FETCH}{SITE.agent}.pyz /opt/muster/node.pyz.new"]
    assert of.read("opt/muster/node.pyz") == AGENT.decode()
    assert of.boot() == 0
    assert of.calls(FETCH) == []
    assert of.calls(PYTHON) == [f"{PYTHON} join"], "at every boot"


def test_another_agent_takes_its_place(node: Boots):
    of = node(HEAD)
    (of.root / "opt/muster").mkdir(parents=True)
    (of.root / "opt/muster/node.pyz").write_text("of another version")
    assert of.boot() == 0
    assert of.read("opt/muster/node.pyz") == AGENT.decode()


def test_an_agent_that_is_not_the_one_asked_for_is_not_run(node: Boots):
    of = node(COMPUTE)
    of.publish(b"something else")
    assert of.boot() == 1
    assert "gave up: fetch_agent" in of.log
    assert of.read("opt/muster/node.pyz") == ""
    assert of.calls(PYTHON) == []
    assert of.calls("systemctl restart") == []
    assert "gave up: fetch_agent" in of.read("told")


# The order


def test_the_users_script_has_ended_before_a_job_can_come(node: Boots):
    of = node(COMPUTE, **POST)
    of.download(f'echo the script >>"{of.root}/calls"')
    assert of.boot() == 0, of.log
    calls = of.calls()
    assert calls.index("systemctl restart muster-node") < calls.index("the script") < calls.index(f"{PYTHON} join")


def test_the_users_script_on_the_head_node_finds_slurm(node: Boots):
    of = node(HEAD, **POST)
    of.download(f'echo the script >>"{of.root}/calls"')
    assert of.boot() == 0, of.log
    assert of.calls().index("systemctl restart muster-head") < of.calls().index("the script")


# Failures


PRE = {"bootstrap": {"preInstall": {"url": "https://example.com/x.sh"}}}
TELL = "aws dynamodb update-item --cli-input-json"


@pytest.mark.parametrize("script", [PRE, POST])
def test_a_script_that_fails_is_told_with_what_it_said(node: Boots, script: dict[str, Any]):
    """Whoever reads it ends the node: it does not have its group put another in its place, again and again."""
    of = node(COMPUTE, **script)
    of.download("echo broken; exit 3")
    assert of.boot() == 3
    assert "broken" in of.read("told")
    assert of.calls(COMPLETE) == []
    assert f"{PYTHON} join" not in of.calls()


def test_a_node_that_cannot_join_is_told(node: Boots):
    of = node(COMPUTE)
    of.failing("agent join")
    assert of.boot() == 1
    assert "bootstrap failed with status 1" in of.read("told")


@pytest.mark.parametrize("said", ["broken", "x" * 70_000, '"\\\\"\'é', ""])
def test_the_row_has_the_end_of_the_log(node: Boots, dynamodb: Any, said: str):
    of, table = node(COMPUTE, **PRE), Table(dynamodb, "state", "demo/nodes")
    of.download(f"cat <<'END'\n{said}\nEND\nexit 3")
    of.boot()
    table.add(NodeRow(INSTANCE, "compute", "compute-1", Row.BOOTING, 0.0))
    dynamodb.update_item(**json.loads(of.read("told")))
    row = table.node(INSTANCE)
    assert row
    assert (row.state, row.name, row.served, row.since > 1_700_000_000) == (Row.FAILED, "compute-1", False, True)
    assert row.reason.startswith("bootstrap failed with status 3\n")
    assert said[-1000:] in row.reason
    assert len(row.reason) <= REASON
    assert len(row.reason) > REASON - 3 or len(said) < REASON


def test_a_row_that_has_failed_or_is_not_there_is_left_as_it_is(node: Boots, dynamodb: Any):
    of, table = node(COMPUTE, **PRE), Table(dynamodb, "state", "demo/nodes")
    of.download("exit 3")
    of.boot()
    row = NodeRow(INSTANCE, "compute", "compute-1", Row.FAILED, 0.0, reason="Spot interruption at noon")
    for told in (None, row):
        if told:
            table.add(replace(told, state=Row.BOOTING))
            table.tell_state(INSTANCE, Row.FAILED, told.reason, told.since)
        with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
            dynamodb.update_item(**json.loads(of.read("told")))
        assert table.node(INSTANCE) == told


def test_a_row_that_is_still_to_be_made_is_waited_for(node: Boots):
    of = node(COMPUTE, **PRE)
    of.download("exit 3")
    of.failing("aws dynamodb update-item")
    of.boot()
    assert len(of.calls(TELL)) > 1


def test_a_failure_that_nobody_hears_ends_the_node_all_the_same(node: Boots):
    of = node(COMPUTE)
    of.failing("agent join", "aws dynamodb update-item")
    assert of.boot() == 1
    assert of.calls(COMPLETE)[0].endswith("--lifecycle-action-result ABANDON")


def test_the_head_node_has_nobody_to_tell(node: Boots):
    of = node(HEAD, **POST)
    of.download("exit 3")
    assert of.boot() == 3
    assert of.calls(TELL) == []


def test_agents_take_the_proxy_too(node: Boots):
    of = node(COMPUTE, proxy="http://proxy.example.com:3128")
    assert of.boot() == 0, of.log
    (line,) = [line for line in unit(of, "muster-node") if line.startswith("Environment=")]
    assert line == (
        "Environment=https_proxy=http://proxy.example.com:3128 no_proxy=169.254.169.254,127.0.0.1,localhost"
    )


def test_without_a_proxy_there_is_none(node: Boots):
    of = node(COMPUTE)
    of.boot()
    assert not [line for line in unit(of, "muster-node") if line.startswith("Environment=")]
