"""Rules for the rest of the spec."""

import shlex
from collections.abc import Iterator

from reconciler.cluster.errors import FieldError, field_path, quoted
from reconciler.cluster.model import Cluster

RESERVED_PREFIXES = ("aws:", "muster:")
RESERVED_TAG = "Name"
# User data holds 16 KB (EC2 user guide, user data), and much else has to be in it: with Slurm, more.
MAX_ARGUMENTS = 2048
MAX_ARGUMENTS_WITH_SLURM = 512
# A role's policies have 10,240 characters (IAM user guide, quotas), and each entry is in them twice.
MAX_S3_ACCESS = 1536


def tags_are_not_reserved(cluster: Cluster) -> Iterator[FieldError]:
    """aws: is AWS's, in any case (AWS general reference, tags); muster: and Name are the operator's."""
    for key, value in cluster.spec.tags.items():
        if key.lower().startswith(RESERVED_PREFIXES) or key == RESERVED_TAG:
            field = field_path(("spec", "tags", key))
            rule = f"{' and '.join(RESERVED_PREFIXES)} at the start of a key, and the key {RESERVED_TAG}, are reserved"
            yield FieldError(field, quoted(value), rule, "choose another key")


def arguments_fit(cluster: Cluster) -> Iterator[FieldError]:
    """The arguments of both scripts, quoted for a shell, fit in user data beside the rest."""
    bootstrap = cluster.spec.bootstrap
    args = [arg for script in (bootstrap.pre_install, bootstrap.post_install) if script for arg in script.args]
    total = len(shlex.join(args).encode())
    slurm = cluster.spec.scheduler == "slurm"
    most = MAX_ARGUMENTS_WITH_SLURM if slurm else MAX_ARGUMENTS
    if total > most:
        where = " with scheduler slurm" if slurm else ""
        rule = f"all arguments together, quoted for a shell, have at most {most} bytes{where}"
        yield FieldError(
            "spec.bootstrap", f"{total} bytes", rule, "shorten them, or let the script fetch what it needs"
        )


def s3_access_fits(cluster: Cluster) -> Iterator[FieldError]:
    """The entries fit in the nodes' roles beside the rest."""
    total = sum(len(entry.resource) for entry in cluster.spec.s3_access)
    if total > MAX_S3_ACCESS:
        rule = f"all resources together have at most {MAX_S3_ACCESS} characters"
        fix = "name whole buckets or shorter prefixes, or give a policy of your own in iam.additionalPolicies"
        yield FieldError("spec.s3Access", f"{total} characters", rule, fix)


RULES = (tags_are_not_reserved, arguments_fit, s3_access_fits)
