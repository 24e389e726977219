"""SQS queues that lose messages: each n-th one that is sent to them, or delivered by SNS, never arrives.

AWS promises delivery at least once; what is lost in truth is a message that a subscription or a policy held back, or
that its receiver took and died with. ``GET /_local/weather`` counts what was lost.
"""

from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any

from local.additions.emulator import sns, sqs
from local.additions.settings import settings
from local.additions.weather import counts

_sent: Counter[str] = Counter()


def register() -> None:
    """Let queues lose what the settings say."""
    send, deliver = sqs._act_send_message, sns._deliver_to_sqs
    sqs._act_send_message = sqs._HANDLERS["SendMessage"] = _losing(
        send, lambda data, url: sqs._get_q(data.get("QueueUrl", url), "sqs:SendMessage")
    )
    sns._deliver_to_sqs = _losing(deliver, lambda arn, *_, **__: sqs._queue_by_arn(arn))


def _losing(put: Callable[..., Any], queue_of: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        answer = put(*arguments, **named)
        _lose(queue_of(*arguments, **named))
        return answer

    return wrapped


def _lose(queue: dict[str, Any] | None) -> None:
    """Forget the message that has come last, if it is one to be lost."""
    name = (queue or {}).get("name", "")
    every = next((n for pattern, n in settings.lost_messages.items() if fnmatch(name, pattern)), 0)
    if queue is None or not every:
        return
    _sent[name] += 1
    if _sent[name] % every == 0:
        queue["messages"].pop()
        counts["lost"] += 1
