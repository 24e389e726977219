"""Why each role has each of its rights: the scenario that fails without it, or the source that asks for it.

A right is an action in a statement: the same action in two statements is two rights.
"""

from collections.abc import Iterator
from typing import NamedTuple


class Right(NamedTuple):
    """One action of one statement of one role of the control plane's template."""

    role: str
    sid: str
    action: str

    def __str__(self) -> str:
        return ".".join(self)


# role: {(statement, the smallest scenario that fails without): actions}. Each is removed in turn by mutants.py.
EXERCISED: dict[str, dict[tuple[str, str], str]] = {
    "WakeRole": {
        ("Log", "logged"): "logs:CreateLogStream logs:PutLogEvents",
        ("ReadStreams", "created"): "dynamodb:DescribeStream dynamodb:GetRecords dynamodb:GetShardIterator",
        ("ListStreams", "created"): "dynamodb:ListStreams",
        ("ReadInbox", "warned"): "sqs:DeleteMessage sqs:GetQueueAttributes sqs:ReceiveMessage",
        ("Send", "created"): "sqs:SendMessage",
        ("FindOwners", "warned"): "ec2:DescribeInstances",
    },
    "ReconcileRole": {
        ("Log", "logged"): "logs:CreateLogStream logs:PutLogEvents",
        ("ReadQueues", "created"): "sqs:DeleteMessage sqs:GetQueueAttributes sqs:ReceiveMessage",
        ("ReadQueues", "refused"): "sqs:ChangeMessageVisibility",
        ("SetTimer", "updated"): "sqs:SendMessage",
        ("ReadSpecs", "created"): "dynamodb:BatchGetItem",
        ("KeepState", "created"): "dynamodb:BatchGetItem dynamodb:PutItem dynamodb:UpdateItem",
        ("KeepState", "deleted"): "dynamodb:DeleteItem dynamodb:Query",
        ("Stacks", "created"): "cloudformation:CreateStack cloudformation:DescribeStacks",
        ("Stacks", "updated"): (
            "cloudformation:CreateChangeSet cloudformation:DescribeChangeSet cloudformation:ExecuteChangeSet"
        ),
        ("Stacks", "withdrawn"): "cloudformation:DeleteChangeSet",
        ("Stacks", "deleted"): "cloudformation:DeleteStack cloudformation:ListStackResources",
        ("Stacks", "failed"): "cloudformation:DescribeStackEvents",
        ("Stacks", "left_halfway"): "cloudformation:RollbackStack",
        ("Stacks", "rolled_back"): "cloudformation:ContinueUpdateRollback",
        ("LendStackRole", "created"): "iam:PassRole",
        ("ArtifactsOfClusters", "created"): "s3:GetObject s3:PutObject",
        ("ArtifactsOfClusters", "deleted"): "s3:DeleteObject s3:DeleteObjectVersion",
        ("ListArtifactsOfClusters", "deleted"): "s3:ListBucketVersions",
        ("Observe", "created"): (
            "autoscaling:DescribeAutoScalingGroups ec2:DescribeInstances ec2:DescribeInstanceTypes ec2:DescribeSubnets"
        ),
        ("Observe", "astray"): "ec2:DescribeVpcs",
        ("Observe", "short_of_nodes"): "autoscaling:DescribeScalingActivities",
        ("Observe", "deleted"): "ec2:DescribeVolumes",
        ("FindImages", "created"): "ssm:GetParameter",
        ("MoveOwnGroups", "created"): "autoscaling:UpdateAutoScalingGroup",
        ("MoveOwnGroups", "resumed"): "autoscaling:ResumeProcesses",
        ("MoveOwnGroups", "held_on_to"): "autoscaling:TerminateInstanceInAutoScalingGroup",
        ("RemoveOwnLeftovers", "left_over"): "ec2:DeleteVolume ec2:TerminateInstances",
        ("Observe", "batch_built"): (
            "batch:DescribeComputeEnvironments batch:DescribeJobDefinitions batch:DescribeJobQueues batch:ListJobs"
        ),
        ("FindContainerImages", "batch_built"): "ecr:BatchGetImage",
        ("BuildContainerImages", "batch_built"): (
            "codebuild:BatchGetBuilds codebuild:ListBuildsForProject codebuild:StartBuild"
        ),
        ("BuildContainerImages", "batch_ended"): "codebuild:StopBuild",
        ("CountTasks", "batch_replaced"): "ecs:DescribeClusters",
        ("MoveOwnBatch", "batch_put_back"): "batch:UpdateComputeEnvironment batch:UpdateJobQueue",
        ("MoveOwnBatch", "batch_ended"): "batch:DeleteComputeEnvironment batch:DeleteJobQueue",
    },
    "SweepRole": {
        ("Log", "logged"): "logs:CreateLogStream logs:PutLogEvents",
        ("ReadSpecs", "swept"): "dynamodb:Scan",
        ("ReadRecords", "swept"): "dynamodb:Query",
        ("Observe", "swept"): (
            "autoscaling:DescribeAutoScalingGroups cloudformation:DescribeStacks ec2:DescribeInstances"
        ),
        ("Observe", "batch_put_back"): (
            "batch:DescribeComputeEnvironments batch:DescribeJobDefinitions batch:DescribeJobQueues"
        ),
        ("Send", "swept"): "sqs:SendMessage",
    },
    "CleanupRole": {
        ("Log", "logged"): "logs:CreateLogStream logs:PutLogEvents",
        ("ListVersions", "cleaned"): "s3:ListBucketVersions",
        ("DeleteVersions", "cleaned"): "s3:DeleteObject s3:DeleteObjectVersion",
        ("ListImages", "unpacked"): "ecr:ListImages",
        ("DeleteImages", "unpacked"): "ecr:BatchDeleteImage",
        ("Continue", "continued"): "lambda:InvokeFunction",
    },
    "ClusterStackRole": {
        ("Make", "created"): (
            "ec2:AuthorizeSecurityGroupEgress ec2:AuthorizeSecurityGroupIngress ec2:CreateLaunchTemplate "
            "ec2:CreateSecurityGroup ec2:RunInstances"
        ),
        ("Make", "deleted"): "ec2:RevokeSecurityGroupEgress ec2:RevokeSecurityGroupIngress",
        ("Make", "grouped"): "ec2:CreatePlacementGroup",
        ("Make", "stored"): "ec2:AllocateAddress ec2:AssociateAddress ec2:CreateVolume ec2:DisassociateAddress",
        ("TagWhatIsMade", "created"): "ec2:CreateTags",
        ("ChangeOwn", "deleted"): "ec2:DeleteLaunchTemplate ec2:DeleteSecurityGroup ec2:TerminateInstances",
        ("ChangeOwn", "updated"): "ec2:CreateLaunchTemplateVersion ec2:ModifyInstanceAttribute",
        ("ChangeOwn", "grouped"): "ec2:DeletePlacementGroup",
        ("ChangeOwn", "stored"): "ec2:DeleteVolume ec2:ModifyVolume ec2:ReleaseAddress",
        ("MakeGroups", "created"): "autoscaling:CreateAutoScalingGroup autoscaling:CreateOrUpdateTags",
        ("ChangeOwnGroups", "deleted"): "autoscaling:DeleteAutoScalingGroup",
        ("ChangeOwnGroups", "updated"): "autoscaling:UpdateAutoScalingGroup",
        ("Grant", "created"): "iam:CreateRole iam:PutRolePolicy",
        ("Grant", "deleted"): "iam:DeleteRolePolicy",
        ("Roles", "created"): "iam:TagRole",
        ("Roles", "deleted"): "iam:DeleteRole",
        ("InstanceProfiles", "created"): "iam:AddRoleToInstanceProfile iam:CreateInstanceProfile",
        ("InstanceProfiles", "deleted"): "iam:DeleteInstanceProfile iam:RemoveRoleFromInstanceProfile",
        ("LendRoles", "created"): "iam:PassRole",
        ("MakeFileSystems", "stored"): "elasticfilesystem:CreateFileSystem",
        ("MakeLustreFileSystems", "stored"): "fsx:CreateFileSystem",
        ("TagFileSystemsMade", "stored"): "elasticfilesystem:TagResource fsx:TagResource",
        ("ChangeOwnFileSystems", "stored"): (
            "elasticfilesystem:CreateMountTarget elasticfilesystem:DeleteFileSystem "
            "elasticfilesystem:DeleteMountTarget elasticfilesystem:UpdateFileSystem fsx:DeleteFileSystem "
            "fsx:UpdateFileSystem"
        ),
        ("Queues", "created"): "sqs:CreateQueue sqs:TagQueue",
        ("Queues", "deleted"): "sqs:DeleteQueue",
        ("Topics", "created"): "sns:CreateTopic sns:Subscribe sns:TagResource",
        ("Topics", "deleted"): "sns:DeleteTopic",
        ("LogGroups", "created"): "logs:CreateLogGroup logs:PutRetentionPolicy logs:TagResource",
        ("LogGroups", "deleted"): "logs:DeleteLogGroup",
        ("CleanUp", "created"): "lambda:InvokeFunction",
        ("DescribeBatch", "batch_made"): "batch:DescribeComputeEnvironments batch:DescribeJobQueues",
        ("MakeForBatch", "batch_made"): (
            "batch:CreateComputeEnvironment batch:CreateJobQueue batch:CreateSchedulingPolicy "
            "batch:RegisterJobDefinition batch:TagResource"
        ),
        ("MakeProjects", "batch_made"): "codebuild:CreateProject",
        ("MakeRepositories", "batch_made"): "ecr:CreateRepository ecr:TagResource",
        ("ChangeOwnOfBatch", "batch_updated"): "batch:UpdateSchedulingPolicy",
        ("DisableAndDelete", "batch_updated"): "batch:DeregisterJobDefinition batch:UpdateJobQueue",
        ("ChangeOwnProjects", "batch_updated"): "codebuild:UpdateProject",
        ("DescribeBatch", "batch_deleted"): "batch:DescribeSchedulingPolicies",
        ("DisableAndDelete", "batch_deleted"): (
            "batch:DeleteJobQueue batch:DeleteSchedulingPolicy codebuild:DeleteProject ecr:DeleteRepository"
        ),
        ("DisableAndDelete", "batch_failed"): "batch:DeleteComputeEnvironment batch:UpdateComputeEnvironment",
    },
}

_TRACE = (
    "xray:PutTelemetryRecords xray:PutTraceSegments",
    "only with Tracing=Active; AWSXRayDaemonWriteAccess, which Lambda's guide asks for, less the sampling that Lambda "
    "does itself; the local AWS has no X-Ray",
)
# What the local AWS does not ask for, though AWS does: (role, statement): (actions, what says so).
# Rights of CloudFormation's role that the published schemas of the resource types declare need no row.
DOCUMENTED: dict[tuple[str, str], tuple[str, str]] = {
    ("WakeRole", "Trace"): _TRACE,
    ("ReconcileRole", "Trace"): _TRACE,
    ("SweepRole", "Trace"): _TRACE,
    ("CleanupRole", "Trace"): _TRACE,
    ("ReconcileRole", "Stacks"): (
        "cloudformation:TagResource cloudformation:UntagResource",
        "Service Authorization Reference: no calls, but what it takes to give a stack tags, or take them",
    ),
    ("ClusterStackRole", "Make"): (
        "ec2:CreateNetworkInterface ec2:DeleteNetworkInterface ec2:ModifyNetworkInterfaceAttribute",
        "EFS API Reference: CreateMountTarget, DeleteMountTarget, ModifyMountTargetSecurityGroups ask for them too",
    ),
    ("ClusterStackRole", "ChangeOwn"): (
        "ec2:CreateTags",
        "the schemas' update handlers: a change of one tag does not name the owner's tag, which the resource has",
    ),
    ("ClusterStackRole", "Grant"): (
        "iam:AttachRolePolicy",
        "the schema of AWS::IAM::Role: for spec.iam.additionalPolicies",
    ),
    ("ClusterStackRole", "Describe"): ("fsx:DescribeFileSystems", "FSx publishes no handlers; it is waited for"),
    ("ClusterStackRole", "MakeLustreFileSystems"): (
        "fsx:CreateFileSystemFromBackup",
        "FSx publishes no handlers; the call for a file system with a BackupId",
    ),
    ("ClusterStackRole", "ChangeOwnFileSystems"): (
        "elasticfilesystem:TagResource fsx:ListTagsForResource fsx:TagResource fsx:UntagResource",
        "the calls that change tags, as for EC2; FSx publishes no handlers",
    ),
    ("ClusterStackRole", "ChangeOwnOfBatch"): (
        "batch:TagResource",
        "the schemas' update handlers: a change of one tag does not name the owner's tag, which the resource has",
    ),
    ("ClusterStackRole", "ChangeOwnRepositories"): (
        "ecr:TagResource",
        "the schema's update handler: a change of one tag does not name the owner's tag, which the repository has",
    ),
    ("ClusterStackRole", "ChangeOwnProjects"): (
        "codebuild:BatchGetProjects",
        "CodeBuild publishes no handlers; the call that reads a project",
    ),
    ("ClusterStackRole", "GivenKeys"): (
        "kms:Decrypt",
        "EBS User Guide, requirements for encryption; FSx for Lustre User Guide, encryption at rest",
    ),
    ("ClusterStackRole", "LinkLustreToS3"): (
        "iam:AttachRolePolicy iam:PutRolePolicy",
        "FSx for Lustre User Guide, adding permissions to use data repositories in S3",
    ),
}


def exercised() -> Iterator[tuple[Right, str]]:
    """Every right that a scenario fails without, and the scenario."""
    for role, rows in EXERCISED.items():
        for (sid, scenario), actions in rows.items():
            yield from ((Right(role, sid, action), scenario) for action in actions.split())


def documented() -> Iterator[Right]:
    """Every right that a source asks for."""
    for (role, sid), (actions, _) in DOCUMENTED.items():
        yield from (Right(role, sid, action) for action in actions.split())
