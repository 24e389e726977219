"""Compute environments and queues.

What Batch cannot change of an environment without an end to its jobs is in its logical id and name. So a change of it
is another environment: the queues turn to it in the same update, and the old one is left standing, outside of the
stack, for the reconciler to drain and remove.
"""

import hashlib
import json

from reconciler.batch import ENVIRONMENT, QUEUE
from reconciler.cluster.batch import FARGATE, ComputeEnvironment, FairShare, JobQueue
from reconciler.facts import QUEUE_TAG, STACK_PREFIX, job_queue_name
from reconciler.render import head_node, network
from reconciler.render.batch import mounts, roles
from reconciler.render.context import Context, Json, Resources, attribute, logical_id, present, ref, tag_list

STRATEGIES = {"EC2": "BEST_FIT_PROGRESSIVE", "SPOT": "SPOT_PRICE_CAPACITY_OPTIMIZED"}
# The machine images, without and with the drivers of NVIDIA: Batch takes what an instance type needs. Of the second
# there is none for Graviton (Ec2Configuration, imageType).
IMAGE_TYPES = {"x86_64": ("ECS_AL2023", "ECS_AL2023_NVIDIA"), "arm64": ("ECS_AL2023",)}
# Minutes that jobs are given if Batch should ever have to renew the instances in place, the most there are.
PATIENCE = 360


def environment_id(context: Context, environment: ComputeEnvironment) -> str:
    """The logical id of a compute environment."""
    return f"{ENVIRONMENT}{logical_id(environment.name)}Of{_mark(context, environment)}"


def name(context: Context, environment: ComputeEnvironment) -> str:
    """The name of a compute environment."""
    return f"{STACK_PREFIX}{context.name}_{environment.name}_{_mark(context, environment)}"


def most_vcpus(context: Context, environment: ComputeEnvironment) -> int:
    """The most vCPUs in the template: those that the environment was made with, however the spec has changed since.

    A new one takes jobs before the reconciler sees it, so it cannot begin with more than the spec allows. From then on
    the bound moves by Batch's API alone: a lower one than what runs would fail an update of the stack.
    """
    return context.pins.vcpus.get(name(context, environment), environment.max_vcpus)


def _mark(context: Context, environment: ComputeEnvironment) -> str:
    # The user's tags come from the stack, and so are as fixed as the environment's own.
    fixed = [_fixed(context, environment), _launch(context, environment), context.spec.tags]
    if context.spec.head_node and mounts.user_data(context):
        # Instances mount by the address of the head node, which another head node has not.
        fixed.append(head_node.lasting(context))
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:8]


def _launch(context: Context, environment: ComputeEnvironment) -> Json | None:
    """What can be said of instances in a launch template alone."""
    if environment.type in FARGATE:
        return None
    return present(
        BlockDeviceMappings=[head_node.root_device("/dev/xvda", environment.root_volume)],
        MetadataOptions=head_node.METADATA_OPTIONS,
        UserData=mounts.user_data(context),
    )


def _template_id(context: Context, environment: ComputeEnvironment) -> str:
    return f"Launch{logical_id(environment.name)}Of{_mark(context, environment)}"


def _fixed(context: Context, environment: ComputeEnvironment) -> Json:
    """What is said of an environment once."""
    shared = {
        "Type": environment.type,
        "Subnets": list(environment.subnet_ids or context.spec.network.subnet_ids),
        "SecurityGroupIds": network.node_groups(context, network.COMPUTE_GROUP),
    }
    if environment.type in FARGATE:
        return shared
    fleet = environment.type == "SPOT" and environment.allocation_strategy == "BEST_FIT"
    return shared | present(
        AllocationStrategy=environment.allocation_strategy or STRATEGIES[environment.type],
        # A change of the price makes Batch replace the instances, jobs or no jobs (UpdateComputeEnvironment).
        BidPercentage=environment.bid_percentage,
        Ec2Configuration=[
            present(ImageType=kind, ImageIdOverride=environment.ami) for kind in IMAGE_TYPES[environment.architecture]
        ],
        InstanceRole=attribute(roles.INSTANCE_PROFILE, "Arn"),
        InstanceTypes=_instance_types(environment),
        SpotIamFleetRole=roles.arn(roles.SPOT_FLEET) if fleet else None,
        Tags={**context.tags, "Name": f"{context.name} {environment.name}"},
    )


def _instance_types(environment: ComputeEnvironment) -> list[str]:
    """`optimal` is x86: for the other processor Batch has a word of its own."""
    words = {"optimal": "default_arm64"} if environment.architecture == "arm64" else {}
    return [words.get(kind, kind) for kind in environment.instance_types]


def _environment(context: Context, environment: ComputeEnvironment) -> Json:
    fargate = environment.type in FARGATE
    template = {"LaunchTemplateId": ref(_template_id(context, environment)), "Version": "$Default"}
    return {
        "Type": "AWS::Batch::ComputeEnvironment",
        # One whose creation is rolled back has had no jobs, and would stand in the way of the next try.
        "DeletionPolicy": "RetainExceptOnCreate",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "ComputeEnvironmentName": name(context, environment),
            "Type": "MANAGED",
            "ReplaceComputeEnvironment": False,
            "Tags": context.still_marks,
            "ComputeResources": present(
                **_fixed(context, environment),
                LaunchTemplate=None if fargate else template,
                MaxvCpus=most_vcpus(context, environment),
                MinvCpus=None if fargate else 0,
            ),
            **({} if fargate else {"UpdatePolicy": {"JobExecutionTimeoutMinutes": PATIENCE}}),
        },
    }


def _template(context: Context, environment: ComputeEnvironment) -> Resources:
    launch = _launch(context, environment)
    if launch is None:
        return {}
    marks = [{"ResourceType": "launch-template", "Tags": tag_list(context.marks)}]
    properties = {"LaunchTemplateData": launch, "TagSpecifications": marks}
    return {_template_id(context, environment): {"Type": "AWS::EC2::LaunchTemplate", "Properties": properties}}


def queue_id(queue: JobQueue) -> str:
    """The logical id of a queue."""
    return f"{QUEUE}{logical_id(queue.name)}"


def _policy_id(queue: JobQueue) -> str:
    return f"SchedulingPolicy{logical_id(queue.name)}"


def order(context: Context, queue: JobQueue) -> list[ComputeEnvironment]:
    """The environments of a queue, in their order."""
    known = {environment.name: environment for environment in context.batch.compute_environments}
    return [known[each] for each in queue.compute_environments]


def _queue(context: Context, queue: JobQueue) -> Json:
    tried = [
        {"Order": place, "ComputeEnvironment": ref(environment_id(context, each))}
        for place, each in enumerate(order(context, queue), 1)
    ]
    return {
        "Type": "AWS::Batch::JobQueue",
        "Properties": present(
            JobQueueName=job_queue_name(context.name, queue.name),
            ComputeEnvironmentOrder=tried,
            Priority=queue.priority,
            SchedulingPolicyArn=attribute(_policy_id(queue), "Arn") if queue.fair_share else None,
            Tags={**context.still_marks, QUEUE_TAG: queue.name},
        ),
    }


def _policy(context: Context, queue: JobQueue, share: FairShare) -> Json:
    weights = [{"ShareIdentifier": each.name, "WeightFactor": each.weight} for each in share.shares]
    return {
        "Type": "AWS::Batch::SchedulingPolicy",
        "Properties": {
            "Name": job_queue_name(context.name, queue.name),
            "FairsharePolicy": present(
                ComputeReservation=share.compute_reservation,
                ShareDecaySeconds=share.decay_seconds,
                ShareDistribution=weights or None,
            ),
            "Tags": context.still_marks,
        },
    }


def resources(context: Context) -> Resources:
    """All environments and queues."""
    made: Resources = {}
    for environment in context.batch.compute_environments:
        made |= _template(context, environment)
        made[environment_id(context, environment)] = _environment(context, environment)
    for queue in context.batch.queues:
        made[queue_id(queue)] = _queue(context, queue)
        if queue.fair_share:
            made[_policy_id(queue)] = _policy(context, queue, queue.fair_share)
    return made
