"""Lambda entry point of the sweep: run on a schedule, it wakes the clusters that nobody else woke."""

import time
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from reconciler.clients import PATIENT_RETRIES, Clients
from reconciler.settings import Settings
from reconciler.sweep import sweep

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, str]:  # noqa: ARG001
    """Sweep once; answer with the clusters woken and why."""
    found = sweep(_clients(), Settings.from_environment(), time.time())
    logger.info("sweep", extra={"woken": dict(Counter(found.values()))})
    metrics.add_metric("Swept", MetricUnit.Count, 1)
    metrics.add_metric("SweepWakes", MetricUnit.Count, len(found))
    return found


@cache
def _clients() -> Clients:
    return Clients(retries=PATIENT_RETRIES)
