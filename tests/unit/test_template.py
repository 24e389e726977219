"""The control plane's template: who may do what, written out, and what keeps its data and its queues safe.

The table of rights is here a second time on purpose: a right that is added has to be added in two places, and be seen.
"""

import ast
import importlib.resources
import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from cfnlint.api import ManualArgs, lint
from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform

from local.template import read_template
from reconciler.version import VERSION
from tests.unit.render import batches
from tests.unit.render.support import MATRIX, cluster, rendered

ROOT = Path(__file__).parents[2]
FUNCTIONS = ("Wake", "Reconcile", "Sweep", "Cleanup")


@cache
def transformed() -> dict[str, Any]:
    """As CloudFormation makes it of the SAM template."""
    source = deepcopy(read_template())
    for function in FUNCTIONS:
        source["Resources"][f"{function}Function"]["Properties"]["CodeUri"] = "s3://bucket/key"
    del source["Globals"]["Function"]["CodeUri"]
    parameters = {name: parameter["Default"] for name, parameter in source["Parameters"].items()}
    loader: Any = ManagedPolicyLoader(None)
    loader._policy_map = {}
    return transform(source, parameters | {"AWS::Region": "us-east-1", "AWS::Partition": "aws"}, loader)


def test_to_read_it_changes_no_other_reader_of_yaml() -> None:
    transformed()
    with pytest.raises(yaml.constructor.ConstructorError):
        yaml.safe_load("!Ref name")
    assert type(yaml.safe_load("{}")) is dict


def of_type(kind: str) -> dict[str, Any]:
    return {name: each for name, each in transformed()["Resources"].items() if each["Type"] == kind}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def branches(value: Any) -> Iterator[Any]:
    """Both sides of a condition."""
    if isinstance(value, dict) and "Fn::If" in value:
        _, yes, no = value["Fn::If"]
        yield from (*branches(yes), *branches(no))
    elif value != {"Ref": "AWS::NoValue"}:
        yield value


ATTACHED = ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")


def statements(role: str) -> Iterator[dict[str, Any]]:
    """All that a role is allowed, under whatever condition of the template."""
    resources = read_template()["Resources"]
    documents = [policy["PolicyDocument"] for policy in resources[role]["Properties"]["Policies"]]
    documents += [
        each["Properties"]["PolicyDocument"]
        for each in resources.values()
        if each["Type"] in ATTACHED and {"Ref": role} in each["Properties"]["Roles"]
    ]
    for document in documents:
        for statement in document["Statement"]:
            yield from branches(statement)


def actions(role: str) -> set[str]:
    return {action for statement in statements(role) for action in listed(statement["Action"])}


LAMBDA = {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTelemetryRecords", "xray:PutTraceSegments"}
QUEUE_SOURCE = {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}
STREAM_SOURCE = {f"dynamodb:{each}" for each in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")}
RIGHTS: dict[str, set[str]] = {
    "WakeRole": LAMBDA | QUEUE_SOURCE | STREAM_SOURCE | {"ec2:DescribeInstances", "sqs:SendMessage"},
    "ReconcileRole": LAMBDA
    | QUEUE_SOURCE
    | {
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeScalingActivities",
        "autoscaling:ResumeProcesses",
        "autoscaling:TerminateInstanceInAutoScalingGroup",
        "autoscaling:UpdateAutoScalingGroup",
        "batch:DeleteComputeEnvironment",
        "batch:DeleteJobQueue",
        "batch:DescribeComputeEnvironments",
        "batch:DescribeJobDefinitions",
        "batch:DescribeJobQueues",
        "batch:ListJobs",
        "batch:UpdateComputeEnvironment",
        "batch:UpdateJobQueue",
        "cloudformation:ContinueUpdateRollback",
        "cloudformation:CreateChangeSet",
        "cloudformation:CreateStack",
        "cloudformation:DeleteChangeSet",
        "cloudformation:DeleteStack",
        "cloudformation:DescribeChangeSet",
        "cloudformation:DescribeStackEvents",
        "cloudformation:DescribeStacks",
        "cloudformation:ExecuteChangeSet",
        "cloudformation:ListStackResources",
        "cloudformation:RollbackStack",
        "cloudformation:TagResource",
        "cloudformation:UntagResource",
        "codebuild:BatchGetBuilds",
        "codebuild:ListBuildsForProject",
        "codebuild:StartBuild",
        "codebuild:StopBuild",
        "dynamodb:BatchGetItem",
        "dynamodb:DeleteItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
        "ec2:DeleteVolume",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeInstances",
        "ec2:DescribeSubnets",
        "ec2:DescribeVolumes",
        "ec2:DescribeVpcs",
        "ec2:TerminateInstances",
        "ecr:BatchGetImage",
        "ecs:DescribeClusters",
        "iam:PassRole",
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:GetObject",
        "s3:ListBucketVersions",
        "s3:PutObject",
        "sqs:ChangeMessageVisibility",
        "sqs:SendMessage",
        "ssm:GetParameter",
    },
    "SweepRole": LAMBDA
    | {
        "autoscaling:DescribeAutoScalingGroups",
        "batch:DescribeComputeEnvironments",
        "batch:DescribeJobDefinitions",
        "batch:DescribeJobQueues",
        "cloudformation:DescribeStacks",
        "dynamodb:Query",
        "dynamodb:Scan",
        "ec2:DescribeInstances",
        "sqs:SendMessage",
    },
    "CleanupRole": LAMBDA
    | {
        "ecr:BatchDeleteImage",
        "ecr:ListImages",
        "lambda:InvokeFunction",
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:ListBucketVersions",
    },
}
# Statements for all resources, and why: AWS knows no resource-level rights for these actions.
EVERYWHERE = {
    ("WakeRole", "ListStreams"),
    ("WakeRole", "FindOwners"),
    ("ReconcileRole", "Observe"),
    ("SweepRole", "Observe"),
    ("ClusterStackRole", "Describe"),
    ("ClusterStackRole", "DescribeBatch"),
    ("ClusterStackRole", "MakeFileSystems"),
    ("ClusterStackRole", "Subscriptions"),
    *((f"{function}Role", "Trace") for function in FUNCTIONS),
}
# Actions by pattern, which CloudFormation's own handlers ask for in this form; they only read.
PATTERNS = {"autoscaling:Describe*", "ec2:Describe*"}


# ------------------------------------------------------------------ rights


@pytest.mark.parametrize("role", RIGHTS)
def test_a_function_has_the_rights_in_the_table_and_no_others(role: str) -> None:
    assert actions(role) == RIGHTS[role]


def test_every_function_has_a_role_of_its_own() -> None:
    resources = read_template()["Resources"]
    roles = {name for name, each in resources.items() if each["Type"] == "AWS::IAM::Role"}
    assert roles == {*RIGHTS, "ClusterStackRole"}
    for function in FUNCTIONS:
        properties = resources[f"{function}Function"]["Properties"]
        assert properties["Role"] == {"Fn::GetAtt": [f"{function}Role", "Arn"]}
        assert "Policies" not in properties
    assert set(of_type("AWS::IAM::Role")) == roles


@pytest.mark.parametrize("role", [*RIGHTS, "ClusterStackRole"])
def test_no_right_is_wider_than_it_has_to_be(role: str) -> None:
    for statement in statements(role):
        assert statement["Effect"] == "Allow"
        assert "NotAction" not in statement
        if "*" in listed(statement["Resource"]):
            assert (role, statement["Sid"]) in EVERYWHERE
        assert {action for action in listed(statement["Action"]) if "*" in action} <= PATTERNS
        assert role == "ClusterStackRole" or not [each for each in listed(statement["Action"]) if "*" in each]


OWN = {"StringEquals": {"aws:ResourceTag/muster:owner": {"Ref": "AWS::StackName"}}}
# What can take away or change what others made: allowed on resources that bear our tag alone.
TAGGED = {
    "ReconcileRole": {
        "autoscaling:ResumeProcesses",
        "autoscaling:TerminateInstanceInAutoScalingGroup",
        "autoscaling:UpdateAutoScalingGroup",
        "batch:DeleteComputeEnvironment",
        "batch:DeleteJobQueue",
        "batch:UpdateComputeEnvironment",
        "batch:UpdateJobQueue",
        "ec2:DeleteVolume",
        "ec2:TerminateInstances",
    },
    "CleanupRole": {"ecr:BatchDeleteImage"},
    "ClusterStackRole": {
        "batch:UntagResource",
        "batch:UpdateSchedulingPolicy",
        "codebuild:UpdateProject",
        "ecr:DeleteLifecyclePolicy",
        "ecr:PutLifecyclePolicy",
        "ecr:UntagResource",
        "autoscaling:DeleteAutoScalingGroup",
        "autoscaling:UpdateAutoScalingGroup",
        "ec2:DeleteLaunchTemplate",
        "ec2:DeletePlacementGroup",
        "ec2:DeleteSecurityGroup",
        "ec2:DeleteTags",
        "ec2:DeleteVolume",
        "ec2:ModifyInstanceAttribute",
        "ec2:ModifyVolume",
        "ec2:ReleaseAddress",
        "ec2:StopInstances",
        "ec2:TerminateInstances",
        "elasticfilesystem:DeleteFileSystem",
        "elasticfilesystem:DeleteMountTarget",
        "fsx:DeleteFileSystem",
        "fsx:UpdateFileSystem",
    },
}


@pytest.mark.parametrize("role", TAGGED)
def test_what_others_made_cannot_be_changed_or_deleted(role: str) -> None:
    found = {action: [] for action in TAGGED[role]}
    for statement in statements(role):
        for action in set(listed(statement["Action"])) & TAGGED[role]:
            found[action].append(statement.get("Condition"))
    assert found == {action: [OWN] for action in TAGGED[role]}


def test_nothing_can_be_tagged_as_ours_that_is_not() -> None:
    request = {"StringEquals": {"aws:RequestTag/muster:owner": {"Ref": "AWS::StackName"}}}
    for action in ("ec2:CreateTags", "batch:TagResource", "ecr:TagResource"):
        found = [each["Condition"] for each in statements("ClusterStackRole") if action in listed(each["Action"])]
        assert found in ([request, OWN], [OWN, request])


def test_roles_are_lent_to_named_services_only() -> None:
    lent = {
        (role, service)
        for role in [*RIGHTS, "ClusterStackRole"]
        for statement in statements(role)
        if "iam:PassRole" in listed(statement["Action"])
        for service in listed(statement["Condition"]["StringEquals"]["iam:PassedToService"])
    }
    of_clusters = ("batch", "codebuild", "ec2", "ecs-tasks", "spotfleet")
    assert lent == {
        ("ReconcileRole", "cloudformation.amazonaws.com"),
        *(("ClusterStackRole", f"{service}.amazonaws.com") for service in of_clusters),
    }


def test_clusters_roles_are_made_below_their_path_only() -> None:
    ours = re.compile(r"arn:\$\{AWS::Partition\}:iam::\$\{AWS::AccountId\}:(role|instance-profile)/muster/\*")
    for statement in statements("ClusterStackRole"):
        names = {action for action in listed(statement["Action"]) if action.startswith("iam:")}
        if names and statement["Sid"] not in {"ServiceLinkedRoles", "LinkLustreToS3"}:
            assert all(ours.fullmatch(each["Fn::Sub"]) for each in listed(statement["Resource"]))


def test_a_permissions_boundary_holds_for_every_role_and_for_those_that_clusters_get() -> None:
    boundary = {"Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundary"}, {"Ref": "AWS::NoValue"}]}
    for role in [*RIGHTS, "ClusterStackRole"]:
        assert read_template()["Resources"][role]["Properties"]["PermissionsBoundary"] == boundary
    grants = [each for each in statements("ClusterStackRole") if "iam:CreateRole" in listed(each["Action"])]
    condition = {"StringEquals": {"iam:PermissionsBoundary": {"Ref": "PermissionsBoundary"}}}
    assert [each["Condition"] for each in grants] == [{"Fn::If": ["HasBoundary", condition, {"Ref": "AWS::NoValue"}]}]
    assert {"iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:PutRolePermissionsBoundary"} <= {*grants[0]["Action"]}
    text = json.dumps(read_template()["Resources"]["ClusterStackRole"])
    assert '"Fn::If": ["HasBoundary", {"Ref": "AWS::NoValue"}, {"Sid": "LiftBoundary"' in text


def test_a_role_is_within_iams_limits() -> None:
    for role in [*RIGHTS, "ClusterStackRole"]:
        assert _length(read_template()["Resources"][role]["Properties"]["Policies"]) < 10240
    managed = of_type("AWS::IAM::ManagedPolicy")
    assert set(managed) == {"BatchStacksPolicy"}
    for policy in managed.values():
        assert _length(policy["Properties"]["PolicyDocument"]) < 6144


def _length(policies: Any) -> int:
    """Characters, generous for what the references in it become."""
    text = json.dumps(policies, separators=(",", ":")).replace("${AWS::Partition}", "aws-us-gov")
    resolved = re.sub(r"\$\{AWS::AccountId\}", "123456789012", text.replace("${AWS::Region}", "ap-southeast-1"))
    return len(re.sub(r'\{"(?:Ref|Fn::\w+)":("[^"]*"|\[[^\]]*\])\}', r"\1", resolved))


# ------------------------------------------------------------------ rights and the code that uses them

# Where each function's calls are; a name after the colon is the one function of the file that it uses.
CODE = {
    "WakeRole": ["handlers/wake.py", "reconciler/wake.py"],
    "ReconcileRole": [
        "handlers/reconcile.py",
        "reconciler/loop.py",
        "reconciler/act.py",
        "reconciler/observe.py",
        "reconciler/observe_batch.py",
        "reconciler/resolve.py",
        "reconciler/store.py",
        "reconciler/cleanup.py:empty_prefix",
    ],
    "SweepRole": ["handlers/sweep.py", "reconciler/sweep.py", "reconciler/wake.py:send"],
    "CleanupRole": ["handlers/cleanup.py", "reconciler/cleanup.py"],
}
# Calls whose rights bear another name (Service Authorization Reference).
NAMED = {
    "dynamodb:TransactWriteItems": {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"},
    "lambda:Invoke": {"lambda:InvokeFunction"},
    "s3:DeleteObjects": {"s3:DeleteObject", "s3:DeleteObjectVersion"},
    "s3:ListObjectVersions": {"s3:ListBucketVersions"},
    "sqs:SendMessageBatch": {"sqs:SendMessage"},
}
# Rights that no call in the code names: Lambda's own, and what CloudFormation does in the caller's name.
UNCALLED = (
    LAMBDA
    | QUEUE_SOURCE
    | STREAM_SOURCE
    | {"cloudformation:TagResource", "cloudformation:UntagResource", "iam:PassRole", "s3:GetObject"}
)


@cache
def operations(service: str) -> Mapping[str, str]:
    """Names of a client's methods and what AWS calls them."""
    client: Any = boto3.client(service, region_name="us-east-1")  # pyright: ignore[reportCallIssue, reportArgumentType]
    return client.meta.method_to_api_mapping


def calls(source: str) -> Iterator[str]:
    path, _, function = source.partition(":")
    tree: Any = ast.parse((ROOT / path).read_text())
    if function:
        [tree] = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) and each.name == function]
    for call in (each for each in ast.walk(tree) if isinstance(each, ast.Call)):
        if isinstance(call.func, ast.Attribute):
            receiver = ast.unparse(call.func.value)
            found = re.search(
                r"(?:^|[._\"'])(autoscaling|batch|cloudformation|codebuild|dynamodb|ec2|ecr|ecs|lambda|s3|sqs|ssm)\b",
                receiver,
            )
            method = call.func.attr
            if method == "get_paginator":
                method = ast.literal_eval(call.args[0])
            if found and method in operations(found[1]):
                yield f"{found[1]}:{operations(found[1])[method]}"


@pytest.mark.parametrize("role", CODE)
def test_a_function_may_do_what_its_code_calls_and_nothing_more(role: str) -> None:
    called = {call for source in CODE[role] for call in calls(source)}
    assert called
    needed = {right for call in called for right in NAMED.get(call, {call})}
    assert needed - RIGHTS[role] == set()
    assert RIGHTS[role] - needed <= UNCALLED


# What the handlers of resource types declare and a cluster's template never makes them do.
NEVER_ASKED = {
    "cloudwatch:PutMetricAlarm": "no scaling policies",
    "ecr:DeleteRepositoryPolicy": "no policy on repositories",
    "ecr:SetRepositoryPolicy": "no policy on repositories",
    "eks:DescribeCluster": "no EKS",
    "kms:RetireGrant": "repositories with the service's own encryption",
    "ec2:AcceptAddressTransfer": "no transferred addresses",
    "ec2:CopyVolumes": "no copied volumes",
    "autoscaling:AttachLoadBalancerTargetGroups": "no load balancers",
    "autoscaling:AttachLoadBalancers": "no load balancers",
    "autoscaling:AttachTrafficSources": "no load balancers",
    "autoscaling:DetachLoadBalancerTargetGroups": "no load balancers",
    "autoscaling:DetachLoadBalancers": "no load balancers",
    "autoscaling:DetachTrafficSources": "no load balancers",
    "elasticloadbalancing:Describe*": "no load balancers",
    "autoscaling:CancelInstanceRefresh": "no instance refresh by CloudFormation",
    "autoscaling:StartInstanceRefresh": "no instance refresh by CloudFormation",
    "elasticfilesystem:CreateReplicationConfiguration": "no replication",
    "elasticfilesystem:DeleteReplicationConfiguration": "no replication",
    "elasticfilesystem:DeleteFileSystemPolicy": "no file system policy",
    "elasticfilesystem:PutFileSystemPolicy": "no file system policy",
    "firehose:TagDeliveryStream": "no delivery of logs",
    "logs:AssociateKmsKey": "log groups with the service's own encryption",
    "logs:CreateLogDelivery": "no delivery of logs",
    "logs:DeleteDataProtectionPolicy": "no data protection policy",
    "logs:DeleteIndexPolicy": "no field indexes",
    "logs:DeleteResourcePolicy": "no policy on log groups",
    "logs:DisassociateKmsKey": "log groups with the service's own encryption",
    "logs:PutBearerTokenAuthentication": "no bearer tokens",
    "logs:PutDataProtectionPolicy": "no data protection policy",
    "logs:PutIndexPolicy": "no field indexes",
    "logs:PutLogGroupDeletionProtection": "a cluster's log group goes with it",
    "logs:PutResourcePolicy": "no policy on log groups",
    "s3:REST.PUT.OBJECT": "no delivery of logs",
    "sns:PutDataProtectionPolicy": "no data protection policy",
    "ssm:CreateAssociation": "no associations of Systems Manager",
    "ssm:DeleteAssociation": "no associations of Systems Manager",
    "ssm:DescribeAssociation": "no associations of Systems Manager",
    "ssm:ListAssociations": "no associations of Systems Manager",
    "ssm:Get*": "images by id, not by parameter",
    "ec2:Get*": "launch templates only, of which ec2:GetLaunchTemplateData",
}
OTHER_SERVICES = ("managed-fleets:", "vpc-lattice:")


@cache
def schemas() -> Mapping[str, Any]:
    folder = importlib.resources.files("cfnlint.data.schemas.resources")
    read = (json.loads(each.read_text()) for each in folder.iterdir() if each.name.endswith(".json"))
    return {schema["typeName"]: schema for schema in read}


@cache
def rendered_types() -> set[str]:
    clusters = [cluster(**MATRIX[option]) for option in sorted(MATRIX)]
    clusters += [batches.cluster(**batches.MATRIX[option]) for option in sorted(batches.MATRIX)]
    templates = (json.loads(rendered(each).body) for each in clusters)
    return {resource["Type"] for each in templates for resource in each["Resources"].values()}


@cache
def spelled(action: str) -> str:
    """A declared action as it is granted here: IAM takes no notice of upper and lower case, nor do the schemas."""
    known = {each.lower(): each for each in {*actions("ClusterStackRole"), *NEVER_ASKED}}
    return known.get(action.lower(), action)


def test_cloudformation_may_do_all_that_a_clusters_resources_ask_of_it() -> None:
    allowed = actions("ClusterStackRole")

    def granted(action: str) -> bool:
        return action in allowed or any(action.startswith(each[:-1]) for each in allowed if each.endswith("*"))

    asked = {
        spelled(action)
        for kind in rendered_types()
        for verb, handler in schemas().get(kind, {}).get("handlers", {}).items()
        if verb != "list"
        for action in handler.get("permissions", [])
        if not action.startswith(OTHER_SERVICES)
    }
    assert len(asked) > 100
    assert {action for action in asked if not granted(action)} == set(NEVER_ASKED)


def test_each_type_that_a_cluster_is_made_of_was_looked_at() -> None:
    """FSx and CodeBuild publish no handler; the rights for FSx are from its user guide."""
    without = {kind for kind in rendered_types() if not schemas().get(kind, {}).get("handlers")}
    assert without == {
        "AWS::CodeBuild::Project",
        "AWS::FSx::FileSystem",
        "Custom::EcrCleanup",
        "Custom::S3Cleanup",
    }
    made = {f"fsx:{each}FileSystem" for each in ("Create", "Delete", "Update")} | {"fsx:DescribeFileSystems"}
    made |= {f"codebuild:{each}Project" for each in ("Create", "Delete", "Update")}
    assert made <= actions("ClusterStackRole")
    assert "lambda:InvokeFunction" in actions("ClusterStackRole")


# ------------------------------------------------------------------ what is safe by default


def test_the_template_has_no_faults() -> None:
    text = (ROOT / "template.yaml").read_text()
    found = lint(text, config=ManualArgs(regions=["us-east-1", "eu-central-1"]))
    assert [str(match) for match in found] == []


def test_tables_are_encrypted_and_can_be_restored() -> None:
    tables = of_type("AWS::DynamoDB::Table")
    assert set(tables) == {"SpecsTable", "StateTable"}
    for table in tables.values():
        properties = table["Properties"]
        assert properties["SSESpecification"] == {"SSEEnabled": True}
        assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert properties["BillingMode"] == "PAY_PER_REQUEST"


def test_what_users_wrote_outlives_the_control_plane() -> None:
    table = read_template()["Resources"]["SpecsTable"]
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_queues_are_encrypted_and_reached_over_tls_only() -> None:
    queues = of_type("AWS::SQS::Queue")
    assert all(queue["Properties"]["SqsManagedSseEnabled"] for queue in queues.values())
    denied = {
        queue["Ref"]
        for policy in of_type("AWS::SQS::QueuePolicy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "sqs:*")
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        for queue in policy["Properties"]["Queues"]
    }
    assert denied == set(queues)


def test_every_queue_that_is_read_has_a_dead_letter_queue_of_its_kind_and_an_alarm_on_it() -> None:
    queues = of_type("AWS::SQS::Queue")
    alarmed = {
        alarm["Properties"]["Dimensions"][0]["Value"]["Fn::GetAtt"][0]
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if alarm["Properties"]["MetricName"] == "ApproximateNumberOfMessagesVisible"
    }
    for name in ("Wakes", "Background", "Inbox"):
        properties = queues[f"{name}Queue"]["Properties"]
        [dead] = [properties["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]]
        assert properties["RedrivePolicy"]["maxReceiveCount"] == 100
        assert queues[dead]["Properties"].get("FifoQueue") == properties.get("FifoQueue")
        assert dead in alarmed
    assert "StreamFailures" in alarmed
    assert "FifoQueue" not in queues["StreamFailures"]["Properties"]


def test_a_message_stays_hidden_for_six_times_the_time_of_its_reader() -> None:
    for mapping in of_type("AWS::Lambda::EventSourceMapping").values():
        source = mapping["Properties"]["EventSourceArn"]["Fn::GetAtt"]
        function = transformed()["Resources"][mapping["Properties"]["FunctionName"]["Ref"]]
        if source[1] == "Arn":
            queue = transformed()["Resources"][source[0]]["Properties"]
            assert queue["VisibilityTimeout"] == 6 * function["Properties"]["Timeout"]


def test_sources_give_back_single_messages_and_passes_get_one_at_a_time() -> None:
    mappings = of_type("AWS::Lambda::EventSourceMapping")
    assert len(mappings) == 5
    for mapping in mappings.values():
        assert mapping["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    for name, parameter in (("Wakes", "ReconcileConcurrency"), ("Background", "BackgroundConcurrency")):
        properties = mappings[f"ReconcileFunction{name}"]["Properties"]
        assert properties["BatchSize"] == 1
        assert properties["ScalingConfig"] == {"MaximumConcurrency": {"Ref": parameter}}


def test_of_the_state_table_only_what_jobs_want_wakes() -> None:
    """The operator writes that table itself, and must not wake itself for ever."""
    properties = of_type("AWS::Lambda::EventSourceMapping")["WakeFunctionDemand"]["Properties"]
    [pattern] = [json.loads(each["Pattern"]) for each in properties["FilterCriteria"]["Filters"]]
    [record] = json.loads((ROOT / "events" / "demand.json").read_text())["Records"]
    assert matches(pattern, record)
    for row in ("STATE", "EVENT#0123", "AGENT", "FACTS", "NODE#i-0123", "SECRET#MUNGE"):
        other = {**record, "dynamodb": {**record["dynamodb"], "Keys": {"cluster": {"S": "demo"}, "row": {"S": row}}}}
        assert not matches(pattern, other)


@pytest.mark.parametrize("source", ["Specs", "Demand"])
def test_a_record_of_a_stream_that_fails_does_not_block_its_shard(source: str) -> None:
    properties = of_type("AWS::Lambda::EventSourceMapping")[f"WakeFunction{source}"]["Properties"]
    assert properties["BisectBatchOnFunctionError"] is True
    assert properties["MaximumRetryAttempts"] == 10
    assert properties["MaximumRecordAgeInSeconds"] == 3600
    assert properties["BatchSize"] == 100
    assert properties["StartingPosition"] == "TRIM_HORIZON"
    assert properties["DestinationConfig"]["OnFailure"]["Destination"] == {"Fn::GetAtt": ["StreamFailures", "Arn"]}


def test_only_our_rules_may_send_to_the_inbox() -> None:
    statements_ = read_template()["Resources"]["InboxPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    [allow] = [each for each in statements_ if each["Effect"] == "Allow"]
    rules = {name for name, each in read_template()["Resources"].items() if each["Type"] == "AWS::Events::Rule"}
    assert {arn["Fn::GetAtt"][0] for arn in allow["Condition"]["ArnEquals"]["aws:SourceArn"]} == rules
    assert all(
        read_template()["Resources"][rule]["Properties"]["Targets"][0]["Arn"] == {"Fn::GetAtt": ["InboxQueue", "Arn"]}
        for rule in rules
    )


def matches(pattern: Any, event: Any) -> bool:
    """EventBridge's matching, as far as the template uses it."""
    if isinstance(pattern, dict):
        return all(key in event and matches(each, event[key]) for key, each in pattern.items())
    prefixes = [each["prefix"] for each in pattern if isinstance(each, dict)]
    prefixes = [each["Fn::Sub"] if isinstance(each, dict) else each for each in prefixes]
    names = {"Partition": "aws", "Region": "us-east-1", "AccountId": "123456789012"}
    prefixes = [re.sub(r"\$\{AWS::(\w+)\}", lambda found: names[found[1]], each) for each in prefixes]
    return event in pattern or any(event.startswith(prefix) for prefix in prefixes)


@pytest.mark.parametrize(
    ("name", "rule"),
    {
        "stack-status": "StackRule",
        "group-launch-successful": "GroupRule",
        "group-launch-unsuccessful": "GroupRule",
        "group-terminate-successful": "GroupRule",
        "group-terminate-unsuccessful": "GroupRule",
        "codebuild-build": "BuildRule",
        "ecr-image": "ImageRule",
        "spot-interruption": "SpotRule",
        "spot-rebalance": "SpotRule",
        "instance-state": "InstanceRule",
    }.items(),
)
def test_every_sample_event_passes_one_rule(name: str, rule: str) -> None:
    event = json.loads((ROOT / "events" / f"{name}.json").read_text())
    rules = {key: each for key, each in read_template()["Resources"].items() if each["Type"] == "AWS::Events::Rule"}
    assert [key for key, each in rules.items() if matches(each["Properties"]["EventPattern"], event)] == [rule]


def test_the_bucket_is_private_versioned_encrypted_and_reached_over_tls_only() -> None:
    properties = read_template()["Resources"]["ArtifactsBucket"]["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert properties["BucketEncryption"]
    [rule] = properties["LifecycleConfiguration"]["Rules"]
    assert rule["NoncurrentVersionExpiration"]
    [deny] = read_template()["Resources"]["ArtifactsBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", "*", "s3:*")
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_bucket_is_emptied_while_the_function_and_its_rights_are_still_there() -> None:
    cleanup = read_template()["Resources"]["ArtifactsCleanup"]
    assert cleanup["DependsOn"] == "CleanupContinuesItself"
    assert cleanup["Properties"]["WholeBucket"] is True
    policy = read_template()["Resources"]["CleanupContinuesItself"]["Properties"]
    assert policy["Roles"] == [{"Ref": "CleanupRole"}]


def test_what_a_clusters_stack_may_touch_by_name_is_nothing_of_the_control_plane() -> None:
    """The role's patterns for queues, topics, log groups and roles, against a control plane named as by default."""
    names = [
        each["Properties"][key].get("Fn::Sub", "").replace("${AWS::StackName}", "muster")
        for each in read_template()["Resources"].values()
        for key in ("QueueName", "TopicName", "LogGroupName")
        if key in each.get("Properties", {})
    ]
    assert len(names) == 12
    assert not [name for name in names if name.startswith(("muster-", "/muster/"))]
    unnamed = {"AWS::SQS::Queue": "QueueName", "AWS::SNS::Topic": "TopicName", "AWS::Logs::LogGroup": "LogGroupName"}
    for kind, key in unnamed.items():
        assert all(key in each["Properties"] for each in of_type(kind).values())


def test_logs_are_kept_for_a_set_time_and_each_function_writes_its_own() -> None:
    for function in FUNCTIONS:
        logs = read_template()["Resources"][f"{function}Logs"]["Properties"]
        assert logs["RetentionInDays"] == {"Ref": "LogRetentionDays"}
        properties = read_template()["Resources"][f"{function}Function"]["Properties"]
        assert properties["LoggingConfig"] == {"LogGroup": {"Ref": f"{function}Logs"}}


def test_every_function_has_an_alarm_on_its_errors() -> None:
    alarmed = {
        alarm["Properties"]["Dimensions"][0]["Value"]["Ref"]
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if alarm["Properties"]["MetricName"] == "Errors"
    }
    assert alarmed == {f"{function}Function" for function in FUNCTIONS}


# ------------------------------------------------------------------ in step


def test_the_version_is_that_of_the_operator() -> None:
    assert read_template()["Outputs"]["Version"]["Value"] == VERSION


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_told_what_its_code_asks_for(function: str) -> None:
    """Settings are read from the environment by name; what is set and never read is left out of the template."""
    variables = (
        read_template()["Resources"][f"{function}Function"]["Properties"].get("Environment", {}).get("Variables", {})
    )
    files = [source.partition(":")[0] for source in CODE[f"{function}Role"]]
    if function in {"Reconcile", "Sweep"}:
        files.append("reconciler/settings.py")
    read = set(re.findall(r"MUSTER_[A-Z_]+", "".join((ROOT / each).read_text() for each in files)))
    assert set(variables) <= read
    if function in {"Wake", "Reconcile", "Cleanup"}:
        assert read - {"MUSTER_REGION"} <= set(variables)


def test_the_handlers_are_where_the_template_says() -> None:
    for function in FUNCTIONS:
        module, name = read_template()["Resources"][f"{function}Function"]["Properties"]["Handler"].rsplit(".", 1)
        tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
        assert name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}


def test_what_is_built_is_the_code_that_is_tested() -> None:
    assert read_template()["Globals"]["Function"]["CodeUri"] == "lambda/"
    for package in ("handlers", "reconciler"):
        assert (ROOT / "lambda" / package).readlink() == Path("..") / package
