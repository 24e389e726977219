"""AWS's bad days: a share of the calls that Lambda functions make fails, as their SDK would see it.

What becomes of a call hangs on the id that the SDK gives to all tries of it, so that half of the faults outlast the
tries and reach the function. ``GET /_local/weather`` counts calls, and faults by kind. Sources: the services' API
references, "Common errors"; SDKs and Tools reference guide, "Retry behavior".
"""

import asyncio
import hashlib
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from local.additions.settings import settings

PATH = "/_local/weather"
Asgi = Callable[..., Awaitable[None]]
# Of a thousand faults, how many are of each kind.
KINDS = {"throttled": 500, "broken": 296, "cut": 100, "unheard": 100, "hanging": 4}
HANG = 25.0  # seconds, more than a client of the operator waits
# The access key of a function's role, and the service that the call is signed for.
SIGNED = re.compile(rb"Credential=ASIA\w+/\d+/[\w-]+/(\w+)/aws4_request")
# Code and HTTP status of a throttled call, and of one that AWS fails at; by service.
THROTTLED = {
    "dynamodb": ("ProvisionedThroughputExceededException", 400),
    "ec2": ("RequestLimitExceeded", 503),
    "s3": ("SlowDown", 503),
    "sqs": ("RequestThrottled", 403),
    "ssm": ("ThrottlingException", 400),
}
BROKEN = {
    "autoscaling": ("InternalFailure", 500),
    "cloudformation": ("InternalFailure", 500),
    "sqs": ("InternalFailure", 500),
    "dynamodb": ("InternalServerError", 500),
    "ssm": ("InternalServerError", 500),
}
counts: Counter[str] = Counter()


def faulty(app: Asgi) -> Asgi:
    """The application, with faults in it as the settings say."""

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers", ()))
        signed = SIGNED.search(headers.get(b"authorization", b""))
        if signed is None:
            await app(scope, receive, send)
            return
        counts["calls"] += 1
        kind = _kind(headers)
        counts.update([kind] if kind else [])
        await _answer(app, kind, signed[1].decode(), (scope, receive, send))

    return wrapped


def answer(_method: str, _body: bytes) -> tuple[int, bytes]:
    """The counts so far: calls, each try of one for itself, and those that were faulted, by kind."""
    return 200, json.dumps(counts).encode()


def _kind(headers: dict[bytes, bytes]) -> str:
    """What becomes of a call, empty if it is answered as it should be."""
    drawn = hashlib.sha256(headers.get(b"amz-sdk-invocation-id", b"")).digest()
    if int.from_bytes(drawn[:4]) >= settings.faults * 2**32:
        return ""
    place = int.from_bytes(drawn[4:8]) * sum(KINDS.values()) // 2**32
    kind = next(kind for number, kind in enumerate(KINDS) if place < sum([*KINDS.values()][: number + 1]))
    passing = drawn[8] < 128 or kind == "hanging"
    return "" if passing and b"attempt=1" not in headers.get(b"amz-sdk-request", b"attempt=1") else kind


async def _answer(app: Asgi, kind: str, service: str, call: tuple[dict[str, Any], Any, Any]) -> None:
    scope, receive, send = call
    match kind:
        case "throttled":
            await _refuse(service, *THROTTLED.get(service, ("Throttling", 400)), send)
        case "broken":
            await _refuse(service, *BROKEN.get(service, ("InternalError", 500)), send)
        case "cut":
            await _cut(send)
        case "unheard":
            await app(scope, receive, _unheard)
            await _cut(send)
        case "hanging":
            await asyncio.sleep(HANG)
            await _cut(send)
        case _:
            await app(scope, receive, send)


async def _unheard(message: dict[str, Any]) -> None:
    """The call takes effect, and its answer goes nowhere."""


async def _cut(send: Any) -> None:
    """An answer that breaks off: with its end still owed, the server closes the connection."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
    await send({"type": "http.response.body", "body": b"", "more_body": True})


async def _refuse(service: str, code: str, status: int, send: Any) -> None:
    kind, body = _error(service, code)
    headers = [(b"content-type", kind), (b"x-amzn-errortype", code.encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


def _error(service: str, code: str) -> tuple[bytes, str]:
    """An error in the words of the service's protocol."""
    error = f"<Code>{code}</Code><Message>A fault that was asked for</Message>"
    match service:
        case "dynamodb" | "sqs" | "ssm":
            return b"application/x-amz-json-1.0", json.dumps({"__type": code, "message": "A fault that was asked for"})
        case "ec2":
            return b"text/xml", f"<Response><Errors><Error>{error}</Error></Errors><RequestID>0</RequestID></Response>"
        case "s3":
            return b"application/xml", f"<Error>{error}</Error>"
        case _:
            return b"text/xml", f"<ErrorResponse><Error>{error}</Error><RequestId>0</RequestId></ErrorResponse>"
