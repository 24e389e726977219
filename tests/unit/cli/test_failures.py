"""Errors: one readable line on standard error, no traceback, exit code 1."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError
from typer.testing import CliRunner

from cli.failures import SAID, explained
from cli.main import app
from reconciler.outcomes import CODES, AwsError, Outcome, outcome_of
from tests.unit import factories
from tests.unit.cli.conftest import World

DENIED = (
    "User: arn:aws:iam::123456789012:user/u is not authorized to perform: dynamodb:PutItem on resource: "
    "arn:aws:dynamodb:us-east-1:123456789012:table/specs because no identity-based policy allows it"
)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Exception], None]:
    """Lets one operation end in an error; all others do as before."""

    def answer(operation: str, error: Exception) -> None:
        call = BaseClient._make_api_call

        def failing(self: Any, name: str, asked: Any) -> Any:
            if name == operation:
                raise error
            return call(self, name, asked)

        monkeypatch.setattr(BaseClient, "_make_api_call", failing)

    return answer


def said(code: str, message: str = "", operation: str = "PutItem") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            said("AccessDeniedException", DENIED),
            "access denied: PutItem needs the right dynamodb:PutItem on "
            "arn:aws:dynamodb:us-east-1:123456789012:table/specs",
        ),
        (said("AccessDenied", "No."), "access denied: PutItem needs the right to call it: No"),
        (said("AccessDenied"), "access denied: PutItem needs the right to call PutItem"),
        (
            said("ThrottlingException", "Rate exceeded"),
            "AWS throttles PutItem (ThrottlingException): try again in a moment",
        ),
        (
            said("ExpiredToken", "x"),
            "AWS refuses the credentials (ExpiredToken): renew them, or choose others with --profile",
        ),
        (said("ResourceNotFoundException", "Table\n gone."), "PutItem answered ResourceNotFoundException: Table gone"),
        (NoCredentialsError(), "no AWS credentials: "),
        (EndpointConnectionError(endpoint_url="http://localhost:1"), "AWS cannot be reached: "),
        (ReadTimeoutError(endpoint_url="http://localhost:1"), "AWS cannot be reached: "),
    ],
)
def test_what_aws_says_is_one_line(
    world: World, spec_file: Callable[..., str], answers: Callable[..., None], error: Exception, line: str
) -> None:
    path = spec_file(factories.document())
    answers("PutItem", error)
    result = world.run("apply", "-f", path, code=1)
    assert result.stderr.startswith(f"error: {line}")
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_reading_needs_no_right_to_write(
    world: World, spec_file: Callable[..., str], answers: Callable[..., None]
) -> None:
    world.put()
    for operation in ("PutItem", "DeleteItem", "UpdateItem", "TransactWriteItems"):
        answers(operation, said("AccessDeniedException", DENIED))
    world.run("get")
    world.run("describe")
    world.run("diff", "-f", spec_file(factories.document()), code=2)


@pytest.mark.parametrize("code", [code for codes, _ in SAID for code in sorted(codes)])
def test_the_codes_that_are_put_into_words_never_mean_done(code: str) -> None:
    assert outcome_of(code) in (Outcome.RETRY, Outcome.BLOCKED)


def test_every_code_that_means_throttling_to_the_operator_is_put_into_words() -> None:
    throttling = {code for code in CODES if "hrottl" in code or "TooMany" in code}
    words = {code for codes, text in SAID if "throttles" in text for code in codes}
    assert throttling <= words


def test_an_error_of_a_plan_is_put_into_the_same_words() -> None:
    error = AwsError("cluster demo", "DescribeStacks", "Throttling", "Rate exceeded", Outcome.RETRY)
    assert explained(error) == ("AWS throttles DescribeStacks (Throttling): try again in a moment",)


def test_an_error_of_the_sdk_within_a_plan_too() -> None:
    error = AwsError("cluster demo", "the call", "EndpointConnectionError", "no host", Outcome.RETRY)
    assert explained(error) == ("AWS cannot be reached: no host",)


def test_a_fault_of_the_program_is_not_hidden(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr("cli.seen.every", broken)
    assert isinstance(CliRunner().invoke(app, ["get"]).exception, ZeroDivisionError)


def test_no_credentials_are_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    assert world.run("get", code=1).stderr.startswith("error: no AWS credentials: ")


def test_no_region_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert world.run("get", code=1).stderr == "error: no region: give --region, or set AWS_REGION\n"


def test_no_profile_is_told(world: World) -> None:
    stderr = world.run("--profile", "nope", "get", code=1).stderr
    assert stderr == "error: The config profile (nope) could not be found: name another with --profile or AWS_PROFILE\n"
