"""Least rights, encryption, IMDSv2, no way in: over all options of a Batch cluster."""

import json
from dataclasses import replace
from typing import Any

import pytest

from reconciler.render import render
from tests.unit.render import batches
from tests.unit.render.batches import LEAST, MATRIX, PARAMETER, SECRET, resources
from tests.unit.render.support import EFS, SITE, of_type, pins, statements

ARN = "arn:aws:{}:us-east-1:123456789012:{}"
FILES = "arn:aws:s3:::artifacts/clusters/demo"
LISTING = {
    "Sid": "ListFiles",
    "Effect": "Allow",
    "Action": ["s3:ListBucket"],
    "Resource": ["arn:aws:s3:::artifacts"],
    "Condition": {"StringLike": {"s3:prefix": "clusters/demo/jobs/*"}},
}
REPOSITORY = [ARN.format("ecr", "repository/muster/demo")]
PULL = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


@pytest.fixture(params=sorted(MATRIX))
def made(request: pytest.FixtureRequest) -> dict[str, Any]:
    return resources(**MATRIX[request.param])


def allowed(sid: str, actions: list[str], targets: list[str]) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": targets}


def rights(role: dict[str, Any]) -> dict[str, Any]:
    return {statement["Sid"]: statement for statement in statements(role)}


def exactly(*entries: dict[str, Any]) -> dict[str, Any]:
    return {entry["Sid"]: entry for entry in entries}


def group(name: str) -> list[str]:
    """The ARNs of a log group and of its streams."""
    arn = ARN.format("logs", f"log-group:/muster/demo/{name}")
    return [arn, f"{arn}:*"]


LOG_IN = allowed("LogIn", ["ecr:GetAuthorizationToken"], ["*"])


def test_a_build_reads_its_sources_and_writes_its_image_and_log():
    images = [*LEAST["images"], {"name": "packed", "archive": "s3://sources/a.zip"}]
    assert rights(resources(batch={"images": images})["BuildRole"]) == exactly(
        allowed(
            "Log",
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            group("builds"),
        ),
        allowed(
            "Source",
            ["s3:GetObject", "s3:GetObjectVersion"],
            [f"{FILES}/sources/*", "arn:aws:s3:::sources/a.zip"],
        ),
        LOG_IN,
        allowed(
            "PullAndPush",
            sorted(
                [
                    *PULL,
                    "ecr:CompleteLayerUpload",
                    "ecr:InitiateLayerUpload",
                    "ecr:PutImage",
                    "ecr:UploadLayerPart",
                ]
            ),
            REPOSITORY,
        ),
    )


def test_another_content_of_a_packed_directory_is_not_another_role():
    """What `muster apply` packs is all below one prefix; only what lies elsewhere is named."""
    keys = ("clusters/demo/sources/a.zip", "clusters/demo/sources/b.zip")
    made = [{"name": "packed", "archive": f"s3://artifacts/{key}"} for key in keys]
    first, second = ([*LEAST["images"], image] for image in made)
    role = resources(batch={"images": first})["BuildRole"]
    assert role == resources(batch={"images": second})["BuildRole"]
    assert rights(role)["Source"]["Resource"] == [f"{FILES}/sources/*"]
    others = [f"s3://{key}" for key in ("artifacts/clusters/demo-2/sources/a.zip", "other/clusters/demo/sources/a.zip")]
    images = [*LEAST["images"], *({"name": f"i{n}", "archive": each} for n, each in enumerate(others))]
    assert len(rights(resources(batch={"images": images})["BuildRole"])["Source"]["Resource"]) == 3


def with_secrets() -> dict[str, Any]:
    job = {**LEAST["jobDefinitions"][0], "secrets": {"A": f"{SECRET}:key::", "B": SECRET, "C": PARAMETER}}
    return resources(batch={"jobDefinitions": [job]})


def test_the_launch_of_a_job_pulls_logs_and_reads_the_secrets_that_are_named():
    log = allowed("Log", ["logs:CreateLogStream", "logs:PutLogEvents"], group("jobs"))
    pull = allowed("Pull", PULL, REPOSITORY)
    assert rights(resources()["ExecutionRole"]) == exactly(log, LOG_IN, pull)
    found = rights(with_secrets()["ExecutionRole"])
    assert found["Secrets"]["Action"] == ["secretsmanager:GetSecretValue"]
    assert set(found["Secrets"]["Resource"]) == {SECRET}
    assert found["Parameters"] == allowed("Parameters", ["ssm:GetParameters"], [PARAMETER])


def test_secrets_reach_the_execution_role_alone():
    for logical, role in of_type("AWS::IAM::Role", with_secrets()).items():
        text = json.dumps(role)
        told = any(word in text for word in ("secretsmanager", "ssm:", SECRET, PARAMETER))
        assert told is (logical == "ExecutionRole")


def test_a_job_reads_and_writes_its_files_and_what_the_user_listed():
    files = allowed("Files", ["s3:GetObject", "s3:PutObject"], [f"{FILES}/jobs/*"])
    assert rights(resources()["JobRole"]) == exactly(files, LISTING)
    listed = resources(s3Access=[{"resource": "arn:aws:s3:::data/in/*", "access": "read"}])["JobRole"]
    (data,) = (entry for entry in statements(listed) if entry.get("Sid") == "DataRead")
    assert data["Resource"] == ["arn:aws:s3:::data/in/*"]


def test_whoever_submits_has_these_rights_and_no_more():
    looks = [
        "batch:DescribeComputeEnvironments",
        "batch:DescribeJobDefinitions",
        "batch:DescribeJobQueues",
        "batch:DescribeJobs",
        "batch:ListJobs",
        "ec2:DescribeInstances",
        "ecs:DescribeContainerInstances",
        "ecs:ListContainerInstances",
    ]
    assert rights(resources()["SubmitRole"]) == exactly(
        # The underscore can be in no cluster's name: this is no other's.
        allowed(
            "Submit",
            ["batch:SubmitJob"],
            [ARN.format("batch", "job-queue/muster-demo_*"), ARN.format("batch", "job-definition/muster-demo_*")],
        ),
        # A job's ARN is not known before, and has nothing of its cluster in it.
        allowed("End", ["batch:CancelJob", "batch:TerminateJob"], [ARN.format("batch", "job/*")]),
        allowed("Look", looks, ["*"]),
        allowed("Files", ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], [f"{FILES}/jobs/*"]),
        LISTING,
        allowed(
            "ReadLogs",
            ["logs:FilterLogEvents", "logs:GetLogEvents"],
            group("jobs"),
        ),
    )


# What AWS has no names of things for (service authorization reference).
WITHOUT_RESOURCES = {"LogIn", "Look"}


def test_rights_are_on_named_things(made: dict[str, Any]):
    for role in of_type("AWS::IAM::Role", made).values():
        for statement in statements(role) if "Policies" in role["Properties"] else ():
            assert statement["Effect"] == "Allow"
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert all("*" not in action for action in actions)
            assert ("*" in statement["Resource"]) is (statement.get("Sid") in WITHOUT_RESOURCES)


TAKEN_BY = {
    "BuildRole": {"Service": "codebuild.amazonaws.com"},
    "ExecutionRole": {"Service": "ecs-tasks.amazonaws.com"},
    "HeadRole": {"Service": "ec2.amazonaws.com"},
    "InstanceRole": {"Service": "ec2.amazonaws.com"},
    "JobRole": {"Service": "ecs-tasks.amazonaws.com"},
    "SpotFleetRole": {"Service": "spotfleet.amazonaws.com"},
    "SubmitRole": {"AWS": "arn:aws:iam::123456789012:root"},
}
MANAGED = {
    "InstanceRole": ["arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"],
    "SpotFleetRole": ["arn:aws:iam::aws:policy/service-role/AmazonEC2SpotFleetTaggingRole"],
}


def test_each_role_is_taken_by_one_service_and_has_no_policies_but_its_own(made: dict[str, Any]):
    for logical, role in of_type("AWS::IAM::Role", made).items():
        (trust,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == TAKEN_BY[logical]
        assert role["Properties"]["Path"] == "/muster/demo/"
        if logical != "JobRole":
            assert role["Properties"].get("ManagedPolicyArns") == MANAGED.get(logical)


def test_roles_have_the_users_boundary_and_jobs_the_users_policies():
    made = resources(**MATRIX["given-groups"])
    iam = MATRIX["given-groups"]["iam"]
    for role in of_type("AWS::IAM::Role", made).values():
        assert role["Properties"]["PermissionsBoundary"] == iam["permissionsBoundary"]
    assert made["JobRole"]["Properties"]["ManagedPolicyArns"] == iam["additionalPolicies"]


def test_the_largest_roles_keep_within_iams_quota():
    """10,240 characters for all policies in a role (IAM user guide, quotas)."""
    name = "n" * 28
    jobs = [
        {
            "name": f"{name}{n}",
            "image": "app",
            "secrets": {f"A{k}": f"arn:aws:ssm:us-east-1:123456789012:parameter/{n}/{k}" for k in range(2)},
        }
        for n in range(50)
    ]
    batch = {
        "images": [LEAST["images"][0], *({"name": f"i{n}", "archive": f"s3://abc/{'k' * 390}{n}"} for n in range(19))],
        "queues": [{"name": f"{name}{n}", "computeEnvironments": ["any"]} for n in range(20)],
        "jobDefinitions": jobs,
    }
    data = [{"resource": f"arn:aws:s3:::bucket{n:04d}/{'k' * 51}*", "access": "readWrite"} for n in range(20)]
    served = [{"name": f"s{n}", "mountDir": f"/shared/s{n}", "ebs": {}} for n in range(5)]
    served += [{"name": f"r{n}", "mountDir": f"/shared/r{n}", "raid": {"level": 0, "volumes": 3}} for n in range(2)]
    more = {"headNode": batches.HEAD_NODE, "sharedStorage": served}
    for role in of_type("AWS::IAM::Role", resources("c" * 60, batch=batch, s3Access=data, **more)).values():
        for policy in role["Properties"].get("Policies", []):
            assert len(json.dumps(policy["PolicyDocument"], separators=(",", ":"))) < 10_240


def test_every_instance_answers_version_2_of_the_metadata_service_alone(made: dict[str, Any]):
    templates = of_type("AWS::EC2::LaunchTemplate", made)
    for environment in of_type("AWS::Batch::ComputeEnvironment", made).values():
        compute = environment["Properties"]["ComputeResources"]
        if not compute["Type"].startswith("FARGATE"):
            launch = templates.pop(compute["LaunchTemplate"]["LaunchTemplateId"]["Ref"])["Properties"]
            assert launch["LaunchTemplateData"]["MetadataOptions"] == {
                "HttpEndpoint": "enabled",
                "HttpPutResponseHopLimit": 1,
                "HttpTokens": "required",
            }
    assert templates == {}


def test_every_root_volume_is_encrypted_and_goes_with_its_instance(made: dict[str, Any]):
    for template in of_type("AWS::EC2::LaunchTemplate", made).values():
        (disk,) = template["Properties"]["LaunchTemplateData"]["BlockDeviceMappings"]
        assert (disk["Ebs"]["Encrypted"], disk["Ebs"]["DeleteOnTermination"]) == (True, True)


def test_images_are_encrypted_scanned_and_never_overwritten(made: dict[str, Any]):
    repository = made["Repository"]["Properties"]
    assert repository["EncryptionConfiguration"] == {"EncryptionType": "AES256"}
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert repository["ImageTagMutability"] == "IMMUTABLE"


def test_every_mount_of_efs_is_over_tls():
    definitions = of_type("AWS::Batch::JobDefinition", resources(**MATRIX["everything"])).values()
    found = [
        volume["EfsVolumeConfiguration"]["TransitEncryption"]
        for definition in definitions
        for properties in [definition["Properties"]]
        for container in [
            properties.get("ContainerProperties") or properties["NodeProperties"]["NodeRangeProperties"][0]["Container"]
        ]
        for volume in container.get("Volumes", [])
        if "Host" not in volume
    ]
    assert set(found) == {"ENABLED"}


def test_nobody_reaches_a_job_from_outside(made: dict[str, Any]):
    for logical, group in of_type("AWS::EC2::SecurityGroup", made).items():
        # SSH to a head node is what the user asks for, and has its own test.
        assert logical == "HeadSecurityGroup" or "SecurityGroupIngress" not in group["Properties"]
    for rule in of_type("AWS::EC2::SecurityGroupIngress", made).values():
        assert "CidrIp" not in rule["Properties"]


def test_given_groups_replace_the_jobs_own():
    made = resources(**MATRIX["given-groups"])
    (environment,) = of_type("AWS::Batch::ComputeEnvironment", made).values()
    assert environment["Properties"]["ComputeResources"]["SecurityGroupIds"] == ["sg-0123456789abcdef0"]
    assert all(logical.startswith("SecurityGroup") for logical in of_type("AWS::EC2::SecurityGroup", made))


def marks(resource: dict[str, Any]) -> dict[str, str]:
    properties = resource["Properties"]
    tags = properties.get("Tags") or properties.get("FileSystemTags") or properties["TagSpecifications"][0]["Tags"]
    return {tag["Key"]: tag["Value"] for tag in tags} if isinstance(tags, list) else tags


def test_everything_that_can_bear_tags_bears_the_marks_of_ownership(made: dict[str, Any]):
    untaggable = {
        "AWS::EC2::EIPAssociation",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EFS::MountTarget",
        "AWS::IAM::InstanceProfile",
        "Custom::EcrCleanup",
        "Custom::S3Cleanup",
    }
    for resource in made.values():
        if resource["Type"] not in untaggable:
            tags = marks(resource)
            assert (tags["muster:cluster"], tags["muster:owner"]) == ("demo", "muster")


def test_another_partition_has_its_own_arns_and_names():
    china = replace(SITE, partition="aws-cn", region="cn-north-1")
    environments = [{"name": "any", "type": "SPOT", "allocationStrategy": "BEST_FIT"}]
    of = batches.cluster(batch={"computeEnvironments": environments}, sharedStorage=EFS[:1])
    body = render(of, china, pins(of)).body
    assert "arn:aws:" not in body.replace(SITE.state_table_arn, "").replace(SITE.cleanup_function_arn, "")
    assert "dkr.ecr.cn-north-1.amazonaws.com.cn" in body
