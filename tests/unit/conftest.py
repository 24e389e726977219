"""What the unit tests share."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.unit.plane import Plane, control_plane

KEYS = {"cluster": "HASH", "row": "RANGE"}


@pytest.fixture
def plane() -> Iterator[Plane]:
    """A control plane on moto, with nothing in it."""
    with control_plane() as made:
        yield made


@pytest.fixture
def dynamodb() -> Iterator[Any]:
    """DynamoDB with the rows of nodes, none yet."""
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        client.create_table(
            TableName="state",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in KEYS],
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in KEYS.items()],
        )
        yield client
