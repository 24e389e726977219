"""Rules for the head node and the queues."""

import re
from collections.abc import Iterable, Iterator

from reconciler.cluster.compute import HeadNode, Queue
from reconciler.cluster.errors import FieldError, short
from reconciler.cluster.instances import Architecture, architecture
from reconciler.cluster.model import Cluster
from reconciler.cluster.rules.names import repeated_names
from reconciler.cluster.volumes import volume_problems

BURSTABLE_OR_FLEX = re.compile(r"t[0-9]|[^.]*-flex\.")


def queues(cluster: Cluster) -> Iterator[tuple[str, Queue]]:
    """Each queue with its path."""
    return ((f"spec.queues[{index}]", queue) for index, queue in enumerate(cluster.spec.queues))


def nodes(cluster: Cluster) -> Iterator[tuple[str, HeadNode | Queue]]:
    """The head node and the queues, each with its path."""
    if cluster.spec.head_node:
        yield "spec.headNode", cluster.spec.head_node
    yield from queues(cluster)


def types(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Every instance type of the cluster with its path."""
    if cluster.spec.head_node:
        yield "spec.headNode.instanceType", cluster.spec.head_node.instance_type
    for at, queue in queues(cluster):
        yield from queue_types(at, queue)


def queue_types(at: str, queue: Queue) -> Iterator[tuple[str, str]]:
    """The instance types of a queue, each with its path."""
    return ((f"{at}.instanceTypes[{index}]", name) for index, name in enumerate(queue.instance_types))


def architectures(instance_types: Iterable[str]) -> dict[Architecture, str]:
    """The architectures of the types, each with the first type that has it."""
    return {architecture(name): name for name in reversed(tuple(instance_types))}


def queue_names_differ(cluster: Cluster) -> Iterator[FieldError]:
    """Queues are told apart by their names."""
    return repeated_names("spec.queues", [queue.name for queue in cluster.spec.queues])


def size_or_bounds(cluster: Cluster) -> Iterator[FieldError]:
    """A queue has a fixed size or bounds, not both."""
    for at, queue in queues(cluster):
        if queue.size is None:
            continue
        for name, value in (("minSize", queue.min_size), ("maxSize", queue.max_size)):
            if value is not None:
                yield FieldError(f"{at}.{name}", short(value), "size excludes it", f"remove {name}, or size")


def least_is_below_most(cluster: Cluster) -> Iterator[FieldError]:
    """The bounds of a queue are in order."""
    for at, queue in queues(cluster):
        least, most, _ = queue.bounds
        if least > most:
            default = " (the default)" if queue.max_size is None else ""
            rule = f"must not be above maxSize, {most}{default}"
            yield FieldError(f"{at}.minSize", short(least), rule, f"lower it, or set maxSize to {least} or more")


def spot_fields_need_spot(cluster: Cluster) -> Iterator[FieldError]:
    """Prices and strategies of the Spot market do nothing for on-demand nodes."""
    for at, queue in queues(cluster):
        if queue.capacity_type == "spot":
            continue
        for name, value in (
            ("spotMaxPrice", queue.spot_max_price),
            ("spotAllocationStrategy", queue.spot_allocation_strategy),
        ):
            if value is not None:
                rule = "only for capacityType spot"
                yield FieldError(f"{at}.{name}", short(value), rule, "remove it, or set capacityType: spot")


def queue_has_one_architecture(cluster: Cluster) -> Iterator[FieldError]:
    """One queue has one machine image, so one architecture."""
    for at, queue in queues(cluster):
        found = architectures(queue.instance_types)
        if len(found) > 1:
            shown = " but ".join(f"{name} is {kind}" for kind, name in sorted(found.items()))
            fix = "give each architecture a queue of its own"
            yield FieldError(f"{at}.instanceTypes", shown, "all must have one architecture", fix)


def shared_image_has_one_architecture(cluster: Cluster) -> Iterator[FieldError]:
    """All nodes that boot `image.ami` have its architecture, whichever that is."""
    if cluster.spec.image.ami is None:
        return
    sharing = [name for at, name in types(cluster) if not own_image(cluster, at)]
    found = architectures(sharing)
    if len(found) > 1:
        shown = " but ".join(f"{name} is {kind}" for kind, name in sorted(found.items()))
        rule = "one image has one architecture, and these nodes share it"
        yield FieldError("spec.image.ami", shown, rule, "give the nodes of the other architecture an ami of their own")


def own_image(cluster: Cluster, at: str) -> bool:
    """Whether the node at (or above) this path names its own machine image."""
    return any(at.startswith(f"{path}.") and node.ami is not None for path, node in nodes(cluster))


def placement_group_lies_in_one_subnet(cluster: Cluster) -> Iterator[FieldError]:
    """A cluster placement group lies in one zone (EC2 user guide, placement strategies)."""
    for at, queue in queues(cluster):
        if queue.placement_group is not None:
            rule = "a cluster placement group lies in one Availability Zone, so it takes exactly one subnet"
            yield from one_subnet(cluster, at, queue, rule)


def efa_lies_in_one_subnet(cluster: Cluster) -> Iterator[FieldError]:
    """EFA traffic does not leave its subnet's zone (EC2 user guide, EFA limitations)."""
    for at, queue in queues(cluster):
        if queue.efa:
            rule = "EFA traffic stays in one Availability Zone, so efa takes exactly one subnet"
            yield from one_subnet(cluster, at, queue, rule)


def one_subnet(cluster: Cluster, at: str, queue: Queue, rule: str) -> Iterator[FieldError]:
    """The rule, when the queue has several subnets."""
    subnets = queue.subnet_ids or cluster.spec.network.subnet_ids
    if len(subnets) > 1:
        own = "" if queue.subnet_ids else " of network.subnetIds"
        shown = f"{len(subnets)} subnets{own}"
        yield FieldError(f"{at}.subnetIds", shown, rule, "give the queue exactly one subnet in subnetIds")


def placement_group_takes_no_shared_cpu(cluster: Cluster) -> Iterator[FieldError]:
    """Burstable and flex types cannot be in a cluster placement group (EC2 user guide, placement strategies)."""
    for at, queue in queues(cluster):
        for field, name in queue_types(at, queue) if queue.placement_group == "dynamic" else ():
            if BURSTABLE_OR_FLEX.match(name):
                rule = "burstable and flex types cannot be in a cluster placement group"
                yield FieldError(field, name, rule, "choose another type, or remove placementGroup")


def hyperthreading_is_x86(cluster: Cluster) -> Iterator[FieldError]:
    """Graviton cores have one thread: there is nothing to switch off."""
    for at, queue in queues(cluster):
        if queue.disable_hyperthreading and "arm64" in architectures(queue.instance_types):
            rule = "only for x86_64 instance types"
            yield FieldError(f"{at}.disableHyperthreading", "true", rule, "remove it: arm64 cores have one thread")


def no_mac(cluster: Cluster) -> Iterator[FieldError]:
    """Mac instances run macOS, on dedicated hosts (EC2 user guide, Mac instances)."""
    for field, name in types(cluster):
        if name.startswith("mac"):
            yield FieldError(field, name, "mac instances run no Linux", "choose another instance type")


def root_volumes_fit_their_type(cluster: Cluster) -> Iterator[FieldError]:
    """Sizes and speeds of root volumes are what their type takes."""
    for at, node in nodes(cluster):
        yield from volume_problems(node.root_volume, node.root_volume.size, f"{at}.rootVolume")


RULES = (
    queue_names_differ,
    size_or_bounds,
    least_is_below_most,
    spot_fields_need_spot,
    queue_has_one_architecture,
    shared_image_has_one_architecture,
    placement_group_lies_in_one_subnet,
    placement_group_takes_no_shared_cpu,
    efa_lies_in_one_subnet,
    hyperthreading_is_x86,
    no_mac,
    root_volumes_fit_their_type,
)
