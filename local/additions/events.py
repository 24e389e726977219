"""Events of AWS's own services on the default bus of EventBridge."""

import json
from typing import Any

from local.additions.emulator import eventbridge


def emit(source: str, detail_type: str, detail: dict[str, Any], resources: list[str]) -> None:
    """Send one event from an ``aws.`` source to the rules of the caller's account and region."""
    entry = {"Source": source, "DetailType": detail_type, "Detail": json.dumps(detail), "Resources": resources}
    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
