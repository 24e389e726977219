"""Rules for the rest of the spec."""

import shlex
from collections.abc import Iterator

from reconciler.cluster.errors import HIDDEN, FieldError, field_path
from reconciler.cluster.model import Cluster

RESERVED_TAGS = ("aws:", "muster:")
# User data holds 16 KB (EC2 user guide, user data), and much else has to be in it.
MAX_ARGUMENTS = 2048


def tags_are_not_reserved(cluster: Cluster) -> Iterator[FieldError]:
    """aws: is AWS's own, in any case (AWS general reference, tags), and by muster: the operator knows its
    own.
    """
    for key in cluster.spec.tags:
        prefix = next((reserved for reserved in RESERVED_TAGS if key.lower().startswith(reserved)), None)
        if prefix:
            field = field_path(("spec", "tags", key))
            yield FieldError(field, HIDDEN, f"keys that start with {prefix} are reserved", "choose another key")


def arguments_fit(cluster: Cluster) -> Iterator[FieldError]:
    """The arguments of both scripts, quoted for a shell, fit in user data beside the rest."""
    bootstrap = cluster.spec.bootstrap
    args = [arg for script in (bootstrap.pre_install, bootstrap.post_install) if script for arg in script.args]
    total = len(shlex.join(args).encode())
    if total > MAX_ARGUMENTS:
        rule = f"all arguments together, quoted for a shell, have at most {MAX_ARGUMENTS} bytes"
        yield FieldError(
            "spec.bootstrap", f"{total} bytes", rule, "shorten them, or let the script fetch what it needs"
        )


RULES = (tags_are_not_reserved, arguments_fit)
