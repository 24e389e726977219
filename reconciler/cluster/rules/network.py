"""Rules for the network."""

from collections.abc import Iterator

from reconciler.cluster.errors import FieldError, quoted
from reconciler.cluster.model import Cluster

MAX_SECURITY_GROUPS = 5  # A network interface (Amazon VPC user guide, quotas: the default).


def given_groups_exclude_ssh_from(cluster: Cluster) -> Iterator[FieldError]:
    """Muster changes no security group that it did not make."""
    network = cluster.spec.network
    if network.security_group_ids and network.ssh_from:
        shown = ", ".join(network.ssh_from)
        rule = "securityGroupIds excludes it: groups that exist already are not changed"
        fix = "allow SSH in those groups and remove sshFrom, or use additionalSecurityGroupIds"
        yield FieldError("spec.network.sshFrom", shown[:80], rule, fix)


def security_groups_fit_an_interface(cluster: Cluster) -> Iterator[FieldError]:
    """All groups of a node together are within the quota of a network interface."""
    network = cluster.spec.network
    total = (len(network.security_group_ids) or 1) + len(network.additional_security_group_ids)
    if total > MAX_SECURITY_GROUPS:
        rule = f"a network interface takes {MAX_SECURITY_GROUPS} security groups in all"
        yield FieldError("spec.network.additionalSecurityGroupIds", f"{total} groups in all", rule, "leave some out")


def ranges_start_at_their_network(cluster: Cluster) -> Iterator[FieldError]:
    """A range has no host bits: EC2 would keep another text than the one written here."""
    for index, cidr in enumerate(cluster.spec.network.ssh_from):
        network = network_of(cidr)
        if network != cidr:
            rule = "the address must be the first of the range"
            yield FieldError(f"spec.network.sshFrom[{index}]", quoted(cidr), rule, f"write {network}")


def network_of(cidr: str) -> str:
    """The range with the bits beyond its prefix cleared: 10.1.2.3/8 gives 10.0.0.0/8."""
    address, _, prefix = cidr.partition("/")
    bits = int.from_bytes(bytes(int(part) for part in address.split(".")))
    host = 32 - int(prefix)
    parts = (bits >> host << host).to_bytes(4)
    return f"{'.'.join(str(part) for part in parts)}/{prefix}"


RULES = (
    given_groups_exclude_ssh_from,
    security_groups_fit_an_interface,
    ranges_start_at_their_network,
)
