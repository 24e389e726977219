"""What IAM decided: ``GET /_local/decisions`` gives each decision once, ``DELETE`` forgets them.

Roles are known by their names, other principals by their ARNs.
"""

import json
from typing import Any

from local.additions.emulator import iam_evaluator

PATH = "/_local/decisions"

# (role, action, whether it was allowed)
_seen: set[tuple[str, str, bool]] = set()


def register() -> None:
    """Remember how the calls over HTTP were decided; `access.role_may` tells of what services do with a role."""
    enforce = iam_evaluator.enforce

    def noted(access_key_id: str, iam_action: str, *rest: Any, **named: Any) -> Any:
        refused = enforce(access_key_id, iam_action, *rest, **named)
        caller = iam_evaluator.resolve_caller_identity(access_key_id)
        if caller and not isinstance(refused, iam_evaluator.AuthError):
            note(caller["userArn"], iam_action, refused is None)
        return refused

    iam_evaluator.enforce = noted


def note(principal_arn: str, action: str, allowed: bool) -> None:
    """Remember a decision."""
    role = principal_arn.split("/")[1] if ":assumed-role/" in principal_arn else principal_arn
    _seen.add((role, action, allowed))


def answer(method: str, _body: bytes) -> tuple[int, bytes]:
    """HTTP status and answer: the decisions until now, in an order that stays."""
    found = [{"role": role, "action": action, "allowed": allowed} for role, action, allowed in sorted(_seen)]
    if method == "DELETE":
        _seen.clear()
    return 200, json.dumps(found).encode()
