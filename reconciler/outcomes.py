"""The one switch for all outcomes of an AWS call, as data: what an error means for the pass that met it."""

import re
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What a pass does after a call that failed, and was not done already (see `act`)."""

    RETRY = "back off and try again"
    BLOCKED = "barred from outside (rights, quota): shown, and tried again at long intervals"
    TERMINAL = "wrong in itself: shown, and tried again when the spec changes"


# AWS's word that it did nothing, because it is asked too often.
THROTTLES = (
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "SlowDown",
    "BandwidthLimitExceeded",
)
# Error codes of the services that the operator calls. A code that is not here is retried with backoff and shown.
CODES: dict[str, Outcome] = {
    **dict.fromkeys(
        (
            *THROTTLES,
            "TransactionConflictException",
            "PriorRequestNotComplete",
            "InternalError",
            "InternalFailure",
            "InternalServerError",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            "Unavailable",
            "RequestTimeout",
            "RequestExpired",
            "OperationAborted",
            "ResourceContention",
            "ResourceContentionFault",
            "ScalingActivityInProgress",
            "ScalingActivityInProgressFault",
            "ResourceInUse",
            "InvalidChangeSetStatus",
            "OperationInProgressException",
        ),
        Outcome.RETRY,
    ),
    **dict.fromkeys(
        (
            "AccessDenied",
            "AccessDeniedException",
            "UnauthorizedOperation",
            "AuthFailure",
            "OptInRequired",
            "NotAuthorized",
            "InvalidClientTokenId",
            "UnrecognizedClientException",
            "ExpiredToken",
            "ExpiredTokenException",
            "KMSAccessDeniedException",
            "LimitExceededException",
            "LimitExceeded",
            "ServiceQuotaExceededException",
            "VcpuLimitExceeded",
            "InstanceLimitExceeded",
            "VolumeLimitExceeded",
            "MaxSpotInstanceCountExceeded",
        ),
        Outcome.BLOCKED,
    ),
    **dict.fromkeys(
        (
            "ValidationError",
            "ValidationException",
            "InvalidParameterValue",
            "InvalidInputException",
            "InsufficientCapabilitiesException",
        ),
        Outcome.TERMINAL,
    ),
}

# AWS says many different things under the code ValidationError; the message tells them apart.
MESSAGES: tuple[tuple[re.Pattern[str], Outcome], ...] = (
    (
        re.compile(r"_IN_PROGRESS|_FAILED state|current(ly)? .* state|in progress", re.IGNORECASE),
        Outcome.RETRY,
    ),
    (
        re.compile(r"limit ?exceeded|quota|exceeded the (maximum )?(number|limit)", re.IGNORECASE),
        Outcome.BLOCKED,
    ),
    (re.compile(r"not authorized|access ?denied|unauthorized", re.IGNORECASE), Outcome.BLOCKED),
)


@dataclass(eq=False)
class AwsError(Exception):
    """An AWS call that failed: what it was about, AWS's code and message, and what that means.

    Neither frozen nor slotted: Python sets the traceback of an exception on its way.
    """

    subject: str
    operation: str
    code: str
    message: str
    outcome: Outcome

    @property
    def unclear(self) -> bool:
        """Whether the call may have been carried out all the same, or may be yet."""
        return self.outcome is Outcome.RETRY and self.code not in THROTTLES

    def __str__(self) -> str:
        return f"{self.subject}: {self.operation} answered {self.code}: {self.message}"


def outcome_of(code: str, message: str = "") -> Outcome:
    """What an error means; a code that is not in the table, a 5xx among them, is worth another try."""
    known = CODES.get(code)
    if known is Outcome.TERMINAL:
        return next((outcome for pattern, outcome in MESSAGES if pattern.search(message)), Outcome.TERMINAL)
    if known is None and any(word in code for word in ("LimitExceeded", "QuotaExceeded")):
        return Outcome.BLOCKED
    return known or Outcome.RETRY


def blocked_outside(reason: str) -> bool:
    """Whether a stack's failure reason speaks of rights or quotas, which can change without the spec."""
    return any(pattern.search(reason) for pattern, outcome in MESSAGES if outcome is Outcome.BLOCKED)
