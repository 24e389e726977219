"""Least rights, encryption, IMDSv2, no way in: over all options."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from reconciler.render import render
from tests.unit.render.support import (
    EBS,
    EFS,
    LUSTRE,
    MATRIX,
    NETWORK,
    SCRIPTS,
    SITE,
    SLURM,
    cluster,
    of_type,
    pins,
    resources,
    statements,
)

ALL = sorted(MATRIX)
SG = "sg-0123456789abcdef0"


@pytest.fixture(params=ALL)
def made(request: pytest.FixtureRequest) -> dict[str, Any]:
    return resources(**MATRIX[request.param])


def launches(among: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What describes an instance: the head node, the queues' launch templates."""
    for logical, resource in among.items():
        if resource["Type"] == "AWS::EC2::Instance":
            yield resource["Properties"]
        if resource["Type"] == "AWS::EC2::LaunchTemplate" and logical != "HeadDisks":
            yield resource["Properties"]["LaunchTemplateData"]


def test_every_instance_answers_version_2_of_the_metadata_service_alone(made: dict[str, Any]):
    for launch in launches(made):
        assert launch["MetadataOptions"] == {
            "HttpEndpoint": "enabled",
            "HttpPutResponseHopLimit": 1,
            "HttpTokens": "required",
        }


def test_every_root_volume_is_encrypted_and_goes_with_its_node(made: dict[str, Any]):
    disks_of_head = made.get("HeadDisks", {"Properties": {"LaunchTemplateData": {}}})["Properties"]
    for launch in launches(made):
        mappings = {**disks_of_head["LaunchTemplateData"], **launch}["BlockDeviceMappings"]
        disks = [device["Ebs"] for device in mappings if "Ebs" in device]
        assert [(disk["Encrypted"], disk["DeleteOnTermination"]) for disk in disks] == [(True, True)]


@pytest.mark.parametrize("os", ["alinux2023", "ubuntu2204", "ubuntu2404"])
def test_the_root_volume_takes_the_place_of_the_images(os: str):
    device = resources(image={"os": os})["HeadNode"]["Properties"]["BlockDeviceMappings"][0]
    assert device["DeviceName"] == ("/dev/xvda" if os == "alinux2023" else "/dev/sda1")


@pytest.mark.parametrize("kind", ["ebs", "raid", "efs"])
def test_storage_is_encrypted_unless_the_user_wrote_otherwise(kind: str):
    settings = {"level": 0} if kind == "raid" else {}
    for chosen, expected in (({}, True), ({"encrypted": False}, False)):
        entry = {"name": "data", "mountDir": "/data", kind: {**settings, **chosen}}
        of_kind = [
            resource
            for resource in resources(sharedStorage=[entry]).values()
            if resource["Type"] in ("AWS::EC2::Volume", "AWS::EFS::FileSystem")
        ]
        assert of_kind
        assert all(resource["Properties"]["Encrypted"] is expected for resource in of_kind)


def test_queues_are_encrypted_and_take_what_the_topic_sends_over_tls(made: dict[str, Any]):
    for queue in of_type("AWS::SQS::Queue", made).values():
        assert queue["Properties"]["SqsManagedSseEnabled"] is True
    policies = of_type("AWS::SQS::QueuePolicy", made)
    assert sorted(entry for policy in policies.values() for entry in (policy["Properties"]["Queues"][0]["Ref"],)) == [
        "DeadLetters",
        "Queue",
    ]
    allowed, denied = policies["QueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert allowed["Principal"] == {"Service": "sns.amazonaws.com"}
    assert allowed["Action"] == "sqs:SendMessage"
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Ref": "Topic"}}}
    assert (denied["Effect"], denied["Principal"], denied["Action"]) == ("Deny", "*", "sqs:*")
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_nobody_outside_the_account_is_allowed_anything(made: dict[str, Any]):
    """`*` may stand for a principal only where it is denied something."""
    for resource in made.values():
        for statement in resource["Properties"].get("PolicyDocument", {}).get("Statement", []):
            assert statement["Principal"] != "*" or statement["Effect"] == "Deny"


# Why an action is allowed on more than one named thing.
UNAVOIDABLE = {
    "logs:CreateLogStream": "a stream has the instance's id for a name; the log group is named",
    "logs:PutLogEvents": "the same",
    "s3:PutObject": "below the nodes' own prefix, or where spec.s3Access says",
    "ec2:AttachVolume": "the id of the head node is not known to the role that it needs; its tags are, and the volumes",
    "autoscaling:CompleteLifecycleAction": "a group's ARN has an id of AWS's in it; the name is the cluster's",
    "autoscaling:RecordLifecycleActionHeartbeat": "the same",
    "kms:CreateGrant": "an existing volume's key is not known; only for EC2's own use",
    "kms:Decrypt": "the same",
    "kms:DescribeKey": "the same",
    # The user's own list.
    "s3:GetObject": "spec.s3Access, or what another version of the operator has nodes run",
    "s3:GetObjectVersion": "spec.s3Access",
    "s3:DeleteObject": "spec.s3Access",
    "s3:AbortMultipartUpload": "spec.s3Access",
    "s3:ListMultipartUploadParts": "spec.s3Access",
}


# EC2 Auto Scaling knows no resource-level rights for it (service authorization reference).
WITHOUT_RESOURCES = {"autoscaling:DescribeAutoScalingGroups"}


def listed(one_or_many: Any) -> list[Any]:
    return one_or_many if isinstance(one_or_many, list) else [one_or_many]


def test_rights_are_on_named_things(made: dict[str, Any]):
    for role in of_type("AWS::IAM::Role", made).values():
        for statement in statements(role):
            assert statement["Effect"] == "Allow"
            actions, targets = listed(statement["Action"]), listed(statement["Resource"])
            assert all("*" not in action for action in actions)
            assert ("*" in targets) is (set(actions) <= WITHOUT_RESOURCES)
            if any("*" in arn for arn in targets if isinstance(arn, str) and arn != "*"):
                assert set(actions) <= set(UNAVOIDABLE)


def rights(role: Mapping[str, Any]) -> dict[str, Any]:
    return {statement["Sid"]: statement for statement in statements(role) if "Sid" in statement}


COMMON = {
    "Log": {
        "Sid": "Log",
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": ["arn:aws:logs:us-east-1:123456789012:log-group:/muster/demo:*"],
    },
    "Upload": {
        "Sid": "Upload",
        "Effect": "Allow",
        "Action": ["s3:PutObject"],
        "Resource": ["arn:aws:s3:::artifacts/clusters/demo/nodes/*"],
    },
}


def rows(*actions: str) -> dict[str, Any]:
    return {
        "Sid": "Rows",
        "Effect": "Allow",
        "Action": [f"dynamodb:{action}" for action in actions],
        "Resource": ["arn:aws:dynamodb:us-east-1:123456789012:table/state"],
        "Condition": {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["demo/nodes"]}},
    }


def test_a_compute_node_has_these_rights_and_no_more():
    assert rights(resources()["ComputeRole"]) == {
        **COMMON,
        "Messages": {
            "Sid": "Messages",
            "Effect": "Allow",
            "Action": ["sqs:SendMessage"],
            "Resource": [{"Fn::GetAtt": ["Queue", "Arn"]}],
        },
        "Rows": rows("GetItem", "PutItem", "UpdateItem"),
        "LaunchHook": {
            "Sid": "LaunchHook",
            "Effect": "Allow",
            "Action": ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"],
            "Resource": [
                "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:*:autoScalingGroupName/muster-demo.*"
            ],
        },
    }


def test_the_head_node_has_these_rights_and_no_more():
    assert rights(resources()["HeadRole"]) == {
        **COMMON,
        "Messages": {
            "Sid": "Messages",
            "Effect": "Allow",
            "Action": ["sqs:DeleteMessage", "sqs:ReceiveMessage"],
            "Resource": [{"Fn::GetAtt": ["Queue", "Arn"]}],
        },
        "Rows": rows("DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"),
    }


AGENT = {
    "Sid": "Agent",
    "Effect": "Allow",
    "Action": ["s3:GetObject"],
    "Resource": ["arn:aws:s3:::artifacts/clusters/demo/agent/*"],
}


def test_nodes_of_slurm_also_fetch_their_agent_and_the_head_node_looks_after_the_groups():
    plain, slurm = resources(image=SLURM["image"]), resources(**SLURM)
    assert rights(slurm["ComputeRole"]) == {**rights(plain["ComputeRole"]), "Agent": AGENT}
    assert rights(slurm["HeadRole"]) == {
        **rights(plain["HeadRole"]),
        "Agent": AGENT,
        "TerminateHook": {
            "Sid": "TerminateHook",
            "Effect": "Allow",
            "Action": ["autoscaling:CompleteLifecycleAction"],
            "Resource": [
                "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:*:autoScalingGroupName/muster-demo.*"
            ],
        },
        "Members": {
            "Sid": "Members",
            "Effect": "Allow",
            "Action": ["autoscaling:DescribeAutoScalingGroups"],
            "Resource": ["*"],
        },
    }


def test_the_head_node_attaches_its_own_volumes_to_itself():
    made = resources(sharedStorage=[EBS[0], EBS[4]])
    granted = rights(made["HeadRole"])
    (empty,) = of_type("AWS::EC2::Volume", made)
    prefix = "arn:aws:ec2:us-east-1:123456789012:volume/"
    assert granted["AttachVolumes"]["Resource"] == [
        {"Fn::Join": ["", [prefix, {"Ref": empty}]]},
        {"Fn::Join": ["", [prefix, "vol-0fedcba9876543210"]]},
    ]
    assert granted["AttachToItself"]["Condition"] == {
        "StringEquals": {
            "aws:ResourceTag/muster:cluster": "demo",
            "aws:ResourceTag/muster:owner": "muster",
            "aws:ResourceTag/muster:node": "head",
        }
    }
    assert granted["UseKeysOfVolumes"]["Condition"] == {
        "StringEquals": {"kms:ViaService": "ec2.us-east-1.amazonaws.com"}
    }


def test_a_file_system_that_exists_is_no_volume_to_attach():
    granted = rights(resources(sharedStorage=EFS + LUSTRE)["HeadRole"])
    assert {"AttachVolumes", "AttachToItself", "UseKeysOfVolumes"} & granted.keys() == set()


def test_nodes_may_read_the_bootstrap_scripts_that_are_in_s3():
    made = resources(bootstrap=SCRIPTS)
    for role in ("HeadRole", "ComputeRole"):
        assert rights(made[role])["Bootstrap"]["Action"] == ["s3:GetObject"]
        assert rights(made[role])["Bootstrap"]["Resource"] == ["arn:aws:s3:::scripts/pre.sh"]


READ = {"s3:GetObject", "s3:GetObjectVersion"}


def test_s3_access_is_what_the_user_listed():
    entries = [
        {"resource": "arn:aws:s3:::whole", "access": "read"},
        {"resource": "arn:aws:s3:::part/in/*", "access": "read"},
        {"resource": "arn:aws:s3:::results", "access": "readWrite"},
    ]
    made = resources(s3Access=entries)
    for role in ("HeadRole", "ComputeRole"):
        lists = [entry for entry in statements(made[role]) if entry["Action"] == "s3:ListBucket"]
        assert [(entry["Resource"], entry.get("Condition")) for entry in lists] == [
            ("arn:aws:s3:::whole", None),
            ("arn:aws:s3:::part", {"StringLike": {"s3:prefix": "in/*"}}),
            ("arn:aws:s3:::results", None),
        ]
        granted = rights(made[role])
        assert granted["DataRead"]["Resource"] == ["arn:aws:s3:::whole/*", "arn:aws:s3:::part/in/*"]
        assert set(granted["DataRead"]["Action"]) == READ
        assert granted["DataReadWrite"]["Resource"] == ["arn:aws:s3:::results/*"]
        assert set(granted["DataReadWrite"]["Action"]) > READ | {"s3:PutObject", "s3:DeleteObject"}


@pytest.mark.parametrize("scheduler", [{}, SLURM], ids=["none", "slurm"])
def test_the_largest_roles_keep_within_iams_quota(scheduler: dict[str, Any]):
    """10,240 characters for all policies in a role (IAM user guide, quotas)."""
    entries = [
        {"resource": f"arn:aws:s3:::bucket{number:04d}/{'k' * 51}*", "access": ("read", "readWrite")[number % 2]}
        for number in range(20)
    ]
    scripts = {phase: {"url": f"s3://bucket/{'k' * 1000}"} for phase in ("preInstall", "postInstall")}
    volumes = [{"ebs": {}}] * 5 + [{"raid": {"level": 0, "volumes": 3}}] * 2
    made = resources(
        "c" * 60,
        **scheduler,
        s3Access=entries,
        bootstrap=scripts,
        sharedStorage=[{"name": f"s{n}", "mountDir": f"/d{n}", **kind} for n, kind in enumerate(volumes)],
    )
    for role in ("HeadRole", "ComputeRole"):
        policy = json.dumps(made[role]["Properties"]["Policies"][0]["PolicyDocument"], separators=(",", ":"))
        assert len(policy) < 10_240


def test_roles_have_the_clusters_path_the_users_policies_and_boundary():
    made = resources(**MATRIX["given-groups"])
    for role in of_type("AWS::IAM::Role", made).values():
        assert role["Properties"]["Path"] == "/muster/demo/"
        assert role["Properties"]["ManagedPolicyArns"] == MATRIX["given-groups"]["iam"]["additionalPolicies"]
        assert role["Properties"]["PermissionsBoundary"].endswith("policy/boundary")
    for profile in of_type("AWS::IAM::InstanceProfile", made).values():
        assert profile["Properties"]["Path"] == "/muster/demo/"


def test_ssh_from_the_given_ranges_is_the_only_way_in():
    network = {**NETWORK, "sshFrom": ["203.0.113.0/24", "198.51.100.7/32"]}
    groups = of_type("AWS::EC2::SecurityGroup", resources(network=network, sharedStorage=[EFS[0], LUSTRE[0]]))
    from_addresses = {
        logical: [
            (rule["IpProtocol"], rule["FromPort"], rule["ToPort"], rule["CidrIp"])
            for rule in group["Properties"].get("SecurityGroupIngress", [])
        ]
        for logical, group in groups.items()
    }
    assert from_addresses == {
        "HeadSecurityGroup": [("tcp", 22, 22, "203.0.113.0/24"), ("tcp", 22, 22, "198.51.100.7/32")],
        "ComputeSecurityGroup": [],
        "SecurityGroupEfs": [],
        "SecurityGroupScratch2": [],
    }


def lets_in(among: Mapping[str, Any]) -> set[tuple[str, str, Any]]:
    """Rules between groups: into which, from which, first port."""

    def name(group: Any) -> str:
        return group["Ref"] if isinstance(group, dict) else group

    rules = [rule["Properties"] for rule in of_type("AWS::EC2::SecurityGroupIngress", among).values()]
    return {(name(rule["GroupId"]), name(rule["SourceSecurityGroupId"]), rule.get("FromPort")) for rule in rules}


def test_nodes_reach_each_other_and_storage_lets_nodes_in():
    head, compute = "HeadSecurityGroup", "ComputeSecurityGroup"
    lustre = "SecurityGroupScratch2"
    assert lets_in(resources(sharedStorage=[EFS[0], LUSTRE[0]])) == {
        (head, compute, None),
        (compute, head, None),
        (compute, compute, None),
        ("SecurityGroupEfs", head, 2049),
        ("SecurityGroupEfs", compute, 2049),
        (lustre, head, 988),
        (lustre, compute, 988),
        (lustre, lustre, 988),
        (head, lustre, 988),
        (compute, lustre, 988),
    }


def test_efas_group_lets_its_own_traffic_out():
    (rule,) = of_type("AWS::EC2::SecurityGroupEgress", resources()).values()
    assert rule["Properties"]["GroupId"] == rule["Properties"]["DestinationSecurityGroupId"]
    assert rule["Properties"]["GroupId"] == {"Ref": "ComputeSecurityGroup"}


def test_given_groups_replace_the_nodes_and_are_not_changed():
    network = {**NETWORK, "securityGroupIds": [SG], "additionalSecurityGroupIds": ["sg-0fedcba9876543210"]}
    made = resources(network=network, sharedStorage=[EFS[0], LUSTRE[0]])
    assert sorted(of_type("AWS::EC2::SecurityGroup", made)) == ["SecurityGroupEfs", "SecurityGroupScratch2"]
    assert all(target != SG for target, _, _ in lets_in(made))
    assert ("SecurityGroupEfs", SG, 2049) in lets_in(made)
    both = [SG, "sg-0fedcba9876543210"]
    assert made["HeadNode"]["Properties"]["SecurityGroupIds"] == both
    template = made["LaunchTemplateCompute"]["Properties"]["LaunchTemplateData"]
    assert template["NetworkInterfaces"][0]["Groups"] == both


def test_additional_groups_follow_the_nodes_own():
    made = resources(network={**NETWORK, "additionalSecurityGroupIds": [SG]})
    assert made["HeadNode"]["Properties"]["SecurityGroupIds"] == [{"Ref": "HeadSecurityGroup"}, SG]


@pytest.mark.parametrize("public", [True, False])
def test_public_addresses_are_asked_for(public: bool):
    made = resources(network={**NETWORK, "publicIps": public})
    template = made["LaunchTemplateCompute"]["Properties"]["LaunchTemplateData"]
    assert template["NetworkInterfaces"][0]["AssociatePublicIpAddress"] is public
    assert ("HeadElasticIp" in made) is public


def test_everything_that_can_bear_tags_bears_the_marks_of_ownership(made: dict[str, Any]):
    untaggable = {
        "AWS::AutoScaling::AutoScalingGroup",  # its tags are looked at elsewhere
        "AWS::EC2::EIPAssociation",
        "AWS::EC2::LaunchTemplate",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EFS::MountTarget",
        "AWS::IAM::InstanceProfile",
        "AWS::SNS::Subscription",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::QueuePolicy",
        "Custom::S3Cleanup",
    }
    for resource in made.values():
        if resource["Type"] in untaggable:
            continue
        properties = resource["Properties"]
        tags = {tag["Key"]: tag["Value"] for tag in properties.get("Tags") or properties["FileSystemTags"]}
        assert tags["muster:cluster"] == "demo"
        assert tags["muster:owner"] == "muster"


def test_another_partition_has_its_own_arns_and_names():
    china = replace(SITE, partition="aws-cn", region="cn-north-1")
    of = cluster(sharedStorage=EFS[:1])
    body = render(of, china, pins(of)).body
    assert "arn:aws:" not in body.replace(SITE.state_table_arn, "").replace(SITE.cleanup_function_arn, "")
    assert "amazonaws.com.cn" in body
