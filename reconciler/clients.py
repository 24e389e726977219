"""The AWS clients of a pass, made when first used: each costs tens of milliseconds of a cold start."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

# Few tries within a call: a pass is short, and what throttles it is met again by the next pass, later.
CONFIG = Config(retries={"mode": "standard", "max_attempts": 3}, connect_timeout=5, read_timeout=20)


class Clients:
    """Every service that a pass may call, by its boto3 name."""

    def __init__(self, region: str | None = None) -> None:
        self._region = region or None

    def _make(self, service: Any) -> Any:
        return cast("Any", boto3).client(service, region_name=self._region, config=CONFIG)

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":  # noqa: D102
        return self._make("dynamodb")

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":  # noqa: D102
        return self._make("cloudformation")

    @cached_property
    def autoscaling(self) -> "AutoScalingClient":  # noqa: D102
        return self._make("autoscaling")

    @cached_property
    def ec2(self) -> "EC2Client":  # noqa: D102
        return self._make("ec2")

    @cached_property
    def s3(self) -> "S3Client":  # noqa: D102
        return self._make("s3")

    @cached_property
    def sqs(self) -> "SQSClient":  # noqa: D102
        return self._make("sqs")

    @cached_property
    def ssm(self) -> "SSMClient":  # noqa: D102
        return self._make("ssm")
