"""From a document, whatever it is, to a cluster or to the reasons why it is none."""

import json

from pydantic import ValidationError

from reconciler.cluster.errors import FieldError, Invalid
from reconciler.cluster.model import Cluster
from reconciler.cluster.plain import Json, plain
from reconciler.cluster.problems import problems
from reconciler.cluster.rules import RULES

MAX_SPEC = 64 * 1024
MAX_ERRORS = 20


def parse(document: object) -> Cluster | Invalid:
    """The cluster that a document describes, or what is wrong with it. Never raises.

    The document is a map with `metadata` and `spec`, and `apiVersion` and `kind` if they are right, as
    `from_item` or a YAML file gives it. Errors come in the order of the fields, at most MAX_ERRORS of them
    and then how many more.
    """
    tree, errors = plain(document)
    errors = errors or too_large(tree)
    if errors:
        return invalid(errors)
    try:
        cluster = Cluster.model_validate(tree)
    except ValidationError as error:
        return invalid(problems(error.errors(include_url=False)))
    errors = [error for rule in RULES for error in rule(cluster)]
    return invalid(errors) if errors else cluster


def too_large(tree: Json) -> list[FieldError]:
    """The error of a spec that is larger than a spec may be."""
    spec = tree.get("spec") if isinstance(tree, dict) else None
    size = len(json.dumps(spec, ensure_ascii=False, separators=(",", ":")).encode())
    if size <= MAX_SPEC:
        return []
    rule = f"at most {MAX_SPEC // 1024} KiB as JSON"
    return [FieldError("spec", f"{size} bytes", rule, "shorten it")]


def invalid(errors: list[FieldError]) -> Invalid:
    """The errors, but not so many that a status could not hold them."""
    more = len(errors) - MAX_ERRORS
    last = [FieldError("document", f"{more} more errors", "not shown", "correct the others first")] if more > 0 else []
    return Invalid((*errors[:MAX_ERRORS], *last))
