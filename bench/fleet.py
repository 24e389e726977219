"""A fleet in memory, read in pages as AWS gives them: what a sweep sees, without an emulator's own cost.

Page sizes by AWS's documentation: DescribeAutoScalingGroups gives at most 100 groups, DescribeInstances at most 1,000
instances, Scan and Query 1 MB of items. DescribeStacks is documented as 1 MB of answer; its pages are taken to end
at 100 stacks as well, which is less.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, cast

from bench.planning import spec
from reconciler.clients import Clients
from reconciler.facts import CLUSTER_TAG, HASH_TAG, NODE_TAG, OWNER_TAG, QUEUE_TAG, Actual, digest
from reconciler.observe import group_of, instance_of, stack_of
from reconciler.settings import Settings
from reconciler.store import content_hash, encode

MEGABYTE = 2**20
NODES = 2
SETTINGS = Settings(owner="muster", specs_table="specs", state_table="state", background_queue_url="background")
Item = dict[str, Any]


class Fleet:
    """So many clusters as they should be, of a head node and one queue of two nodes. `calls` counts by operation.

    `before` is called with each operation before it is answered.
    """

    def __init__(self, clusters: int) -> None:
        self.calls: Counter[str] = Counter()
        self.before: Callable[[str], None] = lambda _: None
        names = [f"cluster-{n:05}" for n in range(clusters)]
        self.specs: list[Item] = [encode({"name": name, "spec": spec(1)}) for name in names]
        self.stacks = [_stack(name) for name in names]
        self.groups = [_group(name) for name in names]
        self.instances = [_instance(name, node) for name in names for node in range(NODES + 1)]
        self.records = [
            _record(item, stack, group, self.instances[n * (NODES + 1) : (n + 1) * (NODES + 1)])
            for n, (item, stack, group) in enumerate(zip(self.specs, self.stacks, self.groups, strict=True))
        ]
        self.sent: list[str] = []

    @property
    def clients(self) -> Clients:
        """Clients for a sweep over this fleet."""
        made = {service: SimpleNamespace(get_paginator=self._paginator) for service in ("dynamodb", "cloudformation")}
        made |= {service: SimpleNamespace(get_paginator=self._paginator) for service in ("autoscaling", "ec2")}
        made["sqs"] = SimpleNamespace(send_message_batch=self._send)
        return cast("Clients", SimpleNamespace(**made))

    def _paginator(self, operation: str) -> Any:
        return SimpleNamespace(paginate=lambda **asked: self._counted(operation, self._pages(operation, asked)))

    def _pages(self, operation: str, asked: Mapping[str, Any]) -> Iterator[Item]:
        size = asked.get("PaginationConfig", {}).get("PageSize", 0)
        match operation:
            case "scan":
                return ({"Items": page} for page in _pages(self.specs, len(self.specs) + 1))
            case "query":
                return ({"Items": page} for page in _pages(self.records, len(self.records) + 1))
            case "describe_stacks":
                return ({"Stacks": page} for page in _pages(self.stacks, 100))
            case "describe_auto_scaling_groups":
                return ({"AutoScalingGroups": page} for page in _pages(self.groups, min(size or 50, 100), 0))
            case _:
                reservations = ({"Instances": page} for page in _pages(self.instances, min(size or 1000, 1000), 0))
                return ({"Reservations": [each]} for each in reservations)

    def _counted(self, operation: str, pages: Iterable[Item]) -> Iterator[Item]:
        for page in pages:
            self.called(operation)
            yield page

    def called(self, operation: str) -> None:
        """Count a call; `before` may raise."""
        self.calls[operation] += 1
        self.before(operation)

    def _send(self, Entries: list[Item], **_: Any) -> Item:  # noqa: N803 - AWS's name
        self.called("send_message_batch")
        self.sent += [entry["MessageBody"] for entry in Entries]
        return {}


def _pages(items: list[Item], most: int, most_bytes: int = MEGABYTE) -> Iterator[list[Item]]:
    """Pages of so many items, and of so many bytes (0: any). There is always one page."""
    page, filled = list[Item](), 0
    for item in items:
        size = len(json.dumps(item)) if most_bytes else 0
        if page and (len(page) == most or filled + size > most_bytes > 0):
            yield page
            page, filled = [], 0
        page.append(item)
        filled += size
    yield page


def _tags(name: str, **more: str) -> list[dict[str, str]]:
    tags = {OWNER_TAG: "muster", CLUSTER_TAG: name, **more}
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _stack(name: str) -> Item:
    arn = f"arn:aws:cloudformation:us-east-1:123456789012:stack/muster-{name}/5f6cf1d0-0000-11f0-0000-0affd7d1c4b1"
    tags = _tags(name, **{HASH_TAG: "0" * 64})
    return {"StackId": arn, "StackName": f"muster-{name}", "StackStatus": "CREATE_COMPLETE", "Tags": tags}


def _group(name: str) -> Item:
    members = [
        {"InstanceId": f"i-{name}-{n}", "LifecycleState": "InService", "HealthStatus": "Healthy"}
        for n in range(1, NODES + 1)
    ]
    sizes = {"MinSize": NODES, "MaxSize": NODES, "DesiredCapacity": NODES}
    tags = _tags(name, **{QUEUE_TAG: "q0"})
    return {"AutoScalingGroupName": f"muster-{name}.q0", **sizes, "Tags": tags, "Instances": members}


def _instance(name: str, node: int) -> Item:
    tags = _tags(name, **{NODE_TAG: "compute" if node else "head"})
    return {"InstanceId": f"i-{name}-{node}", "State": {"Name": "running"}, "Tags": tags}


def _record(item: Item, stack: Item, group: Item, instances: list[Item]) -> Item:
    """The record as the index of the sweep holds it."""
    actual = Actual(stack_of(stack), groups=(group_of(group),), instances=tuple(map(instance_of, instances)))
    seen = {"kind": "cluster", "phase": "Ready", "generation": 1, "digest": digest(actual)}
    return encode({"cluster": item["name"]["S"], "row": "STATE", "specHash": content_hash(item), **seen})
