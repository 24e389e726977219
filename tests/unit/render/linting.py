"""cfn-lint, which knows the schemas of all resource types, in this process."""

from cfnlint.api import ManualArgs, lint

from reconciler.cluster import Cluster
from tests.unit.render.support import rendered

IGNORED = {
    # Zones are pinned on purpose: to read a zone from the head node would replace the volumes with it.
    "W3010",
}


# What EC2 has is asked of EC2 when a spec is accepted; a made-up type has the form of one, and that is all.
MADE_UP = ("E3628",)


def faults_of(template: str, *ignored: str) -> list[str]:
    """What cfn-lint has against a template, but for its checks that are ignored."""
    config = ManualArgs(regions=["us-east-1"], ignore_checks=[*IGNORED, *ignored])
    return [str(match) for match in lint(template, config=config)]


def check_lint(cluster: Cluster, *ignored: str) -> None:
    """cfn-lint has nothing against the cluster's stack."""
    assert faults_of(rendered(cluster).body, *ignored) == []
