"""Job definitions."""

from reconciler.batch import ARRAY_SIZE, DEFINITION
from reconciler.cluster.batch import JobDefinition
from reconciler.facts import job_definition_name
from reconciler.render import storage
from reconciler.render.batch import images, logs, mounts, roles
from reconciler.render.context import Context, Json, Resources, logical_id, present

MACHINES = {"x86_64": "X86_64", "arm64": "ARM64"}


def _needs(definition: JobDefinition) -> list[Json]:
    """vCPUs, MiB and GPUs, as Batch wants numbers: as text."""
    found = {"VCPU": f"{definition.vcpus:g}", "MEMORY": str(definition.memory)}
    if definition.gpus:
        found["GPU"] = str(definition.gpus)
    return [{"Type": kind, "Value": value} for kind, value in found.items()]


def _container(context: Context, definition: JobDefinition) -> Json:
    image = next(each for each in context.batch.images if each.name == definition.image)
    fargate = definition.platform == "FARGATE"
    address = "ENABLED" if context.spec.network.public_ips else "DISABLED"
    machine = {"CpuArchitecture": MACHINES[definition.architecture], "OperatingSystemFamily": "LINUX"}
    environment = {**definition.environment, "MUSTER_CLUSTER": context.name}
    group = {"awslogs-group": logs.name(context, logs.JOBS), "awslogs-region": context.site.region}
    return present(
        Command=list(definition.command) or None,
        Environment=[{"Name": key, "Value": value} for key, value in sorted(environment.items())],
        ExecutionRoleArn=roles.arn(roles.EXECUTION),
        Image=images.uri(context, image),
        JobRoleArn=roles.arn(roles.JOB),
        LinuxParameters={"SharedMemorySize": definition.shared_memory} if definition.shared_memory else None,
        LogConfiguration={"LogDriver": "awslogs", "Options": group},
        NetworkConfiguration={"AssignPublicIp": address} if fargate else None,
        Privileged=definition.privileged or None,
        ResourceRequirements=_needs(definition),
        RuntimePlatform=machine if fargate else None,
        Secrets=[{"Name": key, "ValueFrom": value} for key, value in sorted(definition.secrets.items())] or None,
        **mounts.container(context, definition),
    )


def _retry(definition: JobDefinition) -> Json:
    rules = [
        present(
            Action=each.action,
            OnExitCode=each.on_exit_code,
            OnReason=each.on_reason,
            OnStatusReason=each.on_status_reason,
        )
        for each in definition.retries
    ]
    return present(Attempts=definition.attempts, EvaluateOnExit=rules or None)


def _definition(context: Context, definition: JobDefinition) -> Json:
    container = _container(context, definition)
    if definition.nodes:
        ranges = [{"TargetNodes": "0:", "Container": container}]
        kind: Json = {
            "Type": "multinode",
            "NodeProperties": {"MainNode": 0, "NumNodes": definition.nodes, "NodeRangeProperties": ranges},
        }
    else:
        kind = {"Type": "container", "ContainerProperties": container}
    return {
        "Type": "AWS::Batch::JobDefinition",
        # Jobs write to the group, mount the file systems and pull the images, as long as there are definitions.
        "DependsOn": [logs.JOBS, images.FILES_CLEANUP, *storage.targets(context)],
        "Properties": present(
            JobDefinitionName=job_definition_name(context.name, definition.name),
            Parameters=_parameters(context, definition) or None,
            PlatformCapabilities=[definition.platform],
            PropagateTags=True,
            RetryStrategy=_retry(definition),
            Tags=context.still_marks,
            Timeout={"AttemptDurationSeconds": definition.timeout} if definition.timeout else None,
            **kind,
        ),
    }


def definition_id(definition: JobDefinition) -> str:
    """The logical id of a job definition."""
    return f"{DEFINITION}{logical_id(definition.name)}"


def _parameters(context: Context, definition: JobDefinition) -> Json:
    """What no command refers to: the array that `muster job submit` makes, and how often the definition was registered.

    Another value makes CloudFormation register the definition anew. Another logical id would do it too, but to the
    resource type a definition is its name (``primaryIdentifier``), which two resources of a stack cannot share.
    """
    values = {
        ARRAY_SIZE: definition.array_size,
        "muster-registrations": context.pins.registrations.get(definition.name),
    }
    return {name: str(value) for name, value in values.items() if value}


def resources(context: Context) -> Resources:
    """All job definitions."""
    return {definition_id(each): _definition(context, each) for each in context.batch.job_definitions}
