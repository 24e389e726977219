"""The proxy before the local AWS: what each fault is to an SDK, and whether the call took effect."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, IncompleteReadError, ResponseStreamingError
from botocore.parsers import ResponseParserError

from local import LocalAws
from local.aws import REGION
from local.faults import LOST, MALFORMED, RESET, Proxy, error, faults

BROKEN = (ConnectionClosedError, IncompleteReadError, ResponseStreamingError)


@pytest.fixture(scope="module")
def proxy(running: LocalAws) -> Iterator[Proxy]:
    with faults(running) as started:
        yield started


def client(aws: LocalAws, proxy: Proxy, service: str, attempts: int = 1) -> Any:
    keys = aws.env["AWS_ACCESS_KEY_ID"], aws.env["AWS_SECRET_ACCESS_KEY"]
    config = Config(retries={"mode": "standard", "total_max_attempts": attempts})
    return boto3.Session(*keys, region_name=REGION).client(service, endpoint_url=proxy.endpoint, config=config)


@pytest.mark.parametrize(
    ("fault", "met", "done"),
    [
        (error("Throttling"), ClientError, False),
        (error("InternalFailure", 500), ClientError, False),
        (error("AccessDenied", 403), ClientError, False),
        (RESET, BROKEN, False),
        (LOST, BROKEN, True),
        (MALFORMED, ResponseParserError, True),
    ],
    ids=["throttle", "5xx", "denied", "reset", "lost answer", "malformed"],
)
def test_a_fault_is_to_an_sdk_what_it_is_on_aws(
    aws: LocalAws, proxy: Proxy, name: str, fault: dict[str, Any], met: Any, done: bool
) -> None:
    proxy.set({"service": "cloudformation", "operation": "CreateStack", "times": 1, **fault})
    body = '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'
    with pytest.raises(met) as raised:
        client(aws, proxy, "cloudformation").create_stack(StackName=name, TemplateBody=body)
    if isinstance(raised.value, ClientError):
        assert raised.value.response["Error"]["Code"] == fault["error"]["code"]
    stacks = aws.client("cloudformation").list_stacks()["StackSummaries"]
    assert (name in [each["StackName"] for each in stacks]) is done
    assert [(each["service"], each["operation"]) for each in proxy.fired()] == [("cloudformation", "CreateStack")]


def test_a_fault_that_comes_once_is_over_at_the_sdks_next_try(aws: LocalAws, proxy: Proxy) -> None:
    proxy.set({"service": "sts", "times": 1, **error("Throttling")})
    assert client(aws, proxy, "sts", attempts=2).get_caller_identity()["Arn"].endswith(":root")
    assert len(proxy.fired()) == 1
