"""Lambda functions find what they find on AWS: their package, Python and its standard library, and the SDK.

MiniStack would start them with this process's interpreter, and so with all that is installed beside it: a package
that forgets a dependency would work here and fail on AWS.

What Lambda does for a function it does with the function's role: it reads the sources of events and writes the log
(Lambda Developer Guide, "Execution role permissions", and the pages on Amazon SQS and DynamoDB as event sources).
MiniStack does it in nobody's name.

A FIFO queue's message groups can be worked on at once, as Lambda does it: MiniStack takes one batch at a time, since a
batch may mix groups. A batch of one message cannot, and SQS holds back a group that is being worked on.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from local import runtime
from local.additions.access import role_may
from local.additions.emulator import app, lambda_runtime, lambda_svc, logs
from local.additions.settings import settings

# What a mapping needs on its source, by the source's service, and what it needs on everything.
POLLING = {
    "sqs": ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"),
    "dynamodb": ("DescribeStream", "GetRecords", "GetShardIterator"),
}
LISTING = {"sqs": (), "dynamodb": ("ListStreams",)}
LOGGING = ("logs:CreateLogStream", "logs:PutLogEvents")


def register() -> None:
    """Start functions with the interpreter that this environment is made from, and the SDK on its path."""
    sdk = Path(tempfile.gettempdir()) / "runtime-sdk"
    sdk.mkdir(exist_ok=True)
    runtime.link(sdk, *runtime.SDK)
    os.environ["PYTHONPATH"] = str(sdk)
    os.environ["PYTHONNOUSERSITE"] = "1"
    detect = lambda_runtime._detect_runtime_binary

    def base_interpreter(asked: str) -> tuple[str, str]:
        binary, script = detect(asked)
        return (runtime.interpreter() if asked.startswith("python") else binary), script

    lambda_runtime._detect_runtime_binary = base_interpreter
    lambda_svc._sqs_esm_concurrency = _concurrency(lambda_svc._sqs_esm_concurrency)
    if app.AUTH:
        _act_with_roles()


def _act_with_roles() -> None:
    """Neither poll for a function nor write its log without its role's leave."""
    mappings, emit = lambda_svc._iter_all_esms, lambda_svc._emit_lambda_logs

    def allowed_mappings() -> Iterator[tuple[str, str, Any]]:
        return ((account, region, each) for account, region, each in mappings() if _may_poll(each))

    def emit_if_allowed(function: Any, *rest: Any, **named: Any) -> None:
        config = function.get("config") or function
        name = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config['FunctionName']}"
        if _may(config["Role"], LOGGING, logs._make_group_arn(name)):
            emit(function, *rest, **named)

    lambda_svc._iter_all_esms, lambda_svc._emit_lambda_logs = allowed_mappings, emit_if_allowed


def _may_poll(mapping: dict[str, Any]) -> bool:
    function, source = lambda_svc._functions.get(mapping["FunctionName"]), mapping["EventSourceArn"]
    service = source.split(":")[2]
    if function is None or service not in POLLING:
        return True
    role = function["config"]["Role"]
    calls = [f"{service}:{call}" for call in POLLING[service]]
    return _may(role, calls, source) and _may(role, [f"{service}:{call}" for call in LISTING[service]], "*")


def _may(role: str, actions: Iterable[str], arn: str) -> bool:
    return all(role_may(role, "AWSLambda", action, arn) for action in actions)


def _concurrency(limit: Callable[..., int]) -> Callable[..., int]:
    def at_once(mapping: Any, function: Any, config: Any, queue: Any = None) -> int:
        if queue and queue["is_fifo"] and mapping.get("BatchSize") == 1:
            most = (mapping.get("ScalingConfig") or {}).get("MaximumConcurrency")
            return min(settings.groups_at_once, int(most)) if most else settings.groups_at_once
        return limit(mapping, function, config, queue)

    return at_once
