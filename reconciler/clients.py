"""The AWS clients of a pass, made when first used: each costs tens of milliseconds of a cold start."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_codebuild import CodeBuildClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

# How often a call is made again when it is throttled or breaks. A pass is short, and what throttles it is met again by
# the next pass, later. A sweep that breaks has to begin anew, and it has time: a minute or so for one call.
RETRIES, PATIENT_RETRIES = 3, 9


class Clients:
    """Every service that a pass may call, by its boto3 name."""

    def __init__(self, region: str | None = None, retries: int = RETRIES) -> None:
        self._region = region or None
        self._config = Config(retries={"mode": "standard", "max_attempts": retries}, connect_timeout=5, read_timeout=20)

    def _make(self, service: Any) -> Any:
        return cast("Any", boto3).client(service, region_name=self._region, config=self._config)

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

    @cached_property
    def batch(self) -> "BatchClient":  # noqa: D102
        return self._make("batch")

    @cached_property
    def codebuild(self) -> "CodeBuildClient":  # noqa: D102
        return self._make("codebuild")

    @cached_property
    def ecr(self) -> "ECRClient":  # noqa: D102
        return self._make("ecr")

    @cached_property
    def ecs(self) -> Any:  # noqa: D102
        return self._make("ecs")
