"""The stack of a Batch cluster: what is made of each option, and what a change of one changes."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.render import render
from reconciler.render.batch.images import builds
from tests.unit.render import batches
from tests.unit.render.batches import (
    ALL_KINDS,
    DOCKERFILE,
    HEAD_NODE,
    LEAST,
    MATRIX,
    PARAMETER,
    SECRET,
    definition,
    environment,
    resources,
)
from tests.unit.render.support import EFS, NETWORK, SITE, of_type, pins, rendered, statements, subnet

ENVIRONMENT = "AWS::Batch::ComputeEnvironment"


def shuffled(value: Any, draw: st.DrawFn) -> Any:
    if isinstance(value, dict):
        return {key: shuffled(value[key], draw) for key in draw(st.permutations(list(value)))}
    return [shuffled(entry, draw) for entry in value] if isinstance(value, list) else value


@given(st.data(), st.sampled_from(sorted(MATRIX)))
def test_the_same_spec_gives_the_same_bytes_in_whatever_order_it_is_written(data: st.DataObject, option: str):
    spec = MATRIX[option]
    first = rendered(batches.cluster(**spec))
    again = rendered(batches.cluster(**shuffled(spec, data.draw)))
    assert first == again


def test_the_body_is_canonical_json():
    body = batches.body(**MATRIX["everything"])
    assert body == json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"))


def test_a_cluster_of_batch_has_no_nodes():
    made = resources(**MATRIX["everything"])
    services = {resource["Type"].split("::")[1] for resource in made.values()}
    assert not services & {"AutoScaling", "SNS", "SQS"}
    assert not of_type("AWS::EC2::Instance", made)


def test_the_outputs_name_what_people_look_for():
    found = json.loads(batches.body())["Outputs"]
    environment_id = next(iter(of_type(ENVIRONMENT, resources())))
    assert {name: output["Value"] for name, output in found.items()} == {
        "Repository": {"Ref": "Repository"},
        "BuildProject": {"Ref": "BuildProject"},
        "SubmitRoleArn": {"Fn::GetAtt": ["SubmitRole", "Arn"]},
        "JobsLogGroup": {"Ref": "JobsLogGroup"},
        "BuildsLogGroup": {"Ref": "BuildsLogGroup"},
        environment_id: {"Ref": environment_id},
        "JobQueueMain": {"Ref": "JobQueueMain"},
        "JobDefinitionRun": {"Ref": "JobDefinitionRun"},
    }


def test_names_speak_of_queues_and_storage_and_retained_of_storage_alone():
    of = rendered(batches.cluster(sharedStorage=EFS[:1]))
    assert of.names == {"FileSystemEfs": "sharedStorage/efs", "JobQueueMain": "queues/main"}
    assert of.retained == {"FileSystemEfs": "Retain"}


# Compute environments.


def test_no_size_that_moves_is_in_the_template():
    sizes: list[dict[str, Any]] = [{}, {"minVcpus": 10}, {"minVcpus": 4, "desiredVcpus": 8}]
    assert len({json.dumps(environment(size)) for size in sizes}) == 1
    for made in of_type(ENVIRONMENT, resources(**MATRIX["everything"])).values():
        assert made["Properties"]["ComputeResources"].get("MinvCpus", 0) == 0
        assert "DesiredvCpus" not in made["Properties"]["ComputeResources"]
        assert "State" not in made["Properties"]


def test_an_environment_is_made_with_the_specs_most_vcpus_and_never_told_of_another():
    """It takes jobs before the reconciler has seen it; and a bound that moves is not the template's."""
    first = rendered(batches.cluster(batch={"computeEnvironments": [{"name": "any", "maxVcpus": 48}]}))
    assert first.batch is not None
    assert list(first.batch.vcpus.values()) == [48]
    edited = batches.cluster(batch={"computeEnvironments": [{"name": "any", "maxVcpus": 96}]})
    again = render(edited, SITE, replace(pins(edited), vcpus=first.batch.vcpus))
    assert again.body == first.body
    assert rendered(edited).body != first.body


EC2: dict[str, Any] = {"type": "EC2"}
SPOT: dict[str, Any] = {"type": "SPOT", "bidPercentage": 60}
# What makes another environment of one: Batch would replace its instances, or could not change it.
FIXED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (EC2, {"type": "SPOT"}),
    (EC2, {"type": "FARGATE"}),
    ({"type": "FARGATE"}, {"type": "FARGATE_SPOT"}),
    (EC2, {"instanceTypes": ["c7i"]}),
    (EC2, {"architecture": "arm64"}),
    (EC2, {"allocationStrategy": "BEST_FIT"}),
    (EC2, {"ami": "ami-0123456789abcdef0"}),
    (EC2, {"subnetIds": [subnet(2)]}),
    ({"type": "FARGATE"}, {"subnetIds": [subnet(2)]}),
    (EC2, {"rootVolume": {"size": 100}}),
    (EC2, {"rootVolume": {"kmsKeyId": "alias/mine"}}),
    (SPOT, {"bidPercentage": 61}),
]
# What Batch changes in place, or what says the same in other words.
MOVING: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (EC2, {"maxVcpus": 100}),
    (EC2, {"minVcpus": 1}),
    (EC2, {"desiredVcpus": 1}),
    (SPOT, {"maxVcpus": 100}),
    ({"type": "FARGATE"}, {"maxVcpus": 100}),
    (EC2, {"allocationStrategy": "BEST_FIT_PROGRESSIVE"}),
    (EC2, {"instanceTypes": ["optimal"]}),
    (EC2, {"subnetIds": NETWORK["subnetIds"]}),
    (EC2, {"rootVolume": {"size": 40}}),
]


def show(value: Any) -> str:
    return json.dumps(value)


@pytest.mark.parametrize(("base", "change"), FIXED, ids=show)
def test_what_batch_cannot_change_in_place_is_another_environment(base: dict[str, Any], change: dict[str, Any]):
    (old, was), (new, is_now) = environment(base), environment({**base, **change})
    assert old != new
    assert was["ComputeEnvironmentName"] != is_now["ComputeEnvironmentName"]
    assert new.startswith("EnvironmentAnyOf")


@pytest.mark.parametrize(("base", "change"), MOVING, ids=show)
def test_whatever_else_changes_it_is_the_same_environment(base: dict[str, Any], change: dict[str, Any]):
    (old, was), (new, is_now) = environment(base), environment({**base, **change})
    for made in (was, is_now):
        del made["ComputeResources"]["MaxvCpus"]
    assert (old, was) == (new, is_now)


def test_another_environment_job_or_remark_changes_no_environment():
    alone, _ = environment()
    more = {
        **LEAST,
        "computeEnvironments": [*LEAST["computeEnvironments"], {"name": "b"}],
        "jobDefinitions": [*LEAST["jobDefinitions"], {"name": "other", "image": "app"}],
        "onDelete": "WaitForJobs",
    }
    assert alone in resources(batch=more, logs={"retentionDays": 90}, sharedStorage=EFS[:1])


def test_tags_are_said_once():
    """Batch replaces the instances for a change of their tags, CloudFormation the environment for one of its own."""
    tags = {"team": "weather"}
    for kind in ({}, {"type": "FARGATE"}):
        assert environment(kind)[0] != environment(kind, tags=tags)[0]
    found = environment(tags=tags)[1]["ComputeResources"]["Tags"]
    assert found == {"team": "weather", "muster:cluster": "demo", "muster:owner": "muster", "Name": "demo any"}


@pytest.mark.parametrize("option", sorted(MATRIX))
def test_a_tag_that_each_update_gives_the_stack_is_not_batchs(option: str):
    """The stack's tags come to its resources, but for those that have such a tag of their own."""
    of = batches.cluster(**MATRIX[option])
    changing = rendered(of).tags.keys() - of.spec.tags.keys() - {"muster:cluster", "muster:owner"}
    assert changing == {"muster:hash", "muster:version"}
    made = [each for each in resources(**MATRIX[option]).values() if each["Type"].startswith("AWS::Batch::")]
    assert {each["Properties"]["Tags"][key] for each in made for key in changing} == {"-"}


def test_names_keep_to_what_batch_takes():
    """128 letters, digits, hyphens and underscores (AWS Batch API reference, of each the name)."""
    longest = "e" * 30
    batch = {
        "computeEnvironments": [{"name": longest}],
        "queues": [{"name": longest, "computeEnvironments": [longest], "fairShare": {}}],
        "jobDefinitions": [{"name": longest, "image": "app"}],
    }
    made = resources("c" * 60, batch=batch)
    names = [
        resource["Properties"][field]
        for resource in made.values()
        for field in ("ComputeEnvironmentName", "JobQueueName", "JobDefinitionName", "Name")
        if resource["Type"].startswith("AWS::Batch::") and field in resource["Properties"]
    ]
    assert len(names) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,128}", name) for name in names)


def test_an_environment_is_left_standing_and_is_never_replaced_by_cloudformation():
    for made in of_type(ENVIRONMENT, resources(**MATRIX["everything"])).values():
        assert (made["DeletionPolicy"], made["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
        assert made["Properties"]["ReplaceComputeEnvironment"] is False
        # Batch updates in place by its service-linked role alone.
        assert "ServiceRole" not in made["Properties"]


@pytest.mark.parametrize("kind", ["FARGATE", "FARGATE_SPOT"])
def test_fargate_has_none_of_the_fields_of_ec2(kind: str):
    _, made = environment({"type": kind})
    assert made["ComputeResources"].keys() == {"Type", "Subnets", "SecurityGroupIds", "MaxvCpus"}
    assert "UpdatePolicy" not in made
    only_fargate = resources(**MATRIX["fargate-alone"])
    assert "SpotFleetRole" not in only_fargate
    assert not of_type("AWS::EC2::LaunchTemplate", only_fargate)


def test_the_instances_role_outlives_their_environment():
    """Those of an environment that was taken out of the spec still run jobs, for as long as these need."""
    only_fargate = resources(**MATRIX["fargate-alone"])
    assert {"InstanceRole", "InstanceProfile"} <= only_fargate.keys()


def test_while_an_image_is_built_the_one_before_serves():
    cluster = batches.cluster()
    assert cluster.spec.batch is not None
    new = builds(cluster.spec.batch)[0].tag
    tags: list[dict[str, str]] = [{}, {"app": new}, {"app": "app-old"}]
    bodies = [render(cluster, SITE, replace(pins(cluster), serving=serving)).body for serving in tags]
    assert bodies[0] == bodies[1]
    assert f":{new}" in bodies[0]
    assert ":app-old" in bodies[2]
    assert f":{new}" not in bodies[2]


def test_a_definition_that_was_deregistered_is_registered_again_as_the_same_resource():
    cluster = batches.cluster()
    again = json.loads(render(cluster, SITE, replace(pins(cluster), registrations={"run": 2})).body)["Resources"]
    assert again["JobDefinitionRun"]["Properties"].pop("Parameters") == {"muster-registrations": "2"}
    assert again == resources()


def test_the_size_of_arrays_is_said_where_muster_job_submit_finds_it():
    assert definition({"arraySize": 50})["Parameters"] == {"muster-array-size": "50"}
    assert "Parameters" not in definition()


def test_the_build_specification_has_several_lines():
    """CodeBuild takes one line for the path of a file."""
    assert "\n" in resources()["BuildProject"]["Properties"]["Source"]["BuildSpec"]


@pytest.mark.parametrize(
    ("fields", "strategy"),
    [
        ({}, "BEST_FIT_PROGRESSIVE"),
        ({"type": "SPOT"}, "SPOT_PRICE_CAPACITY_OPTIMIZED"),
        ({"type": "SPOT", "allocationStrategy": "BEST_FIT"}, "BEST_FIT"),
    ],
    ids=show,
)
def test_strategies(fields: dict[str, Any], strategy: str):
    assert environment(fields)[1]["ComputeResources"]["AllocationStrategy"] == strategy


def test_a_spot_fleet_and_its_role_are_for_best_fit_on_spot_alone():
    for fields in ({"type": "SPOT"}, {"allocationStrategy": "BEST_FIT"}):
        batch = {"computeEnvironments": [{"name": "any", **fields}]}
        assert "SpotFleetRole" not in resources(batch=batch)
        assert "SpotIamFleetRole" not in environment(fields)[1]["ComputeResources"]
    fields = {"type": "SPOT", "allocationStrategy": "BEST_FIT"}
    assert "SpotFleetRole" in resources(batch={"computeEnvironments": [{"name": "any", **fields}]})
    role = environment(fields)[1]["ComputeResources"]["SpotIamFleetRole"]
    assert role == {"Fn::GetAtt": ["SpotFleetRole", "Arn"]}


@pytest.mark.parametrize(
    ("architecture", "types", "images"),
    [
        ("x86_64", ["optimal"], ["ECS_AL2023", "ECS_AL2023_NVIDIA"]),
        ("arm64", ["default_arm64"], ["ECS_AL2023"]),
    ],
)
def test_types_and_images_are_of_the_architecture(architecture: str, types: list[str], images: list[str]):
    found = environment({"architecture": architecture})[1]["ComputeResources"]
    assert found["InstanceTypes"] == types
    assert found["Ec2Configuration"] == [{"ImageType": kind} for kind in images]


def test_an_image_of_ones_own_is_for_whatever_instance_comes():
    own = "ami-0123456789abcdef0"
    found = environment({"ami": own})[1]["ComputeResources"]["Ec2Configuration"]
    assert [entry["ImageIdOverride"] for entry in found] == [own, own]


def test_an_environment_launches_what_its_template_says():
    batch = {"computeEnvironments": [{"name": "any", "rootVolume": {"size": 100, "throughput": 250}}]}
    made = resources(batch=batch)
    ((logical, template),) = of_type("AWS::EC2::LaunchTemplate", made).items()
    (disk,) = template["Properties"]["LaunchTemplateData"]["BlockDeviceMappings"]
    assert disk["DeviceName"] == "/dev/xvda"
    assert (disk["Ebs"]["VolumeSize"], disk["Ebs"]["Throughput"]) == (100, 250)
    (one,) = of_type(ENVIRONMENT, made).values()
    assert one["Properties"]["ComputeResources"]["LaunchTemplate"] == {
        "LaunchTemplateId": {"Ref": logical},
        "Version": "$Default",
    }


# Queues.


def test_a_queue_tries_its_environments_in_the_order_of_the_spec():
    names = ["c", "a", "b"]
    environments = [{"name": name} for name in sorted(names)]
    queues = [{"name": "main", "computeEnvironments": names, "priority": 7}]
    made = resources(batch={"computeEnvironments": environments, "queues": queues})
    queue = made["JobQueueMain"]["Properties"]
    order = sorted(queue["ComputeEnvironmentOrder"], key=lambda entry: entry["Order"])
    assert {entry["ComputeEnvironment"]["Ref"] for entry in order} == of_type(ENVIRONMENT, made).keys()
    assert [entry["ComputeEnvironment"]["Ref"].partition("Of")[0] for entry in order] == [
        "EnvironmentC",
        "EnvironmentA",
        "EnvironmentB",
    ]
    assert [entry["Order"] for entry in order] == [1, 2, 3]
    assert (queue["JobQueueName"], queue["Priority"], queue["Tags"]["muster:queue"]) == ("muster-demo_main", 7, "main")
    assert "SchedulingPolicyArn" not in queue


def test_a_fair_share_is_a_policy_of_the_queue():
    share = {"decaySeconds": 60, "computeReservation": 5, "shares": [{"name": "a*", "weight": 0.5}, {"name": "b"}]}
    made = resources(batch={"queues": [{**LEAST["queues"][0], "fairShare": share}]})
    assert made["JobQueueMain"]["Properties"]["SchedulingPolicyArn"] == {"Fn::GetAtt": ["SchedulingPolicyMain", "Arn"]}
    assert made["SchedulingPolicyMain"]["Properties"]["FairsharePolicy"] == {
        "ComputeReservation": 5,
        "ShareDecaySeconds": 60,
        "ShareDistribution": [
            {"ShareIdentifier": "a*", "WeightFactor": 0.5},
            {"ShareIdentifier": "b", "WeightFactor": 1.0},
        ],
    }


# Job definitions.


def test_a_job_gets_what_it_asks_for():
    found = definition(
        {
            "command": ["run", "$HOME"],
            "vcpus": 4,
            "memory": 4096,
            "gpus": 1,
            "attempts": 3,
            "retries": [{"onExitCode": "1*", "onReason": "a", "onStatusReason": "Host EC2*", "action": "RETRY"}],
            "timeout": 600,
            "environment": {"B": "2", "A": "1"},
            "sharedMemory": 64,
            "privileged": True,
        }
    )
    container = found["ContainerProperties"]
    assert found["Type"] == "container"
    assert found["PlatformCapabilities"] == ["EC2"]
    assert found["RetryStrategy"] == {
        "Attempts": 3,
        "EvaluateOnExit": [
            {"OnExitCode": "1*", "OnReason": "a", "OnStatusReason": "Host EC2*", "Action": "RETRY"},
        ],
    }
    assert found["Timeout"] == {"AttemptDurationSeconds": 600}
    assert container["Command"] == ["run", "$HOME"]
    assert {need["Type"]: need["Value"] for need in container["ResourceRequirements"]} == {
        "VCPU": "4",
        "MEMORY": "4096",
        "GPU": "1",
    }
    assert container["Environment"] == [
        {"Name": "A", "Value": "1"},
        {"Name": "B", "Value": "2"},
        {"Name": "MUSTER_CLUSTER", "Value": "demo"},
    ]
    assert container["LinuxParameters"] == {"SharedMemorySize": 64}
    assert container["Privileged"] is True
    assert container["LogConfiguration"] == {
        "LogDriver": "awslogs",
        "Options": {"awslogs-group": "/muster/demo/jobs", "awslogs-region": "us-east-1"},
    }


def test_a_job_has_its_own_role_and_is_launched_by_another():
    found = definition()
    assert found["ContainerProperties"]["JobRoleArn"] == {"Fn::GetAtt": ["JobRole", "Arn"]}
    assert found["ContainerProperties"]["ExecutionRoleArn"] == {"Fn::GetAtt": ["ExecutionRole", "Arn"]}
    assert found["PropagateTags"] is True


def test_a_job_on_ec2_says_nothing_of_fargate():
    container = definition()["ContainerProperties"]
    assert not {"NetworkConfiguration", "RuntimePlatform", "FargatePlatformConfiguration"} & container.keys()


@pytest.mark.parametrize("public", [True, False])
def test_a_job_on_fargate_says_its_processor_and_whether_it_has_an_address(public: bool):
    found = definition({"platform": "FARGATE", "vcpus": 0.25, "memory": 512}, network={**NETWORK, "publicIps": public})
    container = found["ContainerProperties"]
    assert found["PlatformCapabilities"] == ["FARGATE"]
    assert container["RuntimePlatform"] == {"CpuArchitecture": "X86_64", "OperatingSystemFamily": "LINUX"}
    assert container["NetworkConfiguration"] == {"AssignPublicIp": "ENABLED" if public else "DISABLED"}
    assert {"Type": "VCPU", "Value": "0.25"} in container["ResourceRequirements"]
    assert not {"LinuxParameters", "Privileged"} & container.keys()


def test_a_parallel_job_has_the_same_container_on_all_nodes():
    plain, parallel = definition(), definition({"nodes": 4})
    assert parallel["Type"] == "multinode"
    assert parallel["NodeProperties"] == {
        "MainNode": 0,
        "NumNodes": 4,
        "NodeRangeProperties": [{"TargetNodes": "0:", "Container": plain["ContainerProperties"]}],
    }
    assert "ContainerProperties" not in parallel


def test_efs_is_mounted_over_tls():
    mounts = [{"storage": "efs"}, {"storage": "shared", "path": "/mnt", "readOnly": True}]
    container = definition({"mounts": mounts}, sharedStorage=EFS)["ContainerProperties"]
    assert container["MountPoints"] == [
        {"SourceVolume": "efs", "ContainerPath": "/shared/efs", "ReadOnly": False},
        {"SourceVolume": "shared", "ContainerPath": "/mnt", "ReadOnly": True},
    ]
    assert container["Volumes"] == [
        {
            "Name": "efs",
            "EfsVolumeConfiguration": {"FileSystemId": {"Ref": "FileSystemEfs"}, "TransitEncryption": "ENABLED"},
        },
        {
            "Name": "shared",
            "EfsVolumeConfiguration": {"FileSystemId": "fs-0fedcba9876543210", "TransitEncryption": "ENABLED"},
        },
    ]


def test_what_instances_mount_is_a_directory_of_the_jobs_host():
    mounts = [*batches.MOUNTS, {"storage": "empty", "path": "/in", "readOnly": True}]
    spec = {"headNode": HEAD_NODE, "sharedStorage": ALL_KINDS}
    container = definition({"mounts": mounts}, **spec)["ContainerProperties"]
    hosts = {each["Name"]: each["Host"]["SourcePath"] for each in container["Volumes"] if "Host" in each}
    assert hosts == {"empty": "/shared/empty", "stripe": "/shared/stripe", "scratch2": "/shared/scratch2"}
    assert container["MountPoints"][-1] == {"SourceVolume": "empty", "ContainerPath": "/in", "ReadOnly": True}


def test_a_job_that_wants_it_has_the_instances_own_disks():
    container = definition({"scratch": True}, scratch={"mountDir": "/local"})["ContainerProperties"]
    assert container["Volumes"] == [{"Name": "Scratch", "Host": {"SourcePath": "/local"}}]
    assert container["MountPoints"] == [{"SourceVolume": "Scratch", "ContainerPath": "/local", "ReadOnly": False}]
    jobs = {"jobDefinitions": [{"name": "run", "image": "app", "scratch": True}]}
    plain, scratch = resources(), resources(batch=jobs)
    assert next(iter(of_type(ENVIRONMENT, plain))) != next(iter(of_type(ENVIRONMENT, scratch)))


# What an environment's instances mount is said once; so is by which head node.
SERVED = {"headNode": HEAD_NODE, "sharedStorage": ALL_KINDS[:1]}


@pytest.mark.parametrize(
    "change",
    [
        {"sharedStorage": ALL_KINDS[:2]},
        {"sharedStorage": [{**ALL_KINDS[0], "mountDir": "/shared/elsewhere"}]},
        *({"headNode": {**HEAD_NODE, **part}} for part in ({"keyName": "ops"}, {"ami": "ami-0fedcba9876543210"})),
        {"headNode": {**HEAD_NODE, "subnetId": subnet(2)}},
        {"headNode": {**HEAD_NODE, "rootVolume": {"kmsKeyId": "alias/mine"}}},
        {"image": {"ami": "ami-0fedcba9876543210"}},
    ],
    ids=show,
)
def test_other_mounts_or_another_head_node_are_another_environment(change: dict[str, Any]):
    (old, _), (new, _) = environment(**SERVED), environment(**{**SERVED, **change})
    assert old != new


@pytest.mark.parametrize(
    ("base", "change"),
    [
        (SERVED, {"headNode": {**HEAD_NODE, "instanceType": "m7i.xlarge"}}),
        (SERVED, {"headNode": {**HEAD_NODE, "elasticIp": True}}),
        (SERVED, {"sharedStorage": [*ALL_KINDS[:1], EFS[0]]}),
        ({}, {"headNode": HEAD_NODE}),
        ({"headNode": HEAD_NODE}, {"headNode": {**HEAD_NODE, "keyName": "ops"}}),
    ],
    ids=show,
)
def test_what_instances_do_not_see_of_the_head_node_is_the_same_environment(
    base: dict[str, Any], change: dict[str, Any]
):
    assert environment(**base) == environment(**{**base, **change})


def test_a_head_node_serves_volumes_and_submits_jobs():
    made = resources(**MATRIX["head-node"])
    (node,) = of_type("AWS::EC2::Instance", made).values()
    assert node["Properties"]["IamInstanceProfile"] == {"Ref": "HeadProfile"}
    sids = {each["Sid"] for each in statements(made["HeadRole"])}
    assert {"Submit", "End", "Look", "Files", "ReadLogs", "AttachVolumes", "AttachToItself"} <= sids
    assert not sids & {"Messages", "Rows"}, "there are no nodes to hear of"
    services = {resource["Type"].split("::")[1] for resource in made.values()}
    assert not services & {"AutoScaling", "SNS", "SQS"}


def test_the_outputs_name_the_head_node():
    found = json.loads(batches.body(**MATRIX["head-node"]))["Outputs"]
    assert {name for name in found if name.startswith("HeadNode")} == {
        *("HeadNodeInstanceId", "HeadNodePrivateIp", "HeadNodePublicIp"),
    }
    assert {"LogGroup", "SecurityGroups", "SubmitRoleArn"} <= found.keys()
    assert rendered(batches.cluster(**MATRIX["head-node"])).names["HeadNode"] == "headNode"


def test_jobs_reach_the_head_node():
    made = resources(**MATRIX["head-node"])
    (rule,) = [made[name]["Properties"] for name in made if name == "HeadFromCompute"]
    assert (rule["GroupId"], rule["SourceSecurityGroupId"]) == (
        {"Ref": "HeadSecurityGroup"},
        {"Ref": "ComputeSecurityGroup"},
    )


def test_the_servers_of_lustre_reach_whoever_is_there():
    without = resources(**MATRIX["lustre-without-head-node"])
    assert "ComputeSecurityGroupFromScratch2" in without
    assert "HeadSecurityGroupFromScratch2" not in without
    assert "HeadSecurityGroupFromScratch2" in resources(**MATRIX["head-node"])
    assert without["FileSystemScratch2"]["Properties"]["SubnetIds"] == [subnet(1)]


def test_instances_with_nothing_to_prepare_have_no_user_data():
    for option in ("least", "given-groups"):
        for template in of_type("AWS::EC2::LaunchTemplate", resources(**MATRIX[option])).values():
            assert "UserData" not in template["Properties"]["LaunchTemplateData"]


def test_a_storage_mounted_twice_is_one_volume():
    mounts = [{"storage": "efs"}, {"storage": "efs", "path": "/again"}]
    container = definition({"mounts": mounts}, sharedStorage=EFS[:1])["ContainerProperties"]
    assert len(container["MountPoints"]) == 2
    assert len(container["Volumes"]) == 1


def test_efs_has_a_target_in_each_zone_that_jobs_run_in_and_lets_them_in():
    batch = {"computeEnvironments": [{"name": "any", "subnetIds": [subnet(4)]}]}
    made = resources(batch=batch, sharedStorage=EFS[:1])
    targets = of_type("AWS::EFS::MountTarget", made)
    assert {target["Properties"]["SubnetId"] for target in targets.values()} == {subnet(1), subnet(4)}
    assert set(targets) < set(made["JobDefinitionRun"]["DependsOn"])
    rules = of_type("AWS::EC2::SecurityGroupIngress", made)
    assert {
        (rule["Properties"]["GroupId"]["Ref"], rule["Properties"]["SourceSecurityGroupId"]["Ref"])
        for rule in rules.values()
    } == {("SecurityGroupEfs", "ComputeSecurityGroup"), ("ComputeSecurityGroup", "ComputeSecurityGroup")}


def test_secrets_are_named_to_the_container_and_never_in_its_environment():
    container = definition({"secrets": {"KEY": f"{SECRET}:key::", "A": PARAMETER}})["ContainerProperties"]
    assert container["Secrets"] == [
        {"Name": "A", "ValueFrom": PARAMETER},
        {"Name": "KEY", "ValueFrom": f"{SECRET}:key::"},
    ]
    assert container["Environment"] == [{"Name": "MUSTER_CLUSTER", "Value": "demo"}]


# Images.


def tag(image: dict[str, Any], job: dict[str, Any] | None = None, **spec: Any) -> str:
    """What a job definition calls an image."""
    batch = {
        **LEAST,
        "images": [image],
        "computeEnvironments": [{"name": "any"}, {"name": "arm", "architecture": "arm64"}],
        "jobDefinitions": [{"name": "run", "image": image["name"], **(job or {})}],
    }
    cluster = batches.cluster(batch={**batch, **spec.pop("batch", {})}, **spec)
    made = json.loads(render(cluster, SITE, pins(cluster)).body)["Resources"]
    return made["JobDefinitionRun"]["Properties"]["ContainerProperties"]["Image"]


def test_a_built_image_is_in_the_clusters_repository():
    registry = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
    assert re.fullmatch(rf"{re.escape(registry)}/muster/demo:app-[0-9a-f]{{16}}", tag(DOCKERFILE))
    assert resources()["Repository"]["Properties"]["RepositoryName"] == "muster/demo"


def test_an_image_that_exists_is_used_as_it_is():
    assert tag({"name": "app", "uri": "busybox:1.36"}) == "busybox:1.36"


def test_a_tag_changes_with_the_text_and_the_processor():
    texts = [DOCKERFILE, {**DOCKERFILE, "dockerfile": DOCKERFILE["dockerfile"] + "\n"}]
    jobs = [{}, {"architecture": "arm64"}]
    assert len({tag(text, job) for text in texts for job in jobs}) == 4


def test_a_tag_changes_with_the_address_of_an_archive_and_the_processor():
    archives = [{"name": "app", "archive": f"s3://sources/{key}.zip"} for key in "ab"]
    jobs = [{}, {"architecture": "arm64"}]
    assert len({tag(archive, job) for archive in archives for job in jobs}) == 4


def test_a_tag_changes_with_nothing_else():
    jobs = [{"command": ["x"]}, {"vcpus": 8}, {"attempts": 2}, {"environment": {"A": "b"}}]
    others = [{"batch": {"onDelete": "WaitForJobs"}}, {"tags": {"a": "b"}}, {"logs": {"retentionDays": 90}}]
    assert {tag(DOCKERFILE, job) for job in jobs} | {tag(DOCKERFILE, **other) for other in others} == {tag(DOCKERFILE)}


def test_dockerfiles_are_not_in_the_template():
    """Their text may be long, and a change of it is no update of the project."""
    assert "FROM" not in batches.body()


def test_images_go_before_their_repository_and_after_what_uses_them():
    """CloudFormation deletes what depends on a thing before the thing."""
    made = resources()
    assert made["ImagesCleanup"]["Properties"]["RepositoryName"] == {"Ref": "Repository"}
    assert made["BuildProject"]["DependsOn"] == ["ImagesCleanup", "BuildsLogGroup"]
    assert {"FilesCleanup", "JobsLogGroup"} <= set(made["JobDefinitionRun"]["DependsOn"])
    assert made["FilesCleanup"]["Properties"]["Prefix"] == "clusters/demo/"


def test_logs_are_kept_as_long_as_the_user_says():
    made = resources(logs={"retentionDays": 90})
    groups = of_type("AWS::Logs::LogGroup", made)
    assert {
        group["Properties"]["LogGroupName"]: group["Properties"]["RetentionInDays"] for group in groups.values()
    } == {
        "/muster/demo/jobs": 90,
        "/muster/demo/builds": 90,
    }


def test_nothing_but_environments_and_data_outlives_the_stack():
    kept = {
        resource["Type"]
        for resource in resources(**MATRIX["everything"]).values()
        if resource.get("DeletionPolicy", "Delete") != "Delete"
        or resource.get("UpdateReplacePolicy", "Delete") != "Delete"
    }
    assert kept == {ENVIRONMENT, "AWS::EFS::FileSystem"}


def test_the_build_takes_its_source_from_who_starts_it():
    project = resources()["BuildProject"]["Properties"]
    commands = json.loads(project["Source"]["BuildSpec"])["phases"]
    assert project["Source"]["Type"] == "NO_SOURCE"
    assert project["TimeoutInMinutes"] == 120
    assert project["ServiceRole"] == {"Fn::GetAtt": ["BuildRole", "Arn"]}
    assert project["Environment"]["PrivilegedMode"] is True
    assert commands["post_build"]["commands"][0] == '[ "$CODEBUILD_BUILD_SUCCEEDING" = 1 ]'
    assert {entry["Name"]: entry["Value"] for entry in project["Environment"]["EnvironmentVariables"]} == {
        "MUSTER_REGISTRY": "123456789012.dkr.ecr.us-east-1.amazonaws.com",
        "MUSTER_REPOSITORY": "muster/demo",
    }


def test_what_no_tag_names_is_dropped_by_ecr():
    text = resources()["Repository"]["Properties"]["LifecyclePolicy"]["LifecyclePolicyText"]
    (rule,) = json.loads(text)["rules"]
    assert rule["selection"] == {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": 1,
    }
    assert rule["action"] == {"type": "expire"}


def test_the_largest_cluster_fits_a_template():
    """1 MB (CloudFormation quotas)."""
    kinds = [{"name": f"e{n}", "instanceTypes": [f"c{k}i.large" for k in range(5, 9)]} for n in range(19)]
    jobs = [{"name": f"j{n}", "image": "app", "environment": {f"A{k}": "x" * 20 for k in range(50)}} for n in range(50)]
    assert len(batches.body(batch={"computeEnvironments": [*kinds, {"name": "any"}], "jobDefinitions": jobs})) < 10**6
