"""`muster diff`: the plan before it happens, and nothing written."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from reconciler.clients import Clients
from reconciler.cluster import to_item
from reconciler.facts import HASH_TAG
from reconciler.loop import Considered, Tools, consider, noticed
from reconciler.record import Record
from reconciler.settings import Settings
from reconciler.version import VERSION
from tests.unit import factories
from tests.unit.cli.conftest import OUTPUTS, STATE, World, client

# What a call that changes nothing is called.
READS = ("Describe", "Get", "BatchGet", "List", "Query", "Scan")


clients = functools.cache(Clients)


class Site:
    """A cluster in moto: its VPC, and what of it stands. moto cannot make the rendered stack, so a small one stands
    for it, with the tags that the rendering would give it.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.vpc = client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
        self.subnet = client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
        self.ami = client("ec2").register_image(Name="muster")["ImageId"]

    def document(self, **spec: Any) -> dict[str, Any]:
        network = {"vpcId": self.vpc, "subnetIds": [self.subnet]}
        return factories.document(**{"network": network, "image": {"ami": self.ami}, **spec})

    def considered(self, record: Record | None = None) -> Considered:
        """What the operator itself would make of the spec as it stands in the table."""
        settings = Settings(
            owner="muster",
            region="us-east-1",
            account="123456789012",
            state_table=STATE,
            state_table_arn=f"arn:aws:dynamodb:us-east-1:123456789012:table/{STATE}",
            artifacts_bucket=OUTPUTS["ArtifactsBucket"],
            cleanup_function_arn=OUTPUTS["CleanupFunctionArn"],
        )
        tools = Tools(clients(), settings, self.world.store, now=lambda: 1000.0, seconds_left=lambda: 60.0)
        item = self.world.item()
        return consider(tools, noticed(record or Record("demo", uuid.uuid4().hex), item), item, 1000.0)

    def stands(self, template: dict[str, Any] | None = None, **spec: Any) -> None:
        """The cluster of this spec is there as its operator would have made it."""
        self.world.put_item(to_item(self.document(**spec)))
        first = self.considered()
        self.make_stack(first.desired.rendered.tags if first.desired.rendered else {}, template)
        self.make_head_node()
        self.make_group()
        record = first.plan.record
        for _ in range(2):
            record = self.considered(record).plan.record
        self.world.remember(record)

    def make_stack(self, tags: dict[str, str], template: dict[str, Any] | None = None) -> None:
        body = {"Resources": template or {"Topic": {"Type": "AWS::SNS::Topic"}}}
        client("cloudformation").create_stack(
            StackName="muster-demo",
            TemplateBody=json.dumps(body),
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )

    def make_head_node(self) -> None:
        tags = {"muster:cluster": "demo", "muster:owner": "muster", "muster:node": "head"}
        client("ec2").run_instances(
            ImageId=self.ami,
            MinCount=1,
            MaxCount=1,
            SubnetId=self.subnet,
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
            ],
        )

    def make_group(self, size: int = 2) -> None:
        tags = {"muster:cluster": "demo", "muster:owner": "muster", "muster:queue": "compute"}
        client("autoscaling").create_launch_configuration(
            LaunchConfigurationName="lc", ImageId=self.ami, InstanceType="t3.small"
        )
        client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName="muster-demo.compute",
            LaunchConfigurationName="lc",
            MinSize=size,
            MaxSize=size,
            DesiredCapacity=size,
            VPCZoneIdentifier=self.subnet,
            Tags=[{"Key": key, "Value": value, "PropagateAtLaunch": False} for key, value in tags.items()],
        )


@pytest.fixture
def site(world: World) -> Site:
    return Site(world)


@pytest.fixture(autouse=True)
def reads_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every call that `muster diff` makes, by name; none of them may write."""
    called: list[str] = []
    setup = boto3.setup_default_session

    def watched(**options: Any) -> None:
        setup(**options)
        session: Any = boto3.DEFAULT_SESSION
        session.events.register("before-call", lambda model, **_: called.append(model.name))

    monkeypatch.setattr(boto3, "setup_default_session", watched)
    yield called
    assert all(name.startswith(READS) for name in called)


def test_a_new_cluster_is_shown_whole(site: Site, spec_file: Callable[..., str], reads_only: list[str]) -> None:
    path = spec_file(site.document())
    out = site.world.run("diff", "-f", path, code=1).stdout
    assert f"+++ cluster/demo ({path})" in out
    assert "+  headNode:" in out
    assert "Plan for cluster/demo:\n  CreateStack stack muster-demo: " in out
    assert "StackReady: False (Creating)" in out
    assert "+ HeadNode (AWS::EC2::Instance)" in out
    assert site.world.item() is None
    assert "DescribeSubnets" in reads_only


def test_a_cluster_as_specified_has_no_differences(site: Site, spec_file: Callable[..., str]) -> None:
    site.stands()
    result = site.world.run("diff", "-f", spec_file(site.document()))
    assert (result.stdout, result.stderr) == ("", "")


def test_an_edit_shows_the_fields_the_plan_and_the_resources(site: Site, spec_file: Callable[..., str]) -> None:
    group = {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 14}}
    site.stands({"LogGroup": group, "Old": {"Type": "AWS::SNS::Topic"}})
    out = site.world.run("diff", "-f", spec_file(site.document(logs={"retentionDays": 30})), code=1).stdout
    assert "+  logs:\n+    retentionDays: 30\n" in out
    assert "Plan for cluster/demo:\n  CreateChangeSet change set" in out
    assert "StackReady: True -> False (Updating)" in out
    assert "SpecAccepted: True (Accepted): Generation 2 is accepted." in out
    changed = next(line for line in out.splitlines() if "~ LogGroup" in line)
    assert "~ LogGroup (AWS::Logs::LogGroup): " in changed
    assert "Properties.RetentionInDays" in changed
    assert "  - Old (AWS::SNS::Topic)" in out
    assert "  + HeadNode (AWS::EC2::Instance)" in out


def test_an_edit_of_sizes_needs_no_new_template(site: Site, spec_file: Callable[..., str]) -> None:
    site.stands()
    out = site.world.run("diff", "-f", spec_file(site.document(queues=[factories.queue_spec(size=3)])), code=1).stdout
    assert "Plan for cluster/demo:\n  ResizeGroup Auto Scaling group muster-demo.compute: " in out
    assert "Template:" not in out


def test_a_shrinking_queue_is_shown_to_be_held_for_consent(site: Site, spec_file: Callable[..., str]) -> None:
    site.stands()
    smaller = [factories.queue_spec(size=1)]
    out = site.world.run("diff", "-f", spec_file(site.document(queues=smaller)), code=1).stdout
    assert "FleetReady: True -> False (ConsentRequired)" in out
    assert "'queues/compute' to spec.consent" in out
    out = site.world.run("diff", "-f", spec_file(site.document(queues=smaller, consent=["queues/compute"])), code=1)
    assert "ConsentRequired" not in out.stdout
    assert "ResizeGroup" in out.stdout


def test_what_an_update_may_replace_is_named_with_the_consent_it_takes(
    site: Site, spec_file: Callable[..., str]
) -> None:
    head = {"Type": "AWS::EC2::Instance", "Properties": {"ImageId": site.ami, "InstanceType": "t3.small"}}
    site.stands({"HeadNode": head})
    larger = site.document(headNode={"instanceType": "t3.large"})
    out = site.world.run("diff", "-f", spec_file(larger), code=1).stdout
    assert "Consent:\n  needed if CloudFormation's change set says so: HeadNode (AWS::EC2::Instance)" in out
    assert "'headNode' to spec.consent" in out
    agreed = {**larger, "spec": {**larger["spec"], "consent": ["headNode"]}}
    assert "Consent:" not in site.world.run("diff", "-f", spec_file(agreed), code=1).stdout


def test_a_group_that_was_resized_by_hand_is_shown_to_be_put_back(site: Site, spec_file: Callable[..., str]) -> None:
    site.stands()
    client("autoscaling").update_auto_scaling_group(AutoScalingGroupName="muster-demo.compute", MaxSize=9)
    out = site.world.run("diff", "-f", spec_file(site.document()), code=1).stdout
    assert "Plan for cluster/demo:\n  ResizeGroup Auto Scaling group muster-demo.compute: " in out
    assert "+++" not in out


def test_a_paused_cluster_shows_what_is_withheld(site: Site, spec_file: Callable[..., str]) -> None:
    site.stands(paused=True)
    client("autoscaling").update_auto_scaling_group(AutoScalingGroupName="muster-demo.compute", MaxSize=9)
    out = site.world.run("diff", "-f", spec_file(site.document(paused=True)), code=1).stdout
    assert "Withheld:\n  ResizeGroup Auto Scaling group muster-demo.compute" in out
    assert "Plan for" not in out


def test_a_stack_of_another_is_told_and_not_compared(site: Site, spec_file: Callable[..., str]) -> None:
    site.stands()
    client("cloudformation").delete_stack(StackName="muster-demo")
    site.make_stack({"muster:owner": "somebody"})
    out = site.world.run("diff", "-f", spec_file(site.document(logs={"retentionDays": 30})), code=1).stdout
    assert "(StackNotOwned)" in out
    assert "Template:" not in out


def test_another_rendering_is_no_difference_until_an_upgrade_is_asked_for(
    site: Site, spec_file: Callable[..., str]
) -> None:
    site.stands()
    item, record = site.world.store.load("demo")
    assert item is not None
    assert record is not None
    assert record.rendering is not None
    older = {**{tag["Key"]: tag["Value"] for tag in _tags()}, HASH_TAG: "older"}
    client("cloudformation").delete_stack(StackName="muster-demo")
    site.make_stack(older)
    rendering = factories.Rendering("older", "0.0.9", record.rendering.spec_hash)
    site.world.remember(record.remember(rendering=rendering))
    path = spec_file(site.document())
    assert "RenderingCurrent: False (OlderVersion)" in site.world.run("diff", "-f", path).stdout
    out = site.world.run("diff", "--upgrade", "-f", path, code=1).stdout
    assert f"+    muster/upgrade: {VERSION}" in out
    assert "CreateChangeSet" in out
    assert "  + HeadNode (AWS::EC2::Instance)" in out


def _tags() -> Any:
    return client("cloudformation").describe_stacks(StackName="muster-demo")["Stacks"][0]["Tags"]


def test_a_wrong_document_is_an_error_and_no_difference(site: Site, spec_file: Callable[..., str]) -> None:
    path = spec_file(site.document(colour="red"))
    result = site.world.run("diff", "-f", path, code=2)
    assert result.stderr.startswith(f"error: {path}: spec.colour: ")


def test_references_that_do_not_hold_are_errors(site: Site, spec_file: Callable[..., str]) -> None:
    path = spec_file(site.document(network={"vpcId": factories.VPC, "subnetIds": [site.subnet]}))
    result = site.world.run("diff", "-f", path, code=2)
    assert f"error: {path}: spec.network.vpcId: {factories.VPC}: the VPC does not exist" in result.stderr


def test_differences_of_any_document_count(site: Site, spec_file: Callable[..., str]) -> None:
    site.stands()
    other = {**site.document(), "metadata": {"name": "other"}}
    out = site.world.run("diff", "-f", spec_file(other, site.document()), code=1).stdout
    assert "Plan for cluster/other" in out
    assert "Plan for cluster/demo" not in out


def test_a_control_plane_of_another_version_is_told(account: World, spec_file: Callable[..., str]) -> None:
    account.deploy(Version="9.8.7")
    result = account.run("diff", "-f", spec_file(Site(account).document()), code=1)
    assert f"planned by {VERSION}; the control plane is 9.8.7" in result.stderr


def test_errors_of_aws_exit_with_more_than_one(account: World, spec_file: Callable[..., str]) -> None:
    assert "no stack muster" in account.run("diff", "-f", spec_file(factories.document()), code=2).stderr
