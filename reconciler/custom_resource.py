"""Serve `Custom::S3Cleanup` and `Custom::EcrCleanup`: empty what a stack's deletion would stumble over.

Properties: {Bucket, and either Prefix or WholeBucket: true}, and {RepositoryName}. Create and Update check them and do
nothing; Delete empties what they name. A run that nears its function's timeout goes on in a further invocation, and
the run that ends the work answers CloudFormation, once.

Ours instead of crhelper, the library for such functions: for a Delete that takes several invocations it makes an
EventBridge rule and a permission for each resource, it may sleep two minutes before a Delete, and its physical ids are
random or whatever the function returns. An id that changes makes CloudFormation delete the "old" resource after an
update: here, all data. None of that can be switched off in less code than this.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools import Logger

from reconciler.cleanup import CleanupError, Deadline

LAST_RUN = 5  # five runs of 15 minutes outlast the hour that CloudFormation waits for an answer
REFUSED = "refused"  # the physical id of what never came to be

Event = Mapping[str, Any]
Kind = Callable[[Event], Callable[[Deadline], bool]]
"""A type of resource: takes its properties, and raises `CleanupError` if they are wrong; returns what empties it, which
in turn returns whether nothing is left."""

logger = Logger()


@dataclass(frozen=True)
class Calls:
    """What a run may call: `answer` puts a body to a URL, `again` invokes the function with an event, not waiting."""

    answer: Callable[[str, bytes], None]
    again: Callable[[bytes], None]


def serve(event: Event, kinds: Mapping[str, Kind], deadline: Deadline, calls: Calls) -> None:
    """Carry out one request of CloudFormation and answer it, whatever happens.

    Raises only if the answer itself cannot be given; Lambda then invokes the function with the same event again.
    """
    physical_id = event.get("PhysicalResourceId") or _physical_id(event)
    try:
        if not _carry_out(event, kinds, deadline):
            return _go_on(event, calls)
        answer = {"Status": "SUCCESS", "PhysicalResourceId": physical_id}
    except Exception as error:  # with no answer at all the stack would hang for an hour
        logger.exception("request failed", extra=_summary(event))
        refused = event.get("RequestType") == "Create"
        answer = {
            "Status": "FAILED",
            "PhysicalResourceId": REFUSED if refused else physical_id,
            "Reason": f"{type(error).__name__}: {error}"[:1000],
        }
    body = answer | {key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    logger.info("answer", extra=_summary(event) | answer)
    return calls.answer(event["ResponseURL"], json.dumps(body).encode())


def s3_target(properties: Event) -> tuple[str, str]:
    """Bucket and prefix of Custom::S3Cleanup. To empty all has to be said: an empty prefix may be a slip."""
    bucket, prefix = properties.get("Bucket"), properties.get("Prefix")
    whole = properties.get("WholeBucket") == "true"
    if not bucket:
        raise CleanupError("Bucket: required, the name of the bucket")
    if whole == bool(prefix):
        raise CleanupError(f"Prefix: {prefix!r}; give either a prefix that is not empty, or WholeBucket: true")
    return bucket, prefix or ""


def ecr_target(properties: Event) -> str:
    """Repository of Custom::EcrCleanup."""
    if not properties.get("RepositoryName"):
        raise CleanupError("RepositoryName: required, the name of the repository")
    return properties["RepositoryName"]


def _carry_out(event: Event, kinds: Mapping[str, Kind], deadline: Deadline) -> bool:
    """Returns whether the request is done with."""
    request, resource = event["RequestType"], event["ResourceType"]
    if request not in {"Create", "Update", "Delete"}:
        raise CleanupError(f"RequestType {request!r} is not known")
    if request == "Delete" and event["PhysicalResourceId"] == REFUSED:
        return True
    if resource not in kinds:
        raise CleanupError(f"ResourceType {resource!r} is not served here, only {sorted(kinds)}")
    empty = kinds[resource](event["ResourceProperties"])
    return request != "Delete" or empty(deadline)


def _go_on(event: Event, calls: Calls) -> None:
    run = event.get("Run", 1)
    if run == LAST_RUN:
        raise CleanupError(f"not empty after {LAST_RUN} runs; delete the stack again to go on")
    logger.info("going on in a further invocation", extra=_summary(event))
    calls.again(json.dumps({**event, "Run": run + 1}).encode())


def _physical_id(event: Event) -> str:
    """The same for a repeated Create, another in each stack."""
    origin = f"{event['StackId']}/{event['LogicalResourceId']}"
    return f"{event['LogicalResourceId']}-{hashlib.sha256(origin.encode()).hexdigest()[:16]}"


def _summary(event: Event) -> dict[str, Any]:
    """For the log; the event itself holds a URL by which anybody could answer."""
    keys = ("RequestType", "ResourceType", "StackId", "LogicalResourceId", "RequestId", "Run")
    return {key: event.get(key) for key in keys}
