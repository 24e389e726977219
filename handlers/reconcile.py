"""Lambda entry point of the loop: one message of a queue of wake-ups is one pass over one cluster.

Both queues, the users' and the background's, deliver one message at a time. A message is acknowledged only when its
pass has run: a pass that is refused the lease, or breaks, gives it back, and sets when it comes again. One that began
after a message was sent is that message's too. Powertools' batch utility would do no more for one message, and is a
twentieth of a cold start to import.
"""

import json
import random
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from reconciler.answered import Answered
from reconciler.clients import Clients
from reconciler.loop import Report, Tools, reconcile
from reconciler.settings import Settings
from reconciler.store import Refused, Store

logger = Logger()
metrics = Metrics()
answered = Answered()
# Seconds after which a message that was given back comes again: doubled each time, up to the second figure.
FIRST_WAIT, LONGEST_WAIT = 1, 300
LONGEST_KEY = 2048  # bytes of a partition key, the most that DynamoDB takes
Record = Mapping[str, Any]


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Run the passes that the messages ask for; answer with those to be delivered again."""
    failed = [record["messageId"] for record in event["Records"] if not _passed(record, context)]
    return {"batchItemFailures": [{"itemIdentifier": item} for item in failed]}


def _passed(record: Record, context: LambdaContext) -> bool:
    """Whether the message is done with: its pass has run, or it asks for none."""
    message = _read(record)
    if message is None:
        logger.warning("message dropped", extra={"message_id": record["messageId"]})
        metrics.add_metric("UnreadableMessages", MetricUnit.Count, 1)
        return True
    cluster = message["cluster"]
    logger.append_keys(cluster=cluster, wake=message.get("source"), wake_id=message.get("id"))
    if answered.answers(cluster, _sent(record)):
        logger.info("answered before")
        metrics.add_metric("AnsweredMessages", MetricUnit.Count, 1)
        return True
    started = time.time()
    try:
        report = reconcile(_tools(context), cluster, context.aws_request_id)
    except Refused as refused:
        metrics.add_metric("LeaseRefused", MetricUnit.Count, 1)
        _give_back(record, min(refused.seconds, _wait(record)))
        return False
    except Exception:
        metrics.add_metric("PassBroken", MetricUnit.Count, 1)
        logger.exception("pass broke")
        _give_back(record, _wait(record))
        return False
    answered.note(report, started)
    _tell(report, started, time.time())
    return True


def _sent(record: Record) -> float:
    """When the message was sent (seconds since the epoch)."""
    return int(record["attributes"]["SentTimestamp"]) / 1000


def _read(record: Record) -> Mapping[str, Any] | None:
    """The message, if it names what could be a spec's key. Another would be no more readable the tenth time."""
    try:
        message: Any = json.loads(record["body"])
        return message if 0 < len(message["cluster"].encode()) <= LONGEST_KEY else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _tell(report: Report, started: float, ended: float) -> None:
    logger.info(
        "pass",
        extra={
            "result": report.result,
            "phase": report.phase,
            "actions": report.actions,
            "error": report.error,
            "generation": report.generation,
            "fence": report.fence,
            "started": started,
            "taken": report.taken,
            "ended": ended,
        },
    )
    metrics.add_metric("Passes", MetricUnit.Count, 1)
    metrics.add_metric("PassSeconds", MetricUnit.Seconds, ended - started)
    metrics.add_metric("Actions", MetricUnit.Count, len(report.actions))
    metrics.add_dimension("Result", report.result)


def _wait(record: Record) -> float:
    """Exponential, with jitter, so that passes that met do not meet again."""
    tries = int(record["attributes"]["ApproximateReceiveCount"])
    return min(FIRST_WAIT * 2 ** (tries - 1), LONGEST_WAIT) * (1 + random.random() / 2)


def _give_back(record: Record, seconds: float) -> None:
    """Let the message come again after so many seconds; if SQS refuses, it comes after the visibility timeout."""
    settings = _settings()
    # By name: the endpoint in a queue's URL is not the same in every partition.
    name = record["eventSourceARN"].rpartition(":")[2]
    queue = next(url for url in (settings.wakes_queue_url, settings.background_queue_url) if url.endswith(f"/{name}"))
    try:
        _clients().sqs.change_message_visibility(
            QueueUrl=queue, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=max(1, round(seconds))
        )
    except (BotoCoreError, ClientError) as error:
        logger.warning("message not given back", extra={"error": str(error)})


def _tools(context: LambdaContext) -> Tools:
    settings, clients = _settings(), _clients()
    store = Store(clients.dynamodb, settings.specs_table, settings.state_table, ttl_days=settings.event_ttl_days)
    return Tools(clients, settings, store, time.time, lambda: context.get_remaining_time_in_millis() / 1000)


@cache
def _settings() -> Settings:
    return Settings.from_environment()


@cache
def _clients() -> Clients:
    return Clients()
