from typing import Any

import pytest

from tests.unit.render.support import MPI, QUEUE, SLURM, SPOT, of_type, resources, subnet


def group(queue: dict[str, Any], **spec: Any) -> dict[str, Any]:
    made = of_type("AWS::AutoScaling::AutoScalingGroup", resources(queues=[queue], **spec))
    (only,) = made.values()
    return only


def template(queue: dict[str, Any], **spec: Any) -> dict[str, Any]:
    (only,) = of_type("AWS::EC2::LaunchTemplate", resources(queues=[queue], **spec)).values()
    return only["Properties"]["LaunchTemplateData"]


def test_a_group_holds_no_size_that_moves_and_waits_for_no_signal():
    of = group(QUEUE)
    properties = of["Properties"]
    assert properties["AutoScalingGroupName"] == "muster-demo.compute"
    assert (properties["MinSize"], properties["MaxSize"]) == ("0", "5000")
    assert "DesiredCapacity" not in properties
    assert not {"CreationPolicy", "UpdatePolicy"} & set(of)


def test_what_slurm_may_have_jobs_on_is_taken_by_name_alone():
    assert group(QUEUE, **SLURM)["Properties"]["NewInstancesProtectedFromScaleIn"] is True
    assert group(QUEUE)["Properties"]["NewInstancesProtectedFromScaleIn"] is False


def test_a_group_launches_the_latest_version_of_its_template():
    specification = group(QUEUE)["Properties"]["MixedInstancesPolicy"]["LaunchTemplate"]
    assert specification["LaunchTemplateSpecification"] == {
        "LaunchTemplateId": {"Ref": "LaunchTemplateCompute"},
        "Version": {"Fn::GetAtt": ["LaunchTemplateCompute", "LatestVersionNumber"]},
    }


def test_types_and_subnets_are_the_queues():
    properties = group(SPOT)["Properties"]
    overrides = properties["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]
    assert [override["InstanceType"] for override in overrides] == SPOT["instanceTypes"]
    assert properties["VPCZoneIdentifier"] == [subnet(1), subnet(2), subnet(3)]
    assert group({**QUEUE, "subnetIds": [subnet(2)]})["Properties"]["VPCZoneIdentifier"] == [subnet(2)]


@pytest.mark.parametrize(
    ("settings", "distribution"),
    [
        (
            {"capacityType": "onDemand"},
            {"OnDemandAllocationStrategy": "prioritized", "OnDemandPercentageAboveBaseCapacity": 100},
        ),
        (
            {"capacityType": "spot"},
            {
                "OnDemandBaseCapacity": 0,
                "OnDemandPercentageAboveBaseCapacity": 0,
                "SpotAllocationStrategy": "price-capacity-optimized",
                "SpotMaxPrice": "",
            },
        ),
        (
            {"capacityType": "spot", "spotMaxPrice": 0.001, "spotAllocationStrategy": "lowest-price"},
            {
                "OnDemandBaseCapacity": 0,
                "OnDemandPercentageAboveBaseCapacity": 0,
                "SpotAllocationStrategy": "lowest-price",
                "SpotMaxPrice": "0.001",
            },
        ),
    ],
)
def test_capacity_is_bought_as_asked(settings: dict[str, Any], distribution: dict[str, Any]):
    policy = group({**QUEUE, **settings})["Properties"]["MixedInstancesPolicy"]
    assert policy["InstancesDistribution"] == distribution


def test_hooks_hold_nodes_at_launch_and_at_the_end():
    hooks = {
        hook["LifecycleTransition"]: (hook["HeartbeatTimeout"], hook["DefaultResult"])
        for hook in group(QUEUE)["Properties"]["LifecycleHookSpecificationList"]
    }
    assert hooks == {
        "autoscaling:EC2_INSTANCE_LAUNCHING": (1800, "ABANDON"),
        "autoscaling:EC2_INSTANCE_TERMINATING": (60, "CONTINUE"),
    }


def test_all_that_happens_to_instances_is_notified_to_the_topic_that_the_queue_hears():
    made = resources()
    (wanted,) = made["GroupCompute"]["Properties"]["NotificationConfigurations"]
    assert wanted["TopicARN"] == {"Ref": "Topic"}
    assert {kind.rpartition("EC2_INSTANCE_")[2] for kind in wanted["NotificationTypes"]} == {
        "LAUNCH",
        "LAUNCH_ERROR",
        "TERMINATE",
        "TERMINATE_ERROR",
    }
    assert made["Subscription"]["Properties"] == {
        "Protocol": "sqs",
        "TopicArn": {"Ref": "Topic"},
        "Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]},
    }
    assert made["Queue"]["Properties"]["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetters", "Arn"]},
        "maxReceiveCount": 10,
    }
    assert "Subscription" in made["GroupCompute"]["DependsOn"]


def test_metrics_health_and_protection():
    properties = group(QUEUE)["Properties"]
    assert properties["MetricsCollection"] == [{"Granularity": "1Minute"}]
    assert properties["HealthCheckType"] == "EC2"
    assert properties["NewInstancesProtectedFromScaleIn"] is False


def test_instances_and_volumes_bear_the_clusters_tags():
    of = group(QUEUE, tags={"team": "weather"})
    propagated = {tag["Key"]: tag["Value"] for tag in of["Properties"]["Tags"] if tag["PropagateAtLaunch"]}
    marks = {
        "muster:cluster": "demo",
        "muster:owner": "muster",
        "muster:node": "compute",
        "muster:queue": "compute",
        "Name": "demo compute",
    }
    assert propagated == marks
    specifications = template(QUEUE, tags={"team": "weather"})["TagSpecifications"]
    assert [entry["ResourceType"] for entry in specifications] == ["instance", "network-interface", "volume"]
    for entry in specifications:
        assert {tag["Key"]: tag["Value"] for tag in entry["Tags"]} == {**marks, "team": "weather"}


def test_a_dynamic_placement_group_is_made_for_the_queue():
    made = resources(queues=[MPI])
    assert made["PlacementGroupMpi"]["Properties"]["Strategy"] == "cluster"
    placement = made["LaunchTemplateMpi"]["Properties"]["LaunchTemplateData"]["Placement"]
    assert placement == {"GroupName": {"Ref": "PlacementGroupMpi"}}


def test_a_placement_group_that_is_there_is_used():
    queue = {**QUEUE, "placementGroup": "mine", "subnetIds": [subnet(1)]}
    assert template(queue)["Placement"] == {"GroupName": "mine"}
    assert not of_type("AWS::EC2::PlacementGroup", resources(queues=[queue]))
    assert "Placement" not in template(QUEUE)


def test_efa_is_a_type_of_interface():
    assert template(MPI)["NetworkInterfaces"][0]["InterfaceType"] == "efa"
    assert "InterfaceType" not in template(QUEUE)["NetworkInterfaces"][0]


def test_the_root_volume_is_as_asked():
    device = template(MPI)["BlockDeviceMappings"][0]["Ebs"]
    assert (device["VolumeSize"], device["VolumeType"], device["Iops"]) == (100, "io1", 2000)


def test_instance_store_disks_are_asked_for():
    """24 is the most that a type has."""
    disks = [device for device in template(QUEUE)["BlockDeviceMappings"] if "VirtualName" in device]
    assert [disk["VirtualName"] for disk in disks] == [f"ephemeral{number}" for number in range(24)]
    assert len({disk["DeviceName"] for disk in disks}) == 24


def test_key_and_profile_reach_the_nodes():
    of = template(QUEUE, headNode={"instanceType": "t3.medium", "keyName": "ops"})
    assert of["KeyName"] == "ops"
    assert of["IamInstanceProfile"] == {"Arn": {"Fn::GetAtt": ["ComputeProfile", "Arn"]}}
