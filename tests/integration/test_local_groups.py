"""Auto Scaling on the local AWS: groups launch, replace and terminate, and tell of it as AWS does."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

HOOK = {
    "LifecycleHookName": "h",
    "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
    "HeartbeatTimeout": 600,
    "DefaultResult": "ABANDON",
}


class Group:
    """One Auto Scaling group and what a test asks of it."""

    def __init__(self, api: Any, name: str) -> None:
        self.api, self.name = api, name

    def __getattr__(self, call: str) -> Any:
        return lambda **options: getattr(self.api, call)(AutoScalingGroupName=self.name, **options)

    def shown(self) -> dict[str, Any]:
        return self.api.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])["AutoScalingGroups"][0]

    def states(self) -> list[str]:
        return sorted(each["LifecycleState"] for each in self.shown()["Instances"])

    def ids(self) -> set[str]:
        return {each["InstanceId"] for each in self.shown()["Instances"]}

    def activities(self) -> list[tuple[str, str]]:
        found = self.describe_scaling_activities()["Activities"]
        return [(each["StatusCode"], each["Description"].split(":")[0].rstrip(".")) for each in found]


@pytest.fixture
def group(aws, clients, image, network, name, eventually):
    """A group of 0 to 4 instances over two subnets, with two types to choose from."""
    ec2, api = clients("ec2"), clients("autoscaling")
    ec2.create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData={"ImageId": image, "TagSpecifications": [
            {"ResourceType": "instance", "Tags": [{"Key": "from", "Value": "template"}]}]},
    )  # fmt: skip
    api.create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=0,
        MaxSize=4,
        VPCZoneIdentifier=",".join(network.subnet_ids),
        MixedInstancesPolicy={
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {"LaunchTemplateName": name, "Version": "$Latest"},
                "Overrides": [{"InstanceType": "c5.large"}, {"InstanceType": "c6i.large"}],
            }
        },
        Tags=[{"Key": "muster:cluster", "Value": name, "PropagateAtLaunch": True},
              {"Key": "own", "Value": "x", "PropagateAtLaunch": False}],
    )  # fmt: skip
    made = Group(api, name)
    yield made
    aws.set(complete_hooks=True)
    made.delete_auto_scaling_group(ForceDelete=True)
    eventually(lambda: not api.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"])


def test_it_launches_what_is_desired_and_terminates_what_is_too_many(group, clients, eventually, name) -> None:
    group.update_auto_scaling_group(MinSize=2, MaxSize=4)
    eventually(lambda: group.states() == ["InService"] * 2)
    members = group.shown()["Instances"]
    assert len({each["AvailabilityZone"] for each in members}) == 2
    assert {(each["InstanceType"], each["HealthStatus"], each["LaunchTemplate"]["Version"]) for each in members} == {
        ("c5.large", "Healthy", "1")
    }
    found = clients("ec2").describe_instances(InstanceIds=[members[0]["InstanceId"]])["Reservations"][0]["Instances"][0]
    tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
    assert tags["from"] == "template"
    assert (tags["muster:cluster"], tags["aws:autoscaling:groupName"]) == (name, name)
    assert "own" not in tags

    group.update_auto_scaling_group(MinSize=0, MaxSize=1)
    eventually(lambda: len(group.ids()) == 1)
    assert group.shown()["DesiredCapacity"] == 1
    done = [("Successful", "Terminating EC2 instance"), *[("Successful", "Launching a new EC2 instance")] * 2]
    assert group.activities() == done


def test_capacity_that_is_not_there_fails_an_activity_until_it_is(aws, group, clients, eventually) -> None:
    aws.set(no_capacity=[{"InstanceType": "c5.large"}], retry_seconds=0.05)
    group.set_desired_capacity(DesiredCapacity=1)
    eventually(lambda: group.states() == ["InService"])
    assert group.shown()["Instances"][0]["InstanceType"] == "c6i.large", "the next type is tried"

    aws.set(no_capacity=[{}])
    group.set_desired_capacity(DesiredCapacity=2)
    eventually(lambda: ("Failed", "Launching a new EC2 instance") in group.activities())
    failed = group.describe_scaling_activities()["Activities"][0]
    assert "do not have sufficient c6i.large capacity" in failed["StatusMessage"]
    aws.set(no_capacity=[])
    eventually(lambda: group.states() == ["InService"] * 2)


def test_an_instance_that_is_gone_is_replaced(group, clients, eventually) -> None:
    group.set_desired_capacity(DesiredCapacity=1)
    (first,) = eventually(group.ids)
    clients("ec2").terminate_instances(InstanceIds=[first])
    eventually(lambda: group.states() == ["InService"] and group.ids() != {first})

    (second,) = group.ids()
    group.api.set_instance_health(InstanceId=second, HealthStatus="Unhealthy")
    eventually(lambda: group.states() == ["InService"] and group.ids() != {second})


def test_suspended_processes_do_not_run(group, eventually) -> None:
    group.suspend_processes(ScalingProcesses=["Launch"])
    group.set_desired_capacity(DesiredCapacity=1)
    shown = group.shown()
    assert [each["ProcessName"] for each in shown["SuspendedProcesses"]] == ["Launch"]
    group.suspend_processes()
    assert len(group.shown()["SuspendedProcesses"]) == 9
    assert not group.ids()
    group.resume_processes()
    eventually(lambda: group.states() == ["InService"])
    assert not group.shown()["SuspendedProcesses"]


def test_members_are_taken_out_by_name(group, eventually) -> None:
    group.set_desired_capacity(DesiredCapacity=2)
    eventually(lambda: group.states() == ["InService"] * 2)
    gone, detached = sorted(group.ids())
    api = group.api
    api.terminate_instance_in_auto_scaling_group(InstanceId=gone, ShouldDecrementDesiredCapacity=True)
    eventually(lambda: group.ids() == {detached})
    group.detach_instances(InstanceIds=[detached], ShouldDecrementDesiredCapacity=True)
    assert (group.ids(), group.shown()["DesiredCapacity"]) == (set(), 0)
    with pytest.raises(ClientError, match="Instance Id not found"):
        api.terminate_instance_in_auto_scaling_group(InstanceId=gone, ShouldDecrementDesiredCapacity=True)


def test_the_protected_are_not_scaled_in(group, eventually) -> None:
    group.set_desired_capacity(DesiredCapacity=2)
    eventually(lambda: group.states() == ["InService"] * 2)
    kept = min(group.ids())
    group.set_instance_protection(InstanceIds=[kept], ProtectedFromScaleIn=True)
    group.set_desired_capacity(DesiredCapacity=0)
    eventually(lambda: group.ids() == {kept})


def test_a_launch_hook_is_waited_for(aws, group, eventually) -> None:
    aws.set(complete_hooks=False)
    group.put_lifecycle_hook(**HOOK)
    group.set_desired_capacity(DesiredCapacity=1)
    eventually(lambda: group.states() == ["Pending:Wait"])
    assert group.activities()[0][0] == "MidLifecycleAction"
    (waiting,) = group.ids()
    answer = {"LifecycleHookName": "h", "InstanceId": waiting}
    group.record_lifecycle_action_heartbeat(**answer)
    group.complete_lifecycle_action(LifecycleActionResult="CONTINUE", **answer)
    eventually(lambda: group.states() == ["InService"])


@pytest.mark.parametrize("timeout", [600, 0])
def test_a_launch_that_is_abandoned_is_tried_again(aws, group, eventually, timeout) -> None:
    aws.set(complete_hooks=False)
    group.put_lifecycle_hook(**HOOK | {"HeartbeatTimeout": 600})
    group.set_desired_capacity(DesiredCapacity=1)
    (first,) = eventually(group.ids)
    group.complete_lifecycle_action(LifecycleHookName="h", InstanceId=first, LifecycleActionResult="ABANDON")
    eventually(lambda: group.ids() and first not in group.ids())
    assert ("Failed", "Launching a new EC2 instance") in group.activities()


def test_a_hook_that_nobody_completes_ends_with_its_default(aws, group, eventually) -> None:
    aws.set(complete_hooks=False)
    group.put_lifecycle_hook(**HOOK | {"HeartbeatTimeout": 1, "DefaultResult": "CONTINUE"})
    group.set_desired_capacity(DesiredCapacity=1)
    eventually(lambda: group.states() == ["InService"])


def test_events_and_notifications_tell_what_happened(group, clients, inbox, eventually, name) -> None:
    sns, sqs = clients("sns"), clients("sqs")
    topic = sns.create_topic(Name=name)["TopicArn"]
    url = sqs.create_queue(QueueName=f"{name}-letters")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Statement": [allow]})})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    kinds = ["autoscaling:EC2_INSTANCE_LAUNCH", "autoscaling:EC2_INSTANCE_TERMINATE"]
    group.put_notification_configuration(TopicARN=topic, NotificationTypes=kinds)
    group.put_lifecycle_hook(**HOOK)
    group.set_desired_capacity(DesiredCapacity=1)
    (member,) = eventually(group.ids)
    group.set_desired_capacity(DesiredCapacity=0)
    eventually(lambda: not group.ids())

    received: list[dict[str, Any]] = []

    def letters() -> list[dict[str, Any]]:
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        received.extend(json.loads(json.loads(message["Body"])["Message"]) for message in found)
        return received

    eventually(lambda: [each["Event"] for each in letters()] == ["autoscaling:TEST_NOTIFICATION", *kinds])
    assert {each.get("EC2InstanceId") for each in letters()} == {None, member}
    mine = [each for each in inbox() if each["detail"].get("AutoScalingGroupName") == name]
    assert [each["detail-type"] for each in mine] == [
        "EC2 Instance-launch Lifecycle Action",
        "EC2 Instance Launch Successful",
        "EC2 Instance Terminate Successful",
    ]
    told = mine[1]["detail"]
    assert told["EC2InstanceId"] == member
    assert told["Details"].keys() == {"Subnet ID", "Availability Zone"}
    assert mine[1]["resources"][0] == group.shown()["AutoScalingGroupARN"]


def test_groups_are_found_by_tags_and_in_pages(group, name) -> None:
    api = group.api

    def found(filters: list[dict[str, Any]]) -> list[str]:
        pages = api.get_paginator("describe_auto_scaling_groups").paginate(
            Filters=filters, PaginationConfig={"PageSize": 1}
        )
        return [each["AutoScalingGroupName"] for page in pages for each in page["AutoScalingGroups"]]

    other = {"LaunchTemplate": {"LaunchTemplateName": name}, "MinSize": 0, "MaxSize": 0}
    zone = group.shown()["VPCZoneIdentifier"]
    tag = {"Key": "muster:cluster", "Value": name}
    api.create_auto_scaling_group(AutoScalingGroupName=f"{name}-2", VPCZoneIdentifier=zone, Tags=[tag], **other)
    assert found([{"Name": "tag:muster:cluster", "Values": [name]}]) == [name, f"{name}-2"]
    assert found([{"Name": "tag:muster:cluster", "Values": [name]}, {"Name": "tag-key", "Values": ["own"]}]) == [name]
    assert found([{"Name": "tag-value", "Values": ["none"]}]) == []
    api.delete_auto_scaling_group(AutoScalingGroupName=f"{name}-2")


@pytest.mark.parametrize(
    ("call", "options", "message"),
    [
        ("set_desired_capacity", {"DesiredCapacity": 5}, "above max value 4"),
        ("update_auto_scaling_group", {"MinSize": 5, "MaxSize": 4}, "must be greater than or equal to min bound, 5"),
        ("update_auto_scaling_group", {"DesiredCapacity": 9}, "must be between the specified min size:0"),
        ("update_auto_scaling_group", {"VPCZoneIdentifier": "subnet-none"}, "'subnet-none' does not exist"),
        ("suspend_processes", {"ScalingProcesses": ["None"]}, "None is not valid"),
    ],
)
def test_what_a_group_cannot_do_is_refused_and_changes_nothing(group, call, options, message) -> None:
    before = group.shown()
    with pytest.raises(ClientError, match=message):
        getattr(group, call)(**options)
    assert group.shown() == before


def test_a_group_with_instances_is_not_deleted(group, eventually) -> None:
    group.set_desired_capacity(DesiredCapacity=1)
    eventually(lambda: group.states() == ["InService"])
    with pytest.raises(ClientError) as caught:
        group.delete_auto_scaling_group()
    assert caught.value.response["Error"]["Code"] == "ResourceInUse"


# --- as a CloudFormation resource


@pytest.fixture
def template(image, network, name) -> dict[str, Any]:
    launch = {"LaunchTemplateId": {"Ref": "Template"}, "Version": {"Fn::GetAtt": ["Template", "LatestVersionNumber"]}}
    kinds = ["autoscaling:EC2_INSTANCE_LAUNCH"]
    group = {
        "AutoScalingGroupName": f"{name}.queue",
        "MinSize": "0",
        "MaxSize": "50",
        "VPCZoneIdentifier": list(network.subnet_ids),
        "MixedInstancesPolicy": {
            "LaunchTemplate": {"LaunchTemplateSpecification": launch, "Overrides": [{"InstanceType": "c5.large"}]}
        },
        "NotificationConfigurations": [{"TopicARN": {"Ref": "Topic"}, "NotificationTypes": kinds}],
        "LifecycleHookSpecificationList": [HOOK],
        "Tags": [{"Key": "queue", "Value": "q", "PropagateAtLaunch": True}],
    }
    return {
        "Topic": {"Type": "AWS::SNS::Topic"},
        "Template": {
            "Type": "AWS::EC2::LaunchTemplate",
            "Properties": {"LaunchTemplateData": {"ImageId": image}},
        },
        "Group": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": group},
    }


def test_a_stacks_group_propagates_its_tags_keeps_its_size_and_goes(
    stacks, clients, template, eventually, name
) -> None:
    group = Group(clients("autoscaling"), f"{name}.queue")
    assert stacks.create(name, template, Tags=[{"Key": "muster:owner", "Value": "me"}]) == "CREATE_COMPLETE"
    notified = group.api.describe_notification_configurations(AutoScalingGroupNames=[group.name])
    assert [each["NotificationType"] for each in notified["NotificationConfigurations"]] == [
        "autoscaling:EC2_INSTANCE_LAUNCH"
    ]
    assert group.describe_lifecycle_hooks()["LifecycleHooks"][0]["LifecycleHookName"] == "h"
    group.update_auto_scaling_group(MinSize=2, MaxSize=2, DesiredCapacity=2)
    eventually(lambda: group.states() == ["InService"] * 2)
    running = [
        {"Name": "tag:aws:cloudformation:stack-name", "Values": [name]},
        {"Name": "tag:muster:owner", "Values": ["me"]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    assert len(clients("ec2").describe_instances(Filters=running)["Reservations"]) == 2

    template["Template"]["Properties"]["LaunchTemplateData"]["UserData"] = "eA=="
    template["Group"]["Properties"]["Tags"] = []
    told = stacks.changes(name, template)["Group"]
    assert told["Replacement"] == "Conditional"
    assert stacks.update(name, template) == "UPDATE_COMPLETE"
    shown = group.shown()
    assert shown["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]["Version"] == "2"
    assert "queue" not in {tag["Key"] for tag in shown["Tags"]}
    assert (shown["MinSize"], shown["MaxSize"], shown["DesiredCapacity"], len(shown["Instances"])) == (0, 50, 2, 2)

    assert stacks.delete(name) == "DELETE_COMPLETE"
    assert not clients("ec2").describe_instances(Filters=running)["Reservations"]


def test_a_group_in_a_subnet_that_does_not_exist_rolls_the_stack_back(stacks, template, name) -> None:
    template["Group"]["Properties"]["VPCZoneIdentifier"] = ["subnet-none"]
    assert stacks.create(name, template) == "ROLLBACK_COMPLETE"
    assert "The subnet ID 'subnet-none' does not exist" in stacks.reasons(name)
    stacks.delete(name)
