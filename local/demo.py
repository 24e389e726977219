"""`make demo`: the product at work on a local AWS, from `sam deploy` to a clean end.

Everything goes over HTTP to an emulated AWS with IAM evaluated: the control plane is deployed by the real sam, its
functions run in processes of their own, and what a user would type is typed here as commands.
"""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from local import demo_batch, demo_slurm
from local.aws import LocalAws, local_aws
from local.deploy import ControlPlane, build, deploy
from local.fixtures import Network, network
from reconciler.store import Store, decode, encode

NAME = "demo"
PATIENCE = 90.0
POLL = 0.2
console = Console(highlight=False, soft_wrap=True)
BIN = Path(sys.executable).parent


class DemoError(Exception):
    """Something that was to be shown did not happen."""


class Demo:
    """One run of the demo, and how long each part of it took (seconds)."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.plane = ControlPlane("", {})
        self.name = NAME
        self.took: list[tuple[str, float]] = []

    @contextmanager
    def part(self, title: str) -> Iterator[None]:
        """A part of the demo: named, and timed."""
        console.print(f"\n[bold cyan]━━ {title}[/]")
        started = time.monotonic()
        yield
        self.took.append((title, time.monotonic() - started))

    def run(self, *command: str, quiet: bool = False) -> str:
        """Type a command as a user would, against the local AWS."""
        shown = shlex.join(command)
        console.print(f"[bold]$ {shown if len(shown) < 300 else shown[:297] + '...'}[/]", markup=True)
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]], env=self.aws.environ(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise DemoError(f"{shown}\n{done.stdout}{done.stderr}")
        if done.stdout.strip() and not quiet:
            console.print(done.stdout.rstrip(), markup=False)
        return done.stdout

    def item(self) -> dict[str, Any] | None:
        """The cluster's state record as the operator wrote it."""
        key = encode({"cluster": self.name, "row": "STATE"})
        table = self.plane.outputs["StateTable"]
        found = self.aws.client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
        return decode(found) if found else None

    def events(self) -> list[dict[str, Any]]:
        """The cluster's events."""
        return Store(self.aws.client("dynamodb"), "", self.plane.outputs["StateTable"]).events(self.name)

    def still(self, started: float, what: str) -> None:
        """Wait a moment more for something, but not for ever."""
        if time.monotonic() - started > PATIENCE:
            raise DemoError(f"{what} after {PATIENCE:.0f} s")
        time.sleep(POLL)

    def watch(self, until: Callable[[dict[str, Any] | None], bool], what: str) -> None:
        """Show each change of the status as it comes, until it is as wanted."""
        started, shown = time.monotonic(), ""
        while True:
            item = self.item()
            line = _line(item)
            if line != shown:
                console.print(f"  [dim]{time.monotonic() - started:5.1f} s[/]  {line}", markup=True)
                shown = line
            if until(item):
                return
            self.still(started, f"{what} did not happen; last seen: {line}")

    @staticmethod
    def ready(generation: int) -> Callable[[dict[str, Any] | None], bool]:
        """Ready, and for this generation of the spec."""

        def seen(item: dict[str, Any] | None) -> bool:
            condition = _condition(item, "Ready")
            return condition.get("status") == "True" and condition.get("observedGeneration") == generation

        return seen

    def none(self, what: str, left: list[str]) -> None:
        """Say that nothing of a kind is left. Raises DemoError if something is."""
        console.print(f"  left: {len(left)} {what}")
        if left:
            raise DemoError(f"something is left: {left}")

    def nothing_left(self) -> None:
        """By query: what still bears the cluster's tags. EC2 shows terminated instances for a while."""
        tag = [{"Name": "tag:muster:cluster", "Values": [self.name]}]
        ec2, autoscaling = self.aws.client("ec2"), self.aws.client("autoscaling")
        reservations = ec2.describe_instances(Filters=tag)["Reservations"]
        alive = [i for r in reservations for i in r["Instances"] if i["State"]["Name"] != "terminated"]
        tagged = self.aws.client("resourcegroupstaggingapi").get_resources(
            TagFilters=[{"Key": "muster:cluster", "Values": [self.name]}]
        )["ResourceTagMappingList"]
        gone = {i["InstanceId"] for r in reservations for i in r["Instances"] if i["State"]["Name"] == "terminated"}
        tagged = [found["ResourceARN"] for found in tagged if found["ResourceARN"].rpartition("/")[2] not in gone]
        prefix = f"clusters/{self.name}/"
        bucket = self.plane.outputs["ArtifactsBucket"]
        versions = self.aws.client("s3").list_object_versions(Bucket=bucket, Prefix=prefix)
        left = {
            "instances": len(alive),
            "volumes": len(ec2.describe_volumes(Filters=tag)["Volumes"]),
            "security groups": len(ec2.describe_security_groups(Filters=tag)["SecurityGroups"]),
            "launch templates": len(ec2.describe_launch_templates(Filters=tag)["LaunchTemplates"]),
            "Auto Scaling groups": len(autoscaling.describe_auto_scaling_groups(Filters=tag)["AutoScalingGroups"]),
            "anything else tagged": len(tagged),
            "objects and versions": len(versions.get("Versions", [])) + len(versions.get("DeleteMarkers", [])),
        }
        console.print("  left: " + ", ".join(f"{count} {what}" for what, count in left.items()))
        if any(left.values()):
            raise DemoError(f"something is left: {left} {tagged}")

    def put(self, spec: dict[str, Any]) -> None:
        """Write the spec as a user of nothing but the AWS CLI does."""
        item = json.dumps(encode({"name": self.name, "spec": spec}), separators=(",", ":"))
        self.run("aws", "dynamodb", "put-item", "--table-name", self.plane.outputs["SpecsTable"], "--item", item)


def _line(item: dict[str, Any] | None) -> str:
    if item is None:
        return "[dim]no state record[/]"
    status = item.get("status")
    if not status:
        return "[dim]taken up[/]"
    stack = status.get("stack", {}).get("status", "no stack")
    queues = ", ".join(_queue(each) for each in status.get("queues", ()))
    ready = _condition(item, "Ready")
    return (
        f"[bold]{status.get('phase')}[/] (generation {status.get('observedGeneration')})  {stack}  {queues}  "
        f"[dim]{ready.get('message', '')}[/]"
    )


def _queue(shown: dict[str, Any]) -> str:
    """A queue of nodes with how many there are, one of AWS Batch with its state."""
    return f"{shown['name']} " + (shown["state"] if "state" in shown else f"{shown['inService']}/{shown['desired']}")


def _condition(item: dict[str, Any] | None, kind: str) -> dict[str, Any]:
    conditions = (item or {}).get("status", {}).get("conditions", ())
    return next((condition for condition in conditions if condition["type"] == kind), {})


def show(demo: Demo) -> None:
    """All parts, in order."""
    with demo.part("sam build"):
        build()
    with demo.part("sam deploy: tables, queues, rules, functions and roles of the control plane"):
        demo.plane = deploy(demo.aws)
        console.print(f"  deployed: {', '.join(sorted(demo.plane.outputs))}")
    net = network(demo.aws)
    _show_nodes(demo, net)
    demo.name = demo_batch.NAME
    demo_batch.show_batch(demo, net)
    demo.name = demo_slurm.NAME
    demo_slurm.show_slurm(demo, net, console)


def _show_nodes(demo: Demo, net: Network) -> None:
    """A cluster of nodes, from its first item to its clean end."""
    spec = _spec(net)
    with demo.part("A spec is written to DynamoDB and becomes a cluster"):
        demo.put(spec)
        demo.watch(demo.ready(1), "the cluster's readiness")
        demo.run("muster", "get", "-o", "wide")
    with demo.part("A group is resized by hand and put back"):
        _resize_by_hand(demo)
    with demo.part("The spec is edited: one node more, another tag"):
        edited = {**spec, "queues": [{**spec["queues"][0], "size": 3}], "tags": {"project": "demo"}}
        demo.put(edited)
        demo.watch(demo.ready(2), "the update")
    with demo.part("A wrong spec is refused, and the cluster stays"):
        demo.put({**edited, "queues": [{**edited["queues"][0], "size": -4, "colour": "blue"}]})
        demo.watch(lambda item: _condition(item, "SpecAccepted").get("status") == "False", "the refusal")
        console.print(f"  {_condition(demo.item(), 'SpecAccepted')['message']}", markup=False)
        demo.put(edited)
        demo.watch(demo.ready(4), "the return to the accepted spec")
    with demo.part("What the operator did, in its own words"):
        demo.run("muster", "events", NAME)
    with demo.part("The spec is deleted, and nothing is left"):
        key = json.dumps({"name": {"S": NAME}})
        demo.run("aws", "dynamodb", "delete-item", "--table-name", demo.plane.outputs["SpecsTable"], "--key", key)
        demo.watch(lambda item: item is None, "the deletion")
        demo.nothing_left()


def _spec(net: Network) -> dict[str, Any]:
    return {
        "headNode": {"instanceType": "t3.medium"},
        "queues": [{"name": "compute", "instanceTypes": ["c6i.large", "c5.large"], "size": 2}],
        "network": {"vpcId": net.vpc_id, "subnetIds": list(net.subnet_ids)},
        "sharedStorage": [{"name": "home", "mountDir": "/shared", "deletionPolicy": "Delete", "ebs": {"size": 50}}],
    }


def _resize_by_hand(demo: Demo) -> None:
    group = f"muster-{NAME}.compute"
    sizes = ("--min-size", "0", "--max-size", "5", "--desired-capacity", "1")
    demo.run("aws", "autoscaling", "update-auto-scaling-group", "--auto-scaling-group-name", group, *sizes)
    started = time.monotonic()
    while not (resized := [event for event in demo.events() if event["reason"] == "GroupResized"]):
        demo.still(started, f"{group} is not put back")
    console.print(f"  {resized[0]['message']}", markup=False)
    autoscaling = demo.aws.client("autoscaling")
    while True:
        found = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"][0]
        in_service = sum(1 for member in found["Instances"] if member["LifecycleState"] == "InService")
        if found["DesiredCapacity"] == in_service == 2:
            console.print(f"  2 nodes in service again after {time.monotonic() - started:.1f} s")
            return
        demo.still(started, f"{group}: {in_service} of {found['DesiredCapacity']} in service")


def main() -> int:
    """Run the demo; 0 when all of it was seen."""
    started = time.monotonic()
    with local_aws() as aws:
        demo = Demo(aws)
        title = "AWS on this machine: MiniStack with Muster's additions, IAM evaluated"
        demo.took.append((title, time.monotonic() - started))
        console.print(f"[bold cyan]━━ {title}[/]\n  {aws.endpoint}")
        try:
            show(demo)
        except DemoError as error:
            console.print(f"\n[bold red]The demo failed:[/] {error}", markup=True)
            console.print(aws.log.read_text()[-6000:], markup=False)
            return 1
    table = Table("shown", "seconds", title="What was shown, and how long it took")
    for title, seconds in demo.took:
        table.add_row(title, f"{seconds:.1f}")
    table.add_section()
    table.add_row("in all", f"{time.monotonic() - started:.1f}")
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
