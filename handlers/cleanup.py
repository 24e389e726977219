"""Lambda entry point of the clean-up custom resources."""

from collections.abc import Mapping
from functools import cache, partial
from typing import Any, cast

import boto3
import urllib3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from reconciler.cleanup import empty_prefix, empty_repository
from reconciler.custom_resource import Calls, Kind, ecr_target, s3_target, serve

RESERVE = 90.0  # seconds: the longest call with all its retries, and the answer with its own
BACKOFF = 0.5  # seconds before the second retry of the answer; doubled each time
logger = Logger()

KINDS: dict[str, Kind] = {
    "Custom::S3Cleanup": lambda properties: partial(empty_prefix, _client("s3"), *s3_target(properties)),
    "Custom::EcrCleanup": lambda properties: partial(empty_repository, _client("ecr"), ecr_target(properties)),
}


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: LambdaContext) -> None:
    """Serve one request of CloudFormation, or go on with one."""

    def left() -> float:
        return context.get_remaining_time_in_millis() / 1000 - RESERVE

    def again(payload: bytes) -> None:
        _client("lambda").invoke(FunctionName=context.invoked_function_arn, InvocationType="Event", Payload=payload)

    serve(event, KINDS, left, Calls(_put, again))


def _put(url: str, body: bytes) -> None:
    """Put the answer to CloudFormation's presigned URL, which is signed for no content type.

    Raises urllib3's `HTTPError` when it cannot be delivered, `OSError` when it is refused.
    """
    retries = urllib3.Retry(total=6, backoff_factor=BACKOFF, status_forcelist=range(500, 600), allowed_methods=["PUT"])
    answer = urllib3.PoolManager(timeout=10).request(
        "PUT", url, body=body, headers={"Content-Type": ""}, retries=retries
    )
    if answer.status >= 400:
        raise OSError(f"CloudFormation refused the answer: HTTP {answer.status}")


@cache
def _client(service: Any) -> Any:
    config = Config(retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=5, read_timeout=20)
    return cast("Any", boto3).client(service, config=config)
