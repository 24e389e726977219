"""One text for one meaning: the canonical JSON of a spec, and its hash."""

import hashlib
import json
from typing import Any

from reconciler.cluster.model import Cluster


def canonical_spec(cluster: Cluster) -> dict[str, Any]:
    """The spec as a plain JSON document with all defaults filled in."""
    return cluster.spec.model_dump(mode="json", by_alias=True, exclude_none=True)


def spec_hash(cluster: Cluster) -> str:
    """SHA-256 (hexadecimal) of the spec's canonical JSON: the same for all ways to write the same spec."""
    text = json.dumps(canonical_spec(cluster), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
