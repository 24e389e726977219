"""What applying a document would put into the specs table: `apply` writes it, `diff` only looks at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cli.failures import Failure
from cli.files import Document, problems
from cli.seen import written
from reconciler.cluster import to_item
from reconciler.loop import UPGRADE_ANNOTATION

# Annotations that Muster's own tools write. A file that does not name them leaves them as they are.
OWN = "muster/"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A document merged with the item that it is to replace. `before` is that item's document, None if there is none.

    `item` is as PutItem takes it, `after` its document.
    """

    name: str
    item: dict[str, Any]
    before: dict[str, Any] | None
    after: dict[str, Any]

    @property
    def changes(self) -> bool:
        """Whether it differs from what is there."""
        return self.before != self.after


def propose(document: Document, item: Mapping[str, Any] | None, upgrade: str = "") -> Proposal:
    """The proposal of a document that was checked, over the item that is there now.

    The spec is replaced as a whole. `labels` and `annotations` each replace what is there when the document has
    them, and leave it alone when it does not; annotations below muster/ go only when they are replaced by name.
    `upgrade` is the version of the operator to ask a rendering of. Raises Failure when labels or annotations that
    would stay are wrong.
    """
    before = written(item) if item else None
    metadata = _metadata(document.content["metadata"], before["metadata"] if before else {}, upgrade)
    merged = Document(f"{document.source} with what is there", {**document.content, "metadata": metadata})
    wrong = problems(merged)
    if wrong:
        raise Failure(*wrong)
    new = to_item(merged.content)
    return Proposal(document.name, new, before, written(new))


def _metadata(new: Mapping[str, Any], old: Mapping[str, Any], upgrade: str) -> dict[str, Any]:
    kept = {key: old[key] for key in ("labels", "annotations") if key in old and key not in new}
    metadata: dict[str, Any] = {**new, **kept}
    annotations = _map(metadata.get("annotations"))
    own = {key: value for key, value in _map(old.get("annotations")).items() if key.startswith(OWN)}
    asked = {UPGRADE_ANNOTATION: upgrade} if upgrade else {}
    if own or asked:
        metadata["annotations"] = {**own, **annotations, **asked}
    return metadata


def _map(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
