"""cfn-lint, which knows the schemas of all resource types, in this process."""

from cfnlint.api import ManualArgs, lint

from reconciler.cluster import Cluster
from tests.unit.render.support import rendered

IGNORED = {
    # Zones are pinned on purpose: to read a zone from the head node would replace the volumes with it.
    "W3010",
}


def faults_of(template: str) -> list[str]:
    """What cfn-lint has against a template."""
    return [str(match) for match in lint(template, config=ManualArgs(regions=["us-east-1"], ignore_checks=[*IGNORED]))]


def check_lint(cluster: Cluster) -> None:
    """cfn-lint has nothing against the cluster's stack."""
    assert faults_of(rendered(cluster).body) == []
