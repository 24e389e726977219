"""The cluster's queue of messages: they say that something has happened, and no more. What it was the lists show."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# Messages in one call, and calls in one look: thousands at once are taken a part at a time.
PAGE, PAGES = 10, 20
LOOK = "look"


class Messages:
    """Methods raise ClientError and its like of botocore."""

    def __init__(self, sqs: SQSClient, url: str) -> None:
        self._sqs = sqs
        self._url = url

    def receive(self, wait: int) -> list[str]:
        """The handles of what there is; `wait` seconds for the first."""
        handles: list[str] = []
        for _ in range(PAGES):
            answer = self._sqs.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=PAGE, WaitTimeSeconds=0 if handles else wait
            )
            found = [handle for each in answer.get("Messages", ()) if (handle := each.get("ReceiptHandle"))]
            handles += found
            if len(found) < PAGE:
                break
        return handles

    def delete(self, handles: list[str]) -> None:
        """Acknowledge them. One that stays comes again, and does no harm."""
        for start in range(0, len(handles), PAGE):
            part = handles[start : start + PAGE]
            self._sqs.delete_message_batch(
                QueueUrl=self._url,
                Entries=[{"Id": str(place), "ReceiptHandle": handle} for place, handle in enumerate(part)],
            )

    def send(self) -> None:
        """Have the head node look."""
        self._sqs.send_message(QueueUrl=self._url, MessageBody=LOOK)
