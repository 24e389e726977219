"""Security groups. Rules between groups are resources of their own, so that no two groups wait for each other."""

from collections.abc import Mapping
from typing import NamedTuple

from reconciler.render.context import Context, Json, Resources, ref, tag_list

HEAD_GROUP = "HeadSecurityGroup"
COMPUTE_GROUP = "ComputeSecurityGroup"

ALL_TRAFFIC: Mapping[str, object] = {"IpProtocol": "-1"}


class Ports(NamedTuple):
    """A range of TCP ports."""

    first: int
    last: int

    @property
    def rule(self) -> Json:
        """As a security group's rule says it."""
        return {"IpProtocol": "tcp", "FromPort": self.first, "ToPort": self.last}


SSH = Ports(22, 22)
NFS = Ports(2049, 2049)
# Lustre's ports, 988 and 1018 to 1023 (FSx for Lustre user guide), as one range: a group holds 60 rules.
LUSTRE = Ports(988, 1023)


def node_groups(context: Context, own: str) -> list[object]:
    """The security groups of a node: the given ones or its own, then the additional ones."""
    network = context.spec.network
    first: list[object] = list(network.security_group_ids) or [ref(own)]
    return [*first, *network.additional_security_group_ids]


def peers(context: Context) -> dict[str, object]:
    """The groups that stand for all nodes, by a part of a logical id; storage lets these in."""
    given = context.spec.network.security_group_ids
    if given:
        return {group.removeprefix("sg-"): group for group in given}
    head = {"Head": ref(HEAD_GROUP)} if context.spec.head_node else {}
    return {**head, "Compute": ref(COMPUTE_GROUP)}


def security_group(context: Context, description: str, ingress: list[Json] | None = None) -> Json:
    """A security group of the cluster's VPC that lets everything out."""
    properties = {
        "GroupDescription": description,
        "VpcId": context.spec.network.vpc_id,
        "SecurityGroupEgress": [{**ALL_TRAFFIC, "CidrIp": "0.0.0.0/0", "Description": "To anywhere"}],
        "Tags": tag_list(context.marks),
    }
    return {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {**properties, "SecurityGroupIngress": ingress} if ingress else properties,
    }


def ingress(group: object, source: object, traffic: Mapping[str, object], description: str) -> Json:
    """A rule that lets one group into another."""
    return {
        "Type": "AWS::EC2::SecurityGroupIngress",
        "Properties": {
            **traffic,
            "GroupId": group,
            "SourceSecurityGroupId": source,
            "Description": description,
        },
    }


def compute(context: Context) -> Resources:
    """The group of what runs jobs, and that of a head node if there is one.

    Without a head node the jobs reach each other, and nobody reaches them.
    """
    if context.spec.head_node:
        return resources(context)
    if context.spec.network.security_group_ids:
        return {}
    group = ref(COMPUTE_GROUP)
    return {
        COMPUTE_GROUP: security_group(context, f"Jobs of Muster cluster {context.name}"),
        "ComputeFromCompute": ingress(group, group, ALL_TRAFFIC, "Between jobs"),
    }


def resources(context: Context) -> Resources:
    """The head node's and the compute nodes' groups, unless the user gave groups.

    SSH from the given ranges is all that comes in from outside. Between the nodes of a cluster everything
    goes: schedulers, MPI and NFS use ports of their own choice. The rule from the compute nodes to themselves
    is also one of egress, as EFA's traffic is matched by group alone (EC2 user guide, EFA).
    """
    if context.spec.network.security_group_ids:
        return {}
    ssh = [{**SSH.rule, "CidrIp": cidr, "Description": "SSH"} for cidr in context.spec.network.ssh_from]
    head, compute = ref(HEAD_GROUP), ref(COMPUTE_GROUP)
    return {
        HEAD_GROUP: security_group(context, f"Head node of Muster cluster {context.name}", ssh),
        COMPUTE_GROUP: security_group(context, f"Compute nodes of Muster cluster {context.name}"),
        "HeadFromCompute": ingress(head, compute, ALL_TRAFFIC, "From compute nodes"),
        "ComputeFromHead": ingress(compute, head, ALL_TRAFFIC, "From the head node"),
        "ComputeFromCompute": ingress(compute, compute, ALL_TRAFFIC, "From compute nodes"),
        "ComputeToCompute": {
            "Type": "AWS::EC2::SecurityGroupEgress",
            "Properties": {
                **ALL_TRAFFIC,
                "GroupId": compute,
                "DestinationSecurityGroupId": compute,
                "Description": "To compute nodes",
            },
        },
    }
