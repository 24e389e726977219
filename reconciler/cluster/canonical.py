"""One text for one meaning: the hash of a spec."""

import hashlib
import json

from reconciler.cluster.model import Cluster


def spec_hash(cluster: Cluster) -> str:
    """SHA-256 (hexadecimal) of the spec's canonical JSON: the same for all ways to write the same spec.

    A field that holds its default counts as left out, so that it does not matter whether it was written, and
    so that a version of Muster with a new field gives the same hash for all specs that do not use it.
    """
    spec = cluster.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
