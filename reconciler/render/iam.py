"""The nodes' roles: what a node uses, on its own cluster's things, and nothing more."""

from collections.abc import Iterable

from reconciler.cluster.model import S3Access
from reconciler.facts import CLUSTER_TAG, HEAD, NODE_TAG, OWNER_TAG, agent_key, group_name
from reconciler.nodes import partition
from reconciler.render.context import Context, Json, Resources, attribute, present, ref, tag_list
from reconciler.render.notifications import QUEUE
from reconciler.slurm import is_slurm

HEAD_PROFILE = "HeadProfile"
COMPUTE_PROFILE = "ComputeProfile"

READ = ("s3:GetObject", "s3:GetObjectVersion")
WRITE = ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
# What EC2 does with a volume's key for whoever attaches it (EBS user guide, encryption requirements).
KEY_USE = ("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey")
ACCESS = {"read": READ, "readWrite": READ + WRITE}


def allow(sid: str, actions: Iterable[str], resources: list[object], condition: Json | None = None) -> Json:
    """A statement that allows actions on resources."""
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": sorted(actions),
        "Resource": resources,
        **present(Condition=condition),
    }


def _common(context: Context) -> list[Json]:
    """What all nodes do: ship their log, upload what failed, fetch the bootstrap scripts."""
    site = context.site
    bucket = f"arn:{site.partition}:s3:::{site.artifacts_bucket}"
    return [
        allow(
            "Log",
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            [site.arn("logs", f"log-group:{context.log_group}:*")],
        ),
        allow("Upload", ["s3:PutObject"], [f"{bucket}/{context.nodes_prefix}*"]),
        *_bootstrap(context),
        *_agent(context, bucket),
    ]


def _agent(context: Context, bucket: str) -> list[Json]:
    if not is_slurm(context.cluster):
        return []
    return [allow("Agent", ["s3:GetObject"], [f"{bucket}/{agent_key(context.name, '*').removesuffix('.pyz')}"])]


def _bootstrap(context: Context) -> list[Json]:
    scripts = (context.spec.bootstrap.pre_install, context.spec.bootstrap.post_install)
    keys = {script.url.removeprefix("s3://") for script in scripts if script and script.url.startswith("s3://")}
    arns: list[object] = [f"arn:{context.site.partition}:s3:::{key}" for key in sorted(keys)]
    return [allow("Bootstrap", ["s3:GetObject"], arns)] if arns else []


def _rows(context: Context, actions: list[str]) -> Json:
    """The nodes' own rows of the state table: those whose partition key is `<cluster>/nodes`."""
    condition = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [partition(context.name)]}}
    return allow("Rows", actions, [context.site.state_table_arn], condition)


def _head(context: Context) -> list[Json]:
    rows = [
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:DeleteItem",
        "dynamodb:Query",
    ]
    messages = ["sqs:ReceiveMessage", "sqs:DeleteMessage"]
    return [
        allow("Messages", messages, [attribute(QUEUE, "Arn")]),
        _rows(context, rows),
        *_watch(context),
    ]


def _watch(context: Context) -> list[Json]:
    """What Slurm's head node does besides: it looks at the groups, and lets go what has left Slurm."""
    if not is_slurm(context.cluster):
        return []
    return [
        allow("TerminateHook", ["autoscaling:CompleteLifecycleAction"], [_groups(context)]),
        # Describe calls know no resource-level rights.
        allow("Members", ["autoscaling:DescribeAutoScalingGroups"], ["*"]),
    ]


def _groups(context: Context) -> str:
    """The ARNs of the cluster's groups.

    A group's ARN holds an id that only AWS knows, before the name that we know. No other cluster's groups have names
    that begin so: no cluster's name has a dot.
    """
    return context.site.arn("autoscaling", f"autoScalingGroup:*:autoScalingGroupName/{group_name(context.name, '*')}")


def _attach(context: Context, volumes: list[str | Json]) -> list[Json]:
    """The head node attaches its volumes itself; the tags tell it from all other instances."""
    if not volumes:
        return []
    tags = {CLUSTER_TAG: context.name, OWNER_TAG: context.site.owner, NODE_TAG: HEAD}
    arns: list[object] = [{"Fn::Join": ["", [context.site.arn("ec2", "volume/"), volume]]} for volume in volumes]
    itself = {"StringEquals": {f"aws:ResourceTag/{key}": value for key, value in tags.items()}}
    # The keys of the user's volumes are his to name or, of those that exist already, not known here.
    through_ec2 = {"StringEquals": {"kms:ViaService": f"ec2.{context.site.region}.{context.site.suffix}"}}
    return [
        allow("UseKeysOfVolumes", KEY_USE, [context.site.arn("kms", "key/*")], through_ec2),
        allow("AttachVolumes", ["ec2:AttachVolume"], arns),
        allow("AttachToItself", ["ec2:AttachVolume"], [context.site.arn("ec2", "instance/*")], itself),
    ]


def _compute(context: Context) -> list[Json]:
    hook = ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"]
    rows = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
    return [
        allow("Messages", ["sqs:SendMessage"], [attribute(QUEUE, "Arn")]),
        _rows(context, rows),
        allow("LaunchHook", hook, [_groups(context)]),
    ]


def s3_data(entries: Iterable[S3Access]) -> list[Json]:
    """What the user listed, in few words: a role's policies have 10,240 characters (IAM user guide, quotas)."""
    data: dict[str, list[object]] = {}
    lists: list[Json] = []
    for entry in entries:
        bucket, _, key = entry.resource.partition("/")
        data.setdefault(entry.access, []).append(f"{bucket}/{key or '*'}")
        condition = present(Condition={"StringLike": {"s3:prefix": key}} if key else None)
        lists.append({"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket, **condition})
    return [
        *lists,
        *(allow(f"Data{access[:1].upper()}{access[1:]}", ACCESS[access], arns) for access, arns in data.items()),
    ]


def _role(context: Context, statements: list[Json]) -> Json:
    iam = context.spec.iam
    return {
        "Type": "AWS::IAM::Role",
        "Properties": present(
            Path=f"/muster/{context.name}/",
            AssumeRolePolicyDocument={
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": f"ec2.{context.site.suffix}"},
                        "Action": "sts:AssumeRole",
                    }
                ],
            },
            ManagedPolicyArns=list(iam.additional_policies) or None,
            PermissionsBoundary=iam.permissions_boundary,
            Policies=[
                {
                    "PolicyName": "muster",
                    "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
                }
            ],
            Tags=tag_list(context.marks),
        ),
    }


def _profile(context: Context, role: str) -> Json:
    return {
        "Type": "AWS::IAM::InstanceProfile",
        "Properties": {"Path": f"/muster/{context.name}/", "Roles": [ref(role)]},
    }


def head_node(context: Context, volumes: list[str | Json], work: list[Json]) -> Resources:
    """A role and an instance profile for the head node.

    `volumes` are references to the EBS volumes that it serves, `work` what it does for the scheduler.
    """
    statements = [*work, *_attach(context, volumes), *_common(context), *s3_data(context.spec.s3_access)]
    return {"HeadRole": _role(context, statements), HEAD_PROFILE: _profile(context, "HeadRole")}


def resources(context: Context, volumes: list[str | Json]) -> Resources:
    """A role and an instance profile for the head node, and one of each for the compute nodes."""
    statements = [*_compute(context), *_common(context), *s3_data(context.spec.s3_access)]
    return {
        **head_node(context, volumes, _head(context)),
        "ComputeRole": _role(context, statements),
        COMPUTE_PROFILE: _profile(context, "ComputeRole"),
    }
