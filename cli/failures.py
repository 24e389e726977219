"""What goes wrong, in words for the person at the terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

RIGHT = re.compile(r"perform: (\S+)(?: on resource: (\S+))?")

# Codes by which AWS's services say the same few things; the second part is what to do about it.
SAID: tuple[tuple[frozenset[str], str], ...] = (
    (
        frozenset(
            {
                "AuthFailure",
                "ExpiredToken",
                "ExpiredTokenException",
                "IncompleteSignature",
                "InvalidClientTokenId",
                "InvalidSignatureException",
                "RequestExpired",
                "SignatureDoesNotMatch",
                "UnrecognizedClientException",
            }
        ),
        "AWS refuses the credentials ({code}): renew them, or choose others with --profile",
    ),
    (
        frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"}),
        "access denied: {operation} needs the right {right}",
    ),
    (
        frozenset(
            {
                "ProvisionedThroughputExceededException",
                "RequestLimitExceeded",
                "RequestThrottled",
                "RequestThrottledException",
                "SlowDown",
                "ThrottledException",
                "Throttling",
                "ThrottlingException",
                "TooManyRequestsException",
            }
        ),
        "AWS throttles {operation} ({code}): try again in a moment",
    ),
)
OTHER = "{operation} answered {code}: {message}"

# What the SDK itself complains about before any service is asked, by the names of its exceptions.
CREDENTIALS = "no AWS credentials: set them with `aws configure`, AWS_PROFILE or --profile ({message})"
UNREACHABLE = "AWS cannot be reached: {message}"
SDK: dict[str, str] = {
    "NoCredentialsError": CREDENTIALS,
    "PartialCredentialsError": CREDENTIALS,
    "CredentialRetrievalError": CREDENTIALS,
    "TokenRetrievalError": CREDENTIALS,
    "SSOTokenLoadError": CREDENTIALS,
    "UnauthorizedSSOTokenError": CREDENTIALS,
    "ProfileNotFound": "{message}: name another with --profile or AWS_PROFILE",
    "NoRegionError": "no region: give --region, or set AWS_REGION",
    "EndpointConnectionError": UNREACHABLE,
    "ConnectTimeoutError": UNREACHABLE,
    "ReadTimeoutError": UNREACHABLE,
    "ConnectionClosedError": UNREACHABLE,
}


class Failure(Exception):  # noqa: N818 - an answer to the user
    """Something that the user can put right; each of its lines is one message."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def not_found(name: str) -> Failure:
    """The failure of a verb on a cluster that there is not."""
    return Failure(f'cluster "{name}" not found')


def explained(error: Exception) -> tuple[str, ...]:
    """An error as lines for the user; none when it is not for the user, but a fault of this program."""
    if isinstance(error, Failure):
        return error.lines
    from botocore.exceptions import BotoCoreError, ClientError

    from reconciler.outcomes import AwsError

    if isinstance(error, ClientError):
        return (_answered(*_parts(error)),)
    if isinstance(error, AwsError):
        return (_answered(error.operation, error.code, error.message),)
    if isinstance(error, BotoCoreError):
        return (_complained(type(error).__name__, str(error)),)
    return ()


def _parts(error: ClientError) -> tuple[str, str, str]:
    said: Any = error.response.get("Error", {})
    return error.operation_name, said.get("Code", "Unknown"), said.get("Message", str(error))


def _answered(operation: str, code: str, message: str) -> str:
    if code in SDK:
        return _complained(code, message)
    words = next((words for codes, words in SAID if code in codes), OTHER)
    return _one_line(words.format(operation=operation, code=code, message=message, right=_right(operation, message)))


def _right(operation: str, message: str) -> str:
    """The right that AWS's message names, with the resource; else the message itself."""
    named = RIGHT.search(message)
    if named is None:
        return f"to call it: {message}" if message else f"to call {operation}"
    action, resource = named.groups()
    return f"{action} on {resource}" if resource else action


def _complained(name: str, message: str) -> str:
    return _one_line(SDK.get(name, "{message}").format(message=message))


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
