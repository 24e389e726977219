"""The pure plan, without anything around it."""

import time
from collections.abc import Iterator
from typing import Any

from bench.figure import Figure
from reconciler.cluster import Cluster, parse
from reconciler.facts import CLUSTER_TAG, HASH_TAG, OWNER_TAG, Actual, Group, Instance, Member, Stack
from reconciler.pins import Pins
from reconciler.plan import Desired, plan
from reconciler.record import Accepted, Record
from reconciler.render import Site, render

QUEUES, NODES, PLANS = 10, 20, 500
SUBNET = "subnet-00000001"
SITE = Site("muster", "us-east-1", "aws", "123456789012", "bucket", "arn:aws:lambda:::function:x", "state", "arn:state")


def spec(queues: int) -> dict[str, Any]:
    """A cluster's spec with so many fixed queues."""
    return {
        "headNode": {"instanceType": "c6i.large"},
        "queues": [{"name": f"q{i}", "instanceTypes": ["c6i.large"], "size": NODES} for i in range(queues)],
        "network": {"vpcId": "vpc-00000001", "subnetIds": [SUBNET]},
    }


def measure() -> Iterator[Figure]:
    """Plans a second, and renderings a second, of a cluster of 10 queues and 200 nodes that is as it should be."""
    cluster = parse({"metadata": {"name": "bench"}, "spec": spec(QUEUES)})
    assert isinstance(cluster, Cluster)
    pins = Pins({"alinux2023/x86_64": "ami-00000001"}, {SUBNET: "us-east-1a"})
    rendered = render(cluster, SITE, pins)
    desired = Desired("bench", "muster", "0", cluster=cluster, rendered=rendered)
    record = Record("bench", "uid", generation=1, accepted=Accepted(1, "", ""))
    actual = _as_it_should_be(rendered.hash)
    started = time.process_time()
    for _ in range(PLANS):
        plan(desired, actual, record, 0.0)
    yield Figure("plan_per_second", round(PLANS / (time.process_time() - started)), "plans of 10 queues and 200 nodes")
    started = time.process_time()
    for _ in range(PLANS // 10):
        render(cluster, SITE, pins)
    yield Figure("render_per_second", round(PLANS / 10 / (time.process_time() - started)), "renderings of 10 queues")


def _as_it_should_be(rendered: str) -> Actual:
    tags = {OWNER_TAG: "muster", CLUSTER_TAG: "bench", HASH_TAG: rendered}
    members = tuple(Member(f"i-{n}", "InService", "Healthy", "1") for n in range(NODES))
    groups = tuple(Group(f"muster-bench.q{i}", f"q{i}", NODES, NODES, NODES, (), "1", members) for i in range(QUEUES))
    head = Instance("i-head", "running", "head")
    return Actual(Stack("id", "muster-bench", "CREATE_COMPLETE", tags=tags), groups=groups, instances=(head,))
