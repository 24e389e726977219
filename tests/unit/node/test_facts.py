"""What an instance is told, and what it says of it when it cannot be read."""

import json
from pathlib import Path

import pytest

from node.facts import Facts, FactsError, Queue, parse_facts, parse_node, read_node
from tests.unit import slurm_factories as make

NODE = {
    "cluster": "demo", "region": "us-east-1", "table": "state", "queueUrl": "https://q", "logGroup": "/muster/demo",
    "queue": "cpu", "group": "muster-demo.cpu", "head": "10.0.0.5",
}  # fmt: skip
QUEUE = {"name": "cpu", "group": "muster-demo.cpu", "max": 10, "cpus": 4, "memory": 15564, "gpus": 0}


def test_an_instances_own_document(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    path.write_text(json.dumps(NODE))
    node = read_node(path)
    assert (node.cluster, node.queue_url, node.head) == ("demo", "https://q", "10.0.0.5")
    assert node.partition == "demo/nodes"


def test_a_cluster_s_document() -> None:
    found = parse_facts(json.dumps({"queues": [QUEUE]}))
    assert found == Facts((Queue("cpu", "muster-demo.cpu", 10, 4, 15564, 0),))


def test_what_the_operator_writes_is_read() -> None:
    assert parse_facts(make.desired().facts).queues


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "node.json is unreadable"),
        ("[]", "it is no object"),
        (json.dumps({key: value for key, value in NODE.items() if key != "table"}), "'table' is missing"),
        (json.dumps({**NODE, "head": None}), "head is no text"),
    ],
)
def test_an_unreadable_node_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(FactsError, match=message):
        parse_node(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "FACTS is unreadable"),
        ("{}", "'queues' is missing"),
        (json.dumps({"queues": [{**QUEUE, "max": "10"}]}), "max is no number"),
        (json.dumps({"queues": [{**QUEUE, "cpus": -1}]}), "cpus is no number"),
        (json.dumps({"queues": [{**QUEUE, "gpus": True}]}), "gpus is no number"),
        (json.dumps({"queues": "cpu"}), "FACTS is unreadable"),
        (json.dumps({"queues": None}), "FACTS is unreadable"),
    ],
)
def test_unreadable_facts_say_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(FactsError, match=message):
        parse_facts(text)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FactsError, match="No such file"):
        read_node(tmp_path / "node.json")
