"""Rules for AWS Batch: what goes together, and what belongs to which kind of environment.

Sources: the AWS Batch API reference (ComputeResource, ComputeEnvironmentOrder, ResourceRequirement) and user guide.
"""

from collections.abc import Iterator, Sequence

from reconciler.cluster.batch import FARGATE, Batch, ComputeEnvironment, JobDefinition
from reconciler.cluster.errors import MISSING, FieldError, quoted, short
from reconciler.cluster.instances import architecture
from reconciler.cluster.model import Cluster, Spec
from reconciler.cluster.rules.names import repeated_names

# MiB of memory that Fargate takes with so many vCPUs.
FARGATE_MEMORY: dict[float, Sequence[int]] = {
    0.25: (512, 1024, 2048),
    0.5: range(1024, 4097, 1024),
    1: range(2048, 8193, 1024),
    2: range(4096, 16385, 1024),
    4: range(8192, 30721, 1024),
    8: range(16384, 61441, 4096),
    16: range(32768, 122881, 8192),
}
# Fields of an environment, and what it has to be for them.
ENVIRONMENT_FIELDS: dict[str, tuple[str, ...]] = {
    "instance_types": ("EC2", "SPOT"),
    "min_vcpus": ("EC2", "SPOT"),
    "desired_vcpus": ("EC2", "SPOT"),
    "allocation_strategy": ("EC2", "SPOT"),
    "bid_percentage": ("SPOT",),
    "ami": ("EC2", "SPOT"),
    "root_volume": ("EC2", "SPOT"),
}
# Fields of a job definition that Fargate does not take.
EC2_ALONE = ("gpus", "nodes", "scratch", "shared_memory", "privileged")
# Fields of the spec that nothing of a Batch cluster uses, and those that its head node alone does.
UNUSED = ("queues", "idle_time", "fleet")
OF_THE_HEAD_NODE = ("image", "bootstrap", "proxy")
# Words of Batch for instance types that it chooses, and their processor: `optimal` goes with either.
BUNDLES = {"default_x86_64": "x86_64", "default_arm64": "arm64"}
# Characters. A role's policies have 10,240 of them (IAM user guide, quotas), and what is listed is not all of one.
ARNS_OF_A_ROLE = 8000
LISTS = ("images", "compute_environments", "queues", "job_definitions")


def environments(cluster: Cluster) -> Iterator[tuple[str, ComputeEnvironment]]:
    """Each compute environment with its path."""
    found = cluster.spec.batch.compute_environments if cluster.spec.batch else ()
    return ((f"spec.batch.computeEnvironments[{index}]", entry) for index, entry in enumerate(found))


def definitions(cluster: Cluster) -> Iterator[tuple[str, JobDefinition]]:
    """Each job definition with its path."""
    found = cluster.spec.batch.job_definitions if cluster.spec.batch else ()
    return ((f"spec.batch.jobDefinitions[{index}]", entry) for index, entry in enumerate(found))


def parts_of_the_scheduler(cluster: Cluster) -> Iterator[FieldError]:
    """AWS Batch has its own part of the spec; everything else has a head node and queues of nodes."""
    spec, aws = cluster.spec, cluster.spec.scheduler == "awsbatch"
    if aws and spec.batch is None:
        yield FieldError("spec.batch", MISSING, "required with scheduler awsbatch", "add it: what runs, and where")
    if not aws and spec.batch is not None:
        fix = "set scheduler: awsbatch, or remove batch"
        yield FieldError("spec.batch", "a map", "only with scheduler awsbatch", fix)
    if not aws and spec.head_node is None:
        yield FieldError("spec.headNode", MISSING, "required unless scheduler is awsbatch", "add it: The head node")
    if not aws and not spec.queues:
        shown = "a list of 0" if "queues" in spec.model_fields_set else MISSING
        rule = "must have at least 1 entries unless scheduler is awsbatch"
        yield FieldError("spec.queues", shown, rule, "add entries: Queues of compute nodes")


def nothing_unused(cluster: Cluster) -> Iterator[FieldError]:
    """Whatever would do nothing is refused, so that nobody counts on it."""
    spec, given = cluster.spec, cluster.spec.model_fields_set
    if spec.scheduler != "awsbatch":
        return
    for name in UNUSED:
        if name in given:
            field = Spec.model_fields[name].alias
            yield FieldError(f"spec.{field}", "set", "has no use with scheduler awsbatch", f"remove {field}")
    if spec.head_node:
        return
    wanted = any(definition.scratch for _, definition in definitions(cluster))
    names = OF_THE_HEAD_NODE if wanted else ("scratch", *OF_THE_HEAD_NODE)
    idle = [str(Spec.model_fields[name].alias) for name in names if name in given]
    for field in [*idle, *(["network.sshFrom"] if spec.network.ssh_from else [])]:
        rule = "has no use with scheduler awsbatch without a head node"
        yield FieldError(f"spec.{field}", "set", rule, f"remove {field}, or add headNode")


def volumes_need_a_head_node(cluster: Cluster) -> Iterator[FieldError]:
    """A volume is attached to one machine, which serves it to the others."""
    spec = cluster.spec
    if spec.scheduler != "awsbatch" or spec.head_node:
        return
    for index, entry in enumerate(spec.shared_storage):
        if entry.ebs or entry.raid:
            shown, rule = " and ".join(entry.kinds), "needs a head node, which serves it"
            yield FieldError(f"spec.sharedStorage[{index}]", shown, rule, "add headNode, or use efs or fsxLustre")


def fargate_mounts_efs(cluster: Cluster) -> Iterator[FieldError]:
    """What an instance mounts for its jobs is not there on Fargate (AWS Batch API, Volume: host)."""
    served = {entry.name: entry for entry in cluster.spec.shared_storage if not entry.efs}
    for at, definition in definitions(cluster):
        for place, mount in enumerate(definition.mounts if definition.platform == "FARGATE" else ()):
            if mount.storage in served:
                shown = f"{quoted(mount.storage)}, {' and '.join(served[mount.storage].kinds)}"
                fix = "use efs, or platform EC2"
                yield FieldError(f"{at}.mounts[{place}].storage", shown, "only efs on platform FARGATE", fix)


def batch_names_differ(cluster: Cluster) -> Iterator[FieldError]:
    """The entries of each list are told apart by their names."""
    if batch := cluster.spec.batch:
        for name in LISTS:
            field = Batch.model_fields[name].alias or name
            yield from repeated_names(f"spec.batch.{field}", [entry.name for entry in getattr(batch, name)])


def one_source(cluster: Cluster) -> Iterator[FieldError]:
    """An image is built from one thing, or exists."""
    for index, image in enumerate(cluster.spec.batch.images if cluster.spec.batch else ()):
        given = [name for name in ("dockerfile", "archive", "uri") if getattr(image, name) is not None]
        if len(given) != 1:
            shown, fix = " and ".join(given) or MISSING, "give each an image of its own" if given else "add one of them"
            yield FieldError(f"spec.batch.images[{index}]", shown, "exactly one of dockerfile, archive, uri", fix)


def environment_fields_fit(cluster: Cluster) -> Iterator[FieldError]:
    """A field is for the types of environment that it means something to."""
    for at, environment in environments(cluster):
        for name, kinds in ENVIRONMENT_FIELDS.items():
            if name in environment.model_fields_set and environment.type not in kinds:
                field = ComputeEnvironment.model_fields[name].alias
                rule = f"only for type {' or '.join(kinds)}, and this is {environment.type}"
                yield FieldError(f"{at}.{field}", "set", rule, f"remove {field}")


def vcpus_are_in_order(cluster: Cluster) -> Iterator[FieldError]:
    """The most is not less than the least, and not nothing; what it starts with is between the two."""
    for at, environment in environments(cluster):
        least, most, desired = environment.min_vcpus or 0, environment.max_vcpus, environment.desired_vcpus
        if most < max(least, 1):
            rule = f"must be {max(least, 1)} or more" + (", which is minVcpus" if least > 1 else "")
            yield FieldError(f"{at}.maxVcpus", short(most), rule, "raise it, or lower minVcpus")
        elif desired is not None and not least <= desired <= most:
            rule = f"must be from {least} to {most}, which are minVcpus and maxVcpus"
            yield FieldError(f"{at}.desiredVcpus", short(desired), rule, "choose one between them, or remove it")


def spot_strategies_need_spot(cluster: Cluster) -> Iterator[FieldError]:
    """The strategies of the Spot market are for Spot alone."""
    for at, environment in environments(cluster):
        strategy = environment.allocation_strategy
        if strategy and strategy.startswith("SPOT_") and environment.type == "EC2":
            yield FieldError(f"{at}.allocationStrategy", strategy, "only for type SPOT", "use BEST_FIT_PROGRESSIVE")


def types_have_the_architecture(cluster: Cluster) -> Iterator[FieldError]:
    """The instance types of an environment are of the architecture that it says."""
    for at, environment in environments(cluster):
        for place, kind in enumerate(environment.instance_types):
            found = environment.architecture if kind == "optimal" else BUNDLES.get(kind) or architecture(kind)
            if found != environment.architecture:
                rule = f"must be of architecture {environment.architecture}, and it is {found}"
                fix = "name another type, or set architecture"
                yield FieldError(f"{at}.instanceTypes[{place}]", quoted(kind), rule, fix)


def shares_are_apart(cluster: Cluster) -> Iterator[FieldError]:
    """No job may belong to two shares of a queue (ShareAttributes, shareIdentifier)."""
    for index, queue in enumerate(cluster.spec.batch.queues if cluster.spec.batch else ()):
        seen: list[str] = []
        for place, share in enumerate(queue.fair_share.shares if queue.fair_share else ()):
            if other := next((name for name in seen if _overlap(name, share.name)), None):
                field = f"spec.batch.queues[{index}].fairShare.shares[{place}].name"
                yield FieldError(field, quoted(share.name), f"overlaps with {other}", "remove one of them")
            seen.append(share.name)


def _overlap(one: str, other: str) -> bool:
    parts = [(name.removesuffix("*"), name.endswith("*")) for name in (one, other)]
    return any(
        name == prefix or (open_ended and name.startswith(prefix))
        for (prefix, open_ended), (name, _) in (parts, parts[::-1])
    )


def queue_environments_fit(cluster: Cluster) -> Iterator[FieldError]:
    """A queue's environments exist, are all EC2 or all Fargate, and have one architecture."""
    known = {entry.name: entry for _, entry in environments(cluster)}
    for index, queue in enumerate(cluster.spec.batch.queues if cluster.spec.batch else ()):
        at = f"spec.batch.queues[{index}].computeEnvironments"
        for place, name in enumerate(queue.compute_environments):
            if name not in known:
                fix = f"name one of {', '.join(sorted(known))}"
                yield FieldError(f"{at}[{place}]", quoted(name), "no compute environment has this name", fix)
        found = [known[name] for name in queue.compute_environments if name in known]
        if len({entry.type in FARGATE for entry in found}) > 1:
            yield FieldError(at, "EC2 and Fargate", "all EC2 or all Fargate", "give each kind a queue of its own")
        if len({entry.architecture for entry in found}) > 1:
            yield FieldError(at, "x86_64 and arm64", "all of one architecture", "give each a queue of its own")


def definition_refers_to_what_exists(cluster: Cluster) -> Iterator[FieldError]:
    """The image and the storage that a job definition names are in the spec."""
    images = {image.name for image in cluster.spec.batch.images} if cluster.spec.batch else set[str]()
    storages = {entry.name: entry for entry in cluster.spec.shared_storage}
    for at, definition in definitions(cluster):
        if definition.image not in images:
            fix = f"name one of {', '.join(sorted(images))}"
            yield FieldError(f"{at}.image", quoted(definition.image), "no image has this name", fix)
        for place, mount in enumerate(definition.mounts):
            if mount.storage not in storages:
                fix = "name an entry of spec.sharedStorage"
                field = f"{at}.mounts[{place}].storage"
                yield FieldError(field, quoted(mount.storage), "no shared storage has this name", fix)


def definition_runs_somewhere(cluster: Cluster) -> Iterator[FieldError]:
    """Some environment is of the platform and architecture that a job definition asks for."""
    found = {("FARGATE" if e.type in FARGATE else "EC2", e.architecture) for _, e in environments(cluster)}
    for at, definition in definitions(cluster):
        if (definition.platform, definition.architecture) not in found:
            shown = f"{definition.platform} on {definition.architecture}"
            fix = "add one, or change platform or architecture"
            yield FieldError(f"{at}.platform", shown, "no compute environment is of this kind", fix)


def fargate_takes_what_it_has(cluster: Cluster) -> Iterator[FieldError]:
    """Fargate has sizes of its own, and lacks what needs an instance."""
    for at, definition in definitions(cluster):
        if definition.platform != "FARGATE":
            if definition.vcpus != int(definition.vcpus):
                yield FieldError(f"{at}.vcpus", short(definition.vcpus), "whole vCPUs on EC2", "round it up")
            continue
        for name in EC2_ALONE:
            if getattr(definition, name):
                field = JobDefinition.model_fields[name].alias
                yield FieldError(f"{at}.{field}", "set", "only for platform EC2", f"remove {field}")
        memory = FARGATE_MEMORY.get(definition.vcpus)
        if memory is None:
            rule = f"Fargate has {', '.join(f'{vcpus:g}' for vcpus in FARGATE_MEMORY)} vCPUs"
            yield FieldError(f"{at}.vcpus", short(definition.vcpus), rule, "choose one of them")
        elif definition.memory not in memory:
            rule = f"with {definition.vcpus:g} vCPUs Fargate has {', '.join(map(str, memory))} MiB"
            yield FieldError(f"{at}.memory", short(definition.memory), rule, "choose one of them")


def parallel_jobs_need_on_demand(cluster: Cluster) -> Iterator[FieldError]:
    """Batch has multi-node parallel jobs on no other type (user guide, "Compute environment considerations")."""
    found = {entry.architecture for _, entry in environments(cluster) if entry.type == "EC2"}
    for at, definition in definitions(cluster):
        if definition.nodes and definition.platform == "EC2" and definition.architecture not in found:
            rule = f"needs a compute environment of type EC2 on {definition.architecture}"
            yield FieldError(f"{at}.nodes", short(definition.nodes), rule, "add one, or remove nodes")


def arrays_have_jobs_of_one_node(cluster: Cluster) -> Iterator[FieldError]:
    """A multi-node parallel job cannot be an array (AWS Batch user guide, "Array jobs")."""
    for at, definition in definitions(cluster):
        if definition.nodes and definition.array_size:
            yield FieldError(f"{at}.arraySize", short(definition.array_size), "not with nodes", "remove one of them")


def mounts_are_apart(cluster: Cluster) -> Iterator[FieldError]:
    """One place in a container holds one thing."""
    homes = {entry.name: entry.mount_dir for entry in cluster.spec.shared_storage}
    for at, definition in definitions(cluster):
        paths = [mount.path or homes.get(mount.storage, mount.storage) for mount in definition.mounts]
        scratch = cluster.spec.scratch.mount_dir
        if definition.scratch and scratch in paths:
            field = f"{at}.mounts[{paths.index(scratch)}].path"
            yield FieldError(field, quoted(scratch), "spec.scratch.mountDir is there already", "set another path")
        for place, path in enumerate(paths):
            if path in paths[:place]:
                field, rule = f"{at}.mounts[{place}].path", f"mounts[{paths.index(path)}] is there already"
                yield FieldError(field, quoted(path), rule, "set another path")


def arns_fit_a_role(cluster: Cluster) -> Iterator[FieldError]:
    """What the roles of builds and of jobs' launches list by name fits into a policy."""
    batch = cluster.spec.batch
    listed = {
        "images": {image.archive for image in batch.images if image.archive} if batch else set[str](),
        "jobDefinitions": {arn for _, each in definitions(cluster) for arn in each.secrets.values()},
    }
    for field, arns in listed.items():
        size = sum(len(arn) + 10 for arn in arns)
        if size > ARNS_OF_A_ROLE:
            what = "addresses of archives" if field == "images" else "ARNs of secrets"
            rule = f"{what} must have at most {ARNS_OF_A_ROLE} characters in all, 10 more for each"
            yield FieldError(f"spec.batch.{field}", f"{size} characters", rule, "use fewer, or shorter names")


def retries_need_attempts(cluster: Cluster) -> Iterator[FieldError]:
    """Conditions on what is tried again mean nothing if nothing is."""
    for at, definition in definitions(cluster):
        if definition.retries and definition.attempts == 1:
            yield FieldError(f"{at}.retries", "set", "needs attempts of 2 or more", "set attempts, or remove retries")
        for place, entry in enumerate(definition.retries):
            if not (entry.on_exit_code or entry.on_reason or entry.on_status_reason):
                rule = "one of onExitCode, onReason, onStatusReason"
                yield FieldError(f"{at}.retries[{place}]", MISSING, rule, "add one; * matches everything")


def environment_variables_differ(cluster: Cluster) -> Iterator[FieldError]:
    """A variable is a value or a secret, and AWS_BATCH is Batch's own (RegisterJobDefinition, environment)."""
    for at, definition in definitions(cluster):
        for name in sorted(definition.secrets.keys() & definition.environment.keys()):
            fix = "remove it from one of them"
            yield FieldError(f"{at}.secrets.{name}", "set", "environment has this name too", fix)
        for part in ("environment", "secrets"):
            for name in getattr(definition, part):
                if name.startswith(("AWS_BATCH", "MUSTER_")):
                    rule = "AWS_BATCH and MUSTER_ are reserved"
                    yield FieldError(f"{at}.{part}.{name}", "set", rule, "choose another name")


def an_image_has_one_architecture(cluster: Cluster) -> Iterator[FieldError]:
    """An image is built once, on one processor."""
    built = {image.name for image in cluster.spec.batch.images if image.uri is None} if cluster.spec.batch else ()
    first: dict[str, str] = {}
    for at, definition in definitions(cluster):
        if definition.image in built and first.setdefault(definition.image, definition.architecture) != (
            definition.architecture
        ):
            rule = f"image {definition.image} is built for {first[definition.image]}"
            fix = "add an image of the same source for this architecture"
            yield FieldError(f"{at}.architecture", definition.architecture, rule, fix)


RULES = (
    parts_of_the_scheduler,
    nothing_unused,
    volumes_need_a_head_node,
    fargate_mounts_efs,
    batch_names_differ,
    one_source,
    environment_fields_fit,
    vcpus_are_in_order,
    spot_strategies_need_spot,
    types_have_the_architecture,
    shares_are_apart,
    queue_environments_fit,
    definition_refers_to_what_exists,
    definition_runs_somewhere,
    fargate_takes_what_it_has,
    parallel_jobs_need_on_demand,
    arrays_have_jobs_of_one_node,
    mounts_are_apart,
    arns_fit_a_role,
    retries_need_attempts,
    environment_variables_differ,
    an_image_has_one_architecture,
)
