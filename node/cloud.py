"""The AWS clients of an instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

    from node.facts import Node

# Calls at once: writes about single nodes go out side by side.
WIDTH = 16


class Cloud:
    """Clients for the cluster's region; thousands of nodes begin at once, so each tries patiently."""

    def __init__(self, node: Node) -> None:
        config = Config(
            retries={"mode": "standard", "max_attempts": 6},
            max_pool_connections=WIDTH,
            connect_timeout=10,
            read_timeout=30,
        )
        settings: dict[str, Any] = {"region_name": node.region, "config": config}
        make = cast("Any", boto3).client
        self.dynamodb: DynamoDBClient = make("dynamodb", **settings)
        self.autoscaling: AutoScalingClient = make("autoscaling", **settings)
        self.sqs: SQSClient = make("sqs", **settings)
