"""cfn-lint, which knows the schemas of all resource types, in this process."""

from functools import cache

from cfnlint.config import ConfigMixIn, ManualArgs
from cfnlint.decode.decode import decode_str
from cfnlint.runner import Runner

from reconciler.cluster import Cluster
from tests.unit.render.support import rendered

IGNORED = {
    # Zones are pinned on purpose: to read a zone from the head node would replace the volumes with it.
    "W3010",
}


# What EC2 has is asked of EC2 when a spec is accepted; a made-up type has the form of one, and that is all.
MADE_UP = ("E3628",)


@cache
def _linter(*ignored: str) -> Runner:
    """Kept: to load its rules takes as long as to apply them."""
    return Runner(ConfigMixIn(**ManualArgs(regions=["us-east-1"], ignore_checks=[*IGNORED, *ignored])))


def faults_of(template: str, *ignored: str) -> list[str]:
    """What cfn-lint has against a template, but for its checks that are ignored."""
    decoded, errors = decode_str(template)
    assert decoded is not None, errors
    return [str(match) for match in [*errors, *_linter(*ignored).validate_template(decoded)]]


def check_lint(cluster: Cluster, *ignored: str) -> None:
    """cfn-lint has nothing against the cluster's stack."""
    assert faults_of(rendered(cluster).body, *ignored) == []
