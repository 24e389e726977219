"""The queues: a launch template and an Auto Scaling group each."""

from reconciler.cluster import Queue
from reconciler.facts import NODE_TAG, QUEUE_TAG, group_name
from reconciler.render import head_node, hooks, iam, network, notifications, storage, userdata
from reconciler.render.context import (
    Context,
    Json,
    Resources,
    attribute,
    latest,
    logical_id,
    present,
    ref,
    tag_list,
)
from reconciler.slurm import is_slurm

# A ceiling that never binds: the reconciler moves the sizes, and a stack update must not.
CEILING = "5000"

NOTIFICATIONS = [
    "autoscaling:EC2_INSTANCE_LAUNCH",
    "autoscaling:EC2_INSTANCE_LAUNCH_ERROR",
    "autoscaling:EC2_INSTANCE_TERMINATE",
    "autoscaling:EC2_INSTANCE_TERMINATE_ERROR",
]

DYNAMIC = "dynamic"


def group(queue: Queue) -> str:
    """The logical id of a queue's Auto Scaling group."""
    return f"Group{logical_id(queue.name)}"


def launch_template(queue: Queue) -> str:
    """The logical id of a queue's launch template."""
    return f"LaunchTemplate{logical_id(queue.name)}"


def placement_group(queue: Queue) -> str:
    """The logical id of the placement group that is made for a queue."""
    return f"PlacementGroup{logical_id(queue.name)}"


def _marks(context: Context, queue: Queue) -> dict[str, str]:
    return {
        **context.marks,
        NODE_TAG: "compute",
        QUEUE_TAG: queue.name,
        "Name": f"{context.name} {queue.name}",
    }


def _placement(queue: Queue) -> Json | None:
    if queue.placement_group is None:
        return None
    return {"GroupName": ref(placement_group(queue)) if queue.placement_group == DYNAMIC else queue.placement_group}


def _template(context: Context, queue: Queue) -> Json:
    """The launch template. Types with several network cards get one interface like all others."""
    tags = tag_list({**context.tags, **_marks(context, queue)})
    return {
        "Type": "AWS::EC2::LaunchTemplate",
        "Properties": {
            "LaunchTemplateData": present(
                BlockDeviceMappings=head_node.devices(context, queue.root_volume),
                IamInstanceProfile={"Arn": attribute(iam.COMPUTE_PROFILE, "Arn")},
                ImageId=context.image(queue.instance_types[0], queue.ami),
                KeyName=context.head.key_name,
                MetadataOptions=head_node.METADATA_OPTIONS,
                NetworkInterfaces=[
                    present(
                        AssociatePublicIpAddress=context.spec.network.public_ips,
                        DeleteOnTermination=True,
                        DeviceIndex=0,
                        Groups=network.node_groups(context, network.COMPUTE_GROUP),
                        InterfaceType="efa" if queue.efa else None,
                    )
                ],
                Placement=_placement(queue),
                TagSpecifications=[
                    {"ResourceType": kind, "Tags": tags} for kind in ("instance", "network-interface", "volume")
                ],
                UserData=userdata.compute(context, queue),
            ),
            "TagSpecifications": [{"ResourceType": "launch-template", "Tags": tag_list(context.marks)}],
        },
    }


def _distribution(queue: Queue) -> Json:
    """On demand: in the order of the types. Spot: an empty price takes back one that was set before."""
    if queue.capacity_type == "onDemand":
        return {"OnDemandAllocationStrategy": "prioritized", "OnDemandPercentageAboveBaseCapacity": 100}
    return {
        "OnDemandBaseCapacity": 0,
        "OnDemandPercentageAboveBaseCapacity": 0,
        "SpotAllocationStrategy": queue.spot_allocation_strategy or "price-capacity-optimized",
        "SpotMaxPrice": "" if queue.spot_max_price is None else str(queue.spot_max_price),
    }


def _group(context: Context, queue: Queue) -> Json:
    """The Auto Scaling group: no sizes that move, no creation signal, no update policy."""
    return {
        "Type": "AWS::AutoScaling::AutoScalingGroup",
        "DependsOn": [
            head_node.CLEANUP,
            head_node.LOG_GROUP,
            notifications.SUBSCRIPTION,
            *storage.targets(context),
        ],
        "Properties": {
            "AutoScalingGroupName": group_name(context.name, queue.name),
            "HealthCheckType": "EC2",
            "LifecycleHookSpecificationList": hooks.HOOKS,
            "MaxSize": CEILING,
            "MetricsCollection": [{"Granularity": "1Minute"}],
            "MinSize": "0",
            "MixedInstancesPolicy": {
                "InstancesDistribution": _distribution(queue),
                "LaunchTemplate": {
                    "LaunchTemplateSpecification": latest(launch_template(queue)),
                    "Overrides": [{"InstanceType": kind} for kind in queue.instance_types],
                },
            },
            # Slurm's jobs: what goes is what the operator names. A node that is in service is then taken neither by a
            # smaller size nor for the balance of zones (EC2 Auto Scaling user guide, instance scale-in protection:
            # what it does not protect from are terminations by hand, health checks and Spot interruptions).
            "NewInstancesProtectedFromScaleIn": is_slurm(context.cluster),
            "NotificationConfigurations": [{"NotificationTypes": NOTIFICATIONS, "TopicARN": ref(notifications.TOPIC)}],
            "Tags": [{**tag, "PropagateAtLaunch": True} for tag in tag_list(_marks(context, queue))],
            "VPCZoneIdentifier": context.subnets(queue),
        },
    }


def resources(context: Context) -> Resources:
    """All queues' launch templates and groups, and the placement groups that are asked for."""
    made: Resources = {}
    for queue in context.spec.queues:
        made[launch_template(queue)] = _template(context, queue)
        made[group(queue)] = _group(context, queue)
        if queue.placement_group == DYNAMIC:
            made[placement_group(queue)] = {
                "Type": "AWS::EC2::PlacementGroup",
                "Properties": {"Strategy": "cluster", "Tags": tag_list(context.marks)},
            }
    return made
