import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cluster import Invalid, parse
from reconciler.render import MissingPinError, Pins, logical_id, render, required_images, required_zones
from reconciler.version import VERSION
from tests.unit.render.support import (
    AMI,
    EBS,
    EFS,
    LUSTRE,
    MATRIX,
    NETWORK,
    QUEUE,
    RAID,
    SCRIPTS,
    SITE,
    cluster,
    document,
    of_type,
    outputs,
    pins,
    rendered,
    resources,
    storage,
    subnet,
)


def shuffled(value: Any, draw: st.DrawFn) -> Any:
    """The same document with the entries of every map in another order."""
    if isinstance(value, dict):
        keys = draw(st.permutations(list(value)))
        return {key: shuffled(value[key], draw) for key in keys}
    return [shuffled(entry, draw) for entry in value] if isinstance(value, list) else value


@st.composite
def same_twice(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    one = document(**MATRIX[draw(st.sampled_from(sorted(MATRIX)))])
    one["spec"]["tags"] = draw(
        st.dictionaries(st.text("abcABC", min_size=1, max_size=3), st.text("xyz", min_size=1, max_size=3), max_size=5)
    )
    return one, shuffled(one, draw)


@given(same_twice())
def test_the_same_spec_gives_the_same_bytes_in_whatever_order_it_is_written(pair: Any):
    one, other = (parse(entry) for entry in pair)
    assert not isinstance(one, Invalid)
    assert not isinstance(other, Invalid)
    first = rendered(one)
    assert first == rendered(one)
    assert first == rendered(other)


@pytest.mark.parametrize("pinned", ["images", "zones"])
def test_pins_may_come_in_any_order(pinned: str):
    of = cluster(queues=[QUEUE, {**QUEUE, "name": "arm", "instanceTypes": ["c7g.large"]}])
    there = pins(of)
    turned = Pins(images=dict(reversed(list(there.images.items()))), zones=dict(reversed(list(there.zones.items()))))
    assert render(of, SITE, there) == render(of, SITE, turned)


def test_the_body_is_canonical_json_and_the_hash_is_its_own():
    of = rendered(cluster(bootstrap=SCRIPTS))
    assert of.body == json.dumps(json.loads(of.body), sort_keys=True, separators=(",", ":"))
    assert of.body.isascii()
    assert of.hash == hashlib.sha256(of.body.encode()).hexdigest()


def test_a_change_changes_the_hash():
    assert rendered(cluster()).hash != rendered(cluster(logs={"retentionDays": 90})).hash


def test_sizes_are_not_in_the_template():
    sizes = [{}, {"size": 3}, {"minSize": 2, "maxSize": 9}]
    assert len({rendered(cluster(queues=[{**QUEUE, **size}])).hash for size in sizes}) == 1


@pytest.mark.parametrize(
    "spec",
    [
        {"paused": True},
        {"deletionProtection": True},
        {"deletionPolicy": "Retain"},
        {"consent": ["headNode"]},
    ],
)
def test_what_is_for_the_operator_alone_is_not_in_the_template(spec: dict[str, Any]):
    assert rendered(cluster(**spec)).hash == rendered(cluster()).hash


def test_the_stack_is_tagged_with_owner_cluster_hash_version_and_the_users_tags():
    of = rendered(cluster(tags={"team": "weather"}))
    assert of.tags == {
        "team": "weather",
        "muster:cluster": "demo",
        "muster:owner": "muster",
        "muster:hash": of.hash,
        "muster:version": VERSION,
    }


def test_names_say_what_needs_consent():
    of = rendered(cluster(sharedStorage=EBS[:1] + RAID[:1] + EFS[:1] + LUSTRE[:1]))
    assert {logical.partition("Of")[0]: name for logical, name in of.names.items()} == {
        "HeadNode": "headNode",
        "GroupCompute": "queues/compute",
        "VolumeEmpty": "sharedStorage/empty",
        "VolumeStripeDisk0": "sharedStorage/stripe",
        "VolumeStripeDisk1": "sharedStorage/stripe",
        "VolumeStripeDisk2": "sharedStorage/stripe",
        "FileSystemEfs": "sharedStorage/efs",
        "FileSystemScratch2": "sharedStorage/scratch2",
    }


@pytest.mark.parametrize("option", sorted(MATRIX))
def test_whatever_holds_data_has_a_name_and_a_policy(option: str):
    """A resource type that is new here and can hold data has to be put in this list."""
    of = rendered(cluster(**MATRIX[option]))
    made = json.loads(of.body)["Resources"]
    holders = {"AWS::EC2::Volume", "AWS::EFS::FileSystem", "AWS::FSx::FileSystem"}
    for logical, resource in made.items():
        if resource["Type"] in holders:
            assert of.names[logical].startswith("sharedStorage/")
            policy = of.retained.get(logical, "Delete")
            assert resource["UpdateReplacePolicy"] == policy
            # A creation that fails rolls back what holds no data yet.
            assert resource["DeletionPolicy"] == ("RetainExceptOnCreate" if policy == "Retain" else policy)
    assert set(of.names) <= set(made)
    assert set(of.retained) <= set(made)


def test_logical_ids_tell_all_names_apart():
    names = ["a", "a1", "a-1", "a1-2", "a12", "a-dash", "adash", "a--b", "a-b", "ab"]
    assert len({logical_id(name) for name in names}) == len(names)
    assert all(logical_id(name).isalnum() for name in names)


@given(st.lists(st.from_regex(r"\A[a-z](?:[a-z0-9-]{0,5}[a-z0-9])?\Z"), min_size=2, max_size=8, unique=True))
def test_no_two_storages_share_a_resource(names: list[str]):
    kinds: list[dict[str, Any]] = [{"raid": {"level": 0}}, {"ebs": {}}, {"efs": {}}]
    entries = [storage(name, at + 1, **kinds[min(at, 2)]) for at, name in enumerate(names)]
    made = resources(sharedStorage=entries)
    assert len(of_type("AWS::EC2::Volume", made)) == 3
    assert len(of_type("AWS::EFS::FileSystem", made)) == len(names) - 2
    # One zone each for subnets 1 and 3, and for subnet 2.
    assert len(of_type("AWS::EFS::MountTarget", made)) == 2 * (len(names) - 2)


def test_only_images_that_are_used_are_required():
    arm = {**QUEUE, "name": "arm", "instanceTypes": ["c7g.large"]}
    assert required_images(cluster(queues=[QUEUE, arm])) == {"alinux2023/x86_64", "alinux2023/arm64"}
    assert required_images(cluster(queues=[{**arm, "ami": AMI}])) == {"alinux2023/x86_64"}
    assert required_images(cluster(image={"ami": AMI})) == set()


def test_the_zones_of_all_subnets_with_nodes_are_required():
    queues = [{**QUEUE, "subnetIds": [subnet(3)]}]
    assert required_zones(cluster(queues=queues)) == {subnet(1), subnet(3)}
    head = {"instanceType": "t3.medium", "subnetId": subnet(2)}
    assert required_zones(cluster(queues=queues, headNode=head)) == {subnet(2), subnet(3)}


def test_a_missing_image_is_named():
    of = cluster()
    with pytest.raises(MissingPinError, match="alinux2023/x86_64"):
        render(of, SITE, Pins(zones=pins(of).zones))


def test_a_missing_zone_is_named():
    of = cluster(sharedStorage=EBS[:1])
    with pytest.raises(MissingPinError, match=subnet(1)):
        render(of, SITE, Pins(images=pins(of).images))


def test_the_nearest_image_wins():
    pinned, cluster_wide, own = AMI, "ami-0fedcba9876543210", "ami-0aaaaaaaaaaaaaaaa"
    head = {"instanceType": "t3.medium"}

    def image(**spec: Any) -> str:
        return resources(**spec)["HeadNode"]["Properties"]["ImageId"]

    assert image() == pinned
    assert image(image={"ami": cluster_wide}) == cluster_wide
    assert image(image={"ami": cluster_wide}, headNode={**head, "ami": own}) == own


def test_the_outputs_tell_where_things_are():
    values = {name: entry["Value"] for name, entry in outputs().items()}
    assert values == {
        "HeadNodeInstanceId": {"Ref": "HeadNode"},
        "HeadNodePrivateIp": {"Fn::GetAtt": ["HeadNode", "PrivateIp"]},
        "QueueUrl": {"Ref": "Queue"},
        "TopicArn": {"Ref": "Topic"},
        "LogGroup": {"Ref": "LogGroup"},
        "SecurityGroups": {"Fn::Join": [",", [{"Ref": "HeadSecurityGroup"}, {"Ref": "ComputeSecurityGroup"}]]},
        "LaunchTemplateCompute": {"Ref": "LaunchTemplateCompute"},
        "LaunchTemplateComputeVersion": {"Fn::GetAtt": ["LaunchTemplateCompute", "LatestVersionNumber"]},
    }


@pytest.mark.parametrize(
    "spec",
    [
        {"headNode": {"instanceType": "t3.medium", "elasticIp": True}},
        {"network": {**NETWORK, "publicIps": True}},
    ],
)
def test_an_elastic_ip_is_an_output(spec: dict[str, Any]):
    assert outputs(**spec)["HeadNodePublicIp"] == {"Value": {"Ref": "HeadElasticIp"}}


@pytest.mark.parametrize("kind", ["efs", "lustre", "mixed"])
def test_the_largest_clusters_keep_within_cloudformations_limits(kind: str):
    """1 MB of template, 500 resources, 200 outputs (CloudFormation user guide, quotas)."""
    kinds: dict[str, Any] = {
        "efs": [{"efs": {}}] * 20,
        "lustre": [{"fsxLustre": {"storageCapacity": 1200}}] * 20,
        "mixed": [{"ebs": {}}] * 5 + [{"raid": {"level": 0, "volumes": 3}}] * 2 + [{"efs": {}}] * 13,
    }
    subnets = [subnet(number) for number in range(1, 17)]
    of = rendered(
        cluster(
            "c" * 60,
            queues=[
                {**QUEUE, "name": f"q{number}{'-' * 27}x", "instanceTypes": [f"c{n}.large" for n in range(1, 41)]}
                for number in range(10)
            ],
            network={"vpcId": NETWORK["vpcId"], "subnetIds": subnets, "sshFrom": ["203.0.113.0/24"]},
            sharedStorage=[
                {"name": f"s{number}{'-' * 25}x", "mountDir": f"/{'d' * 60}{number}", **kinds[kind][number]}
                for number in range(20)
            ],
            tags={f"{number}{'k' * 126}": "v" * 256 for number in range(40)},
        )
    )
    template = json.loads(of.body)
    assert len(of.body) < 1_000_000
    assert len(template["Resources"]) <= 500
    assert len(template["Outputs"]) <= 200
