"""Lambda entry point of wake: records of the tables' streams and messages of the inbox become wake-ups.

All sources take a partial answer: only what could not be sent on is delivered again. The batch processor of
Powertools works on one record at a time; here a batch shares one DescribeInstances and few sends, so the answer is
put together here.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from reconciler.clients import Clients
from reconciler.wake import Found, Ignored, Instance, Wake, find_clusters, origin_of, send, wake_of_record

clients = Clients()
logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:  # noqa: ARG001
    """Wake the clusters that a batch is about; answer with the items of the batch to be delivered again."""
    records: list[Mapping[str, Any]] = event["Records"]
    metrics.add_metric("Triggers", MetricUnit.Count, len(records))
    failed = _SOURCES[records[0]["eventSource"]](records)
    return {"batchItemFailures": [{"itemIdentifier": item} for item in failed]}


def _streams(records: Iterable[Mapping[str, Any]]) -> list[str]:
    wakes: dict[str, Wake] = {}
    for record in records:
        match wake_of_record(record):
            case Wake() as wake:
                wakes[record["dynamodb"]["SequenceNumber"]] = wake
            case Ignored(reason):
                _drop(reason, record.get("eventID"))
    return _deliver(wakes)


def _inbox(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """An unreadable message is logged, counted and dropped: it would be no more readable the tenth time."""
    wakes: dict[str, Wake] = {}
    instances: dict[str, Instance] = {}
    for record in records:
        item = record["messageId"]
        match origin_of(record["body"]):
            case Found(source, cluster):
                wakes[item] = Wake(cluster, source, item)
            case Instance() as instance:
                instances[item] = instance
            case Ignored(reason):
                _drop(reason, item)
    return _deliver(wakes) + _of_instances(instances)


def _drop(reason: str, item: object) -> None:
    logger.warning("message dropped", extra={"reason": reason, "messageId": item})
    metrics.add_metric(f"{reason.capitalize()}Messages", MetricUnit.Count, 1)


def _of_instances(instances: Mapping[str, Instance]) -> list[str]:
    """After the others and apart from them, so that a throttled look-up holds up none."""
    if not instances:
        return []
    try:
        clusters = find_clusters(clients.ec2, os.environ["MUSTER_OWNER"], {each.id for each in instances.values()})
    except (BotoCoreError, ClientError) as error:
        logger.warning("instances not looked up", extra={"error": str(error)})
        return list(instances)
    return _deliver(
        {
            item: Wake(clusters[instance.id], instance.source, item)
            for item, instance in instances.items()
            if instance.id in clusters
        }
    )


def _deliver(wakes: Mapping[str, Wake]) -> list[str]:
    """Send the wake-up of each item of the batch; return the items whose wake-up the queue did not take."""
    if not wakes:
        return []
    refused = send(clients.sqs, os.environ["MUSTER_WAKES_QUEUE_URL"], wakes.values())
    for wake in wakes.values():
        logger.info("wake", extra={"cluster": wake.cluster, "source": wake.source, "id": wake.id})
    metrics.add_metric("Wakes", MetricUnit.Count, len({wake.cluster for wake in wakes.values()} - refused))
    return [item for item, wake in wakes.items() if wake.cluster in refused]


_SOURCES = {"aws:dynamodb": _streams, "aws:sqs": _inbox}
