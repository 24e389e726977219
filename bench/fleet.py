"""A fleet that is as it should be, put into an account as it is: what a sweep sees, without the passes that made it."""

from bench.account import Account, Item
from bench.planning import spec
from reconciler.facts import CLUSTER_TAG, HASH_TAG, NODE_TAG, OWNER_TAG, QUEUE_TAG, Actual, digest
from reconciler.observe import group_of, instance_of, stack_of
from reconciler.store import content_hash, encode

NODES = 2


def fleet(clusters: int, *, bare: int = 0) -> Account:
    """So many clusters, each of a head node and one queue of two nodes; of the first `bare` there is the spec alone."""
    account = Account()
    for number in range(clusters):
        name = f"cluster-{number:05}"
        account.specs[name] = encode({"name": name, "spec": spec(1)})
        if number >= bare:
            account.stacks[name] = _stack(name)
            account.groups[name] = [_group(name)]
            instances = (_instance(name, node) for node in range(NODES + 1))
            account.instances[name] = {each["InstanceId"]: each for each in instances}
            account.records[name] = _record(account, name)
    return account


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


def _record(account: Account, name: str) -> Item:
    """The record as the index of the sweep holds it."""
    groups = tuple(map(group_of, account.groups[name]))
    instances = tuple(map(instance_of, account.instances[name].values()))
    seen = digest(Actual(stack_of(account.stacks[name]), groups=groups, instances=instances))
    told = {"kind": "cluster", "phase": "Ready", "generation": 1, "digest": seen}
    return encode({"cluster": name, "row": "STATE", "specHash": content_hash(account.specs[name]), **told})
