"""A control plane in moto, as its stack's outputs show it, and the command that is run against it."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
import yaml
from botocore import session
from botocore.loaders import create_loader
from moto import mock_aws
from typer import main, testing
from typer.testing import CliRunner

from cli.main import app
from reconciler.actions import Event
from reconciler.cluster import to_item
from reconciler.facts import CLUSTER_TAG
from reconciler.record import Lease, Record
from reconciler.store import Store, content_hash, decode, encode
from reconciler.version import VERSION
from tests.unit import factories
from tests.unit.cli.batch import Batch

SPECS, STATE = "specs-table", "state-table"
OUTPUTS = {
    "SpecsTable": SPECS,
    "StateTable": STATE,
    "ArtifactsBucket": "artifacts-bucket",
    "CleanupFunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:cleanup",
    "Version": VERSION,
}


def stack_of(outputs: Mapping[str, str]) -> str:
    """A template whose outputs are these."""
    return json.dumps(
        {
            "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
            "Outputs": {name: {"Value": value} for name, value in outputs.items()},
        }
    )


# The command of an app takes longer to make than to run, and the descriptions of services, which each session of
# botocore reads anew, to read than to use. A client changes them, so that what proxies AWS has to have its own.
testing._get_command = functools.cache(main.get_command)
session.create_loader = functools.cache(create_loader)


@functools.cache
def client(service: str) -> Any:
    """A client for all tests: moto keeps their worlds apart, and each client costs a tenth of a second."""
    return boto3.Session().client(service)


class World:
    """The account: its clients, its tables, and `muster`."""

    def __init__(self) -> None:
        self.dynamodb = client("dynamodb")
        self.store = Store(self.dynamodb, SPECS, STATE)

    @property
    def cloudformation(self) -> Any:
        return client("cloudformation")

    def deploy(self, stack: str = "muster", **outputs: str) -> None:
        self.cloudformation.create_stack(StackName=stack, TemplateBody=stack_of({**OUTPUTS, **outputs}))

    def run(self, *args: str, code: int = 0, stdin: str | None = None) -> Any:
        """`muster` with arguments; its exit code has to be the one expected."""
        result = CliRunner().invoke(app, list(args), input=stdin)
        assert result.exit_code == code, f"{result.exit_code}: {result.output}{result.exception!r}"
        return result

    def lines(self, *args: str, **options: Any) -> list[list[str]]:
        """The words of each line of what `muster` prints."""
        return [line.split() for line in self.run(*args, **options).stdout.splitlines()]

    def put(self, name: str = "demo", **changes: Any) -> dict[str, Any]:
        """Put a spec, as a user of the table would, and get the raw item back."""
        labels = changes.pop("labels", None)
        document = factories.document(name, **changes)
        if labels:
            document["metadata"]["labels"] = labels
        return self.put_item(to_item(document))

    def put_item(self, item: Mapping[str, Any]) -> dict[str, Any]:
        self.dynamodb.put_item(TableName=SPECS, Item=item)
        found = self.item(item["name"]["S"])
        assert found is not None
        return found

    def item(self, name: str = "demo") -> dict[str, Any] | None:
        return self.dynamodb.get_item(TableName=SPECS, Key={"name": {"S": name}}).get("Item")

    def remove(self, name: str = "demo") -> None:
        self.dynamodb.delete_item(TableName=SPECS, Key={"name": {"S": name}})

    def document(self, name: str = "demo") -> dict[str, Any]:
        """The item as plain Python."""
        item = self.item(name)
        assert item is not None
        return decode(item)

    def remember(self, record: Record) -> Record:
        """Write a record as the operator does."""
        self.forget(record.cluster)
        held = self.store.take(record.remember(lease=Lease()), "a pass", 1, 0)
        self.store.report(held, [], 0)
        return held

    def forget(self, name: str = "demo") -> None:
        self.dynamodb.delete_item(TableName=STATE, Key=encode({"cluster": name, "row": "STATE"}))

    def reconciled(self, name: str = "demo", *, generation: int = 1, **facts: Any) -> Record:
        """The operator has seen the spec as it stands, and everything is as specified but for the facts given."""
        memory = factories.record(
            cluster=name, generation=generation, spec_hash=content_hash(self.item(name)), created=0.0
        )
        wanted = factories.desired(name=name) if self.item(name) else factories.gone(name=name)
        tags = {**factories.stack().tags, CLUSTER_TAG: name}
        plan = factories.planned(wanted, factories.actual(**{"stack": factories.stack(tags=tags), **facts}), memory)
        return self.remember(plan.record)

    def tell(self, name: str, *events: Event, at: float = 0.0) -> None:
        """Write events as the operator does."""
        record = self.store.load(name)[1] or Record(name, "uid")
        held = self.store.take(record, "a pass", 1, at)
        self.store.report(held, events, at)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An account with the two tables and no control plane's stack."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "MUSTER_STACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    with mock_aws():
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        world = World()
        make_tables(world.dynamodb)
        yield world


@pytest.fixture
def world(account: World) -> World:
    """An account with a control plane."""
    account.deploy()
    return account


@pytest.fixture
def spec_file(tmp_path: Any) -> Any:
    """Writes documents to a file, and gives its name."""

    def write(*documents: Mapping[str, Any], name: str = "demo.yaml") -> str:
        path = tmp_path / name
        path.write_text(yaml.safe_dump_all(documents))
        return str(path)

    return write


def make_tables(dynamodb: Any) -> None:
    dynamodb.create_table(
        TableName=SPECS,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
    )
    dynamodb.create_table(
        TableName=STATE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("cluster", "row", "kind")],
        KeySchema=[{"AttributeName": "cluster", "KeyType": "HASH"}, {"AttributeName": "row", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "clusters",
                "KeySchema": [
                    {"AttributeName": "kind", "KeyType": "HASH"},
                    {"AttributeName": "cluster", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["generation", "specHash", "phase"]},
            }
        ],
    )


@pytest.fixture
def batch(world: World, monkeypatch: pytest.MonkeyPatch) -> Batch:
    """AWS Batch beside a control plane, with one queue and one definition of cluster demo."""
    monkeypatch.setenv("MUSTER_CLUSTER", "demo")
    made = Batch(monkeypatch)
    made.queue()
    made.definition()
    client("s3").create_bucket(Bucket=OUTPUTS["ArtifactsBucket"])
    return made
