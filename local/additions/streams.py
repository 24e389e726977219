"""Lines of a running process into a CloudWatch log stream, as the ``awslogs`` driver puts them."""

import time
from collections.abc import Callable

from ministack.core.responses import get_account_id, get_region, request_scope

from local.additions.emulator import logs

BATCH_GROUP = "/aws/batch/job"


def opened(group: str, stream: str) -> Callable[[str], None] | None:
    """A function that writes a line, from any thread; None if there is no such log group.

    Batch's own group is made by the first job that needs it (user guide, "Use the awslogs log driver").
    """
    if group == BATCH_GROUP and group not in logs._log_groups:
        logs._create_log_group({"logGroupName": group})
    if group not in logs._log_groups:
        return None
    logs._create_log_stream({"logGroupName": group, "logStreamName": stream})
    scope = get_account_id(), get_region()

    def write(line: str) -> None:
        event = {"timestamp": int(time.time() * 1000), "message": line}
        with request_scope(*scope):
            logs._put_log_events({"logGroupName": group, "logStreamName": stream, "logEvents": [event]})

    return write
