"""What an error of AWS means, by code and by message."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from reconciler.outcomes import CODES, AwsError, Outcome, blocked_outside, outcome_of

# Code, message and what it means: AWS's own words, as its services say them.
CASES = [
    ("Throttling", "Rate exceeded", Outcome.RETRY),
    ("ThrottlingException", "Rate exceeded", Outcome.RETRY),
    ("RequestLimitExceeded", "Request limit exceeded.", Outcome.RETRY),
    ("ServiceUnavailable", "", Outcome.RETRY),
    ("ReadTimeoutError", "Read timeout on endpoint URL", Outcome.RETRY),
    ("NeverHeardOf", "", Outcome.RETRY),
    ("500", "", Outcome.RETRY),
    ("AccessDenied", "User is not authorized to perform: cloudformation:CreateStack", Outcome.BLOCKED),
    ("UnauthorizedOperation", "You are not authorized to perform this operation.", Outcome.BLOCKED),
    ("LimitExceededException", "Limit on the number of stacks has been reached", Outcome.BLOCKED),
    ("VpcLimitExceeded", "The maximum number of VPCs has been reached.", Outcome.BLOCKED),
    ("ServiceQuotaExceededException", "", Outcome.BLOCKED),
    ("FileSystemLimitExceeded", "", Outcome.BLOCKED),
    ("ValidationError", "Template format error: unsupported structure", Outcome.TERMINAL),
    ("ValidationError", "Parameters: [x] must have values", Outcome.TERMINAL),
    ("InvalidParameterValue", "Value (x) for parameter groupId is invalid", Outcome.TERMINAL),
    ("InsufficientCapabilitiesException", "Requires capabilities : [CAPABILITY_IAM]", Outcome.TERMINAL),
    (
        "ValidationError",
        "Stack:arn is in UPDATE_IN_PROGRESS state and can not be updated.",
        Outcome.RETRY,
    ),
    ("ValidationError", "Stack [x] cannot be deleted while in status UPDATE_ROLLBACK_IN_PROGRESS", Outcome.RETRY),
    ("ValidationError", "User: arn is not authorized to perform: iam:PassRole on resource", Outcome.BLOCKED),
    ("ValidationError", "S3 error: Access Denied", Outcome.BLOCKED),
    ("ValidationError", "You have exceeded the limit of launch templates", Outcome.BLOCKED),
]


@pytest.mark.parametrize(("code", "message", "outcome"), CASES)
def test_what_an_error_means(code: str, message: str, outcome: Outcome) -> None:
    assert outcome_of(code, message) is outcome


@pytest.mark.parametrize("code", CODES)
def test_each_code_of_the_table_means_what_it_says(code: str) -> None:
    assert outcome_of(code) is CODES[code]


REASONS = [
    ("API: ec2:RunInstances You are not authorized to perform this operation", True),
    ("You have requested more vCPU capacity than your current vCPU limit; vCPU limit exceeded", True),
    ("The maximum number of addresses has been reached. Quota", True),
    ("Resource handler returned message: The image id '[ami-1]' does not exist", False),
    ("We currently do not have sufficient c7i.large capacity", False),
    ("", False),
]


@pytest.mark.parametrize(("reason", "blocked"), REASONS)
def test_whether_a_stacks_failure_can_pass_without_an_edit(reason: str, blocked: bool) -> None:
    assert blocked_outside(reason) is blocked


def test_an_error_says_what_about_and_what() -> None:
    error = AwsError("stack muster-demo", "CreateStack", "AccessDenied", "no", Outcome.BLOCKED)
    assert str(error) == "stack muster-demo: CreateStack answered AccessDenied: no"


def test_an_error_can_pass_through_a_context_manager() -> None:
    """contextlib sets the traceback of what passes; an exception has to allow that."""

    @contextmanager
    def around() -> Iterator[None]:
        yield

    with pytest.raises(AwsError), around():
        raise AwsError("x", "y", "z", "", Outcome.RETRY)
