"""What IAM decided: ``GET /_local/decisions`` gives each decision once, ``DELETE`` forgets them.

``/_local/calls`` does so with how many calls over HTTP each role has made of each action. Roles are known by their
names, other principals by their ARNs.
"""

import json
from collections import Counter
from typing import Any

from local.additions.emulator import iam_evaluator

PATH, CALLS_PATH = "/_local/decisions", "/_local/calls"

# (role, action, whether it was allowed)
_seen: set[tuple[str, str, bool]] = set()
# by role and action
_calls: dict[str, Counter[str]] = {}


def register() -> None:
    """Remember how the calls over HTTP were decided; `access.role_may` tells of what services do with a role."""
    enforce = iam_evaluator.enforce

    def noted(access_key_id: str, iam_action: str, *rest: Any, **named: Any) -> Any:
        refused = enforce(access_key_id, iam_action, *rest, **named)
        caller = iam_evaluator.resolve_caller_identity(access_key_id)
        if caller and not isinstance(refused, iam_evaluator.AuthError):
            note(caller["userArn"], iam_action, refused is None)
            _calls.setdefault(_role(caller["userArn"]), Counter())[iam_action] += 1
        return refused

    iam_evaluator.enforce = noted


def note(principal_arn: str, action: str, allowed: bool) -> None:
    """Remember a decision."""
    _seen.add((_role(principal_arn), action, allowed))


def _role(principal_arn: str) -> str:
    return principal_arn.split("/")[1] if ":assumed-role/" in principal_arn else principal_arn


def answer(method: str, _body: bytes) -> tuple[int, bytes]:
    """HTTP status and answer: the decisions until now, in an order that stays."""
    found = [{"role": role, "action": action, "allowed": allowed} for role, action, allowed in sorted(_seen)]
    if method == "DELETE":
        _seen.clear()
    return 200, json.dumps(found).encode()


def answer_calls(method: str, _body: bytes) -> tuple[int, bytes]:
    """HTTP status and answer: the calls until now."""
    told = json.dumps(_calls, sort_keys=True).encode()
    if method == "DELETE":
        _calls.clear()
    return 200, told
