"""Whatever is written to the specs table, it is answered where it is wrong, and nothing that runs changes."""

import base64
import functools
import json
import re
import subprocess
from typing import Any

import pytest

from reconciler.store import encode
from tests.e2e.world import Cluster, Json, World, queue

SHELL = "$(touch /tmp/x)`id`';\"\\ & | > < * ? ~ # ! {a,b} %s -n"
ARGUMENTS = [
    SHELL,
    "",
    " ",
    "--",
    "-e",
    "a b",
    "ünïcødé ☃ 漢字",
    "$HOME",
    "'",
    '"',
    "${AWS_SECRET}",
    "\\n",
    "!!",
    "x" * 500,
]

# What is wrong: the specs's changes, where the message has to point, and what it has to say.
WRONG: dict[str, tuple[Json, str, str]] = {
    "an unknown field": ({"sheduler": "slurm"}, "spec.sheduler", "did you mean scheduler?"),
    "an unknown field deep inside": (
        {"queues": [queue(instanceType="c5.large")]},
        "spec.queues[0].instanceType",
        "did you mean instanceTypes?",
    ),
    "a number as text": ({"queues": [queue(size="2")]}, "spec.queues[0].size", "must be a whole number"),
    "text as a number": ({"headNode": {"instanceType": 3}}, "spec.headNode.instanceType", "must be text"),
    "a list that is a map": ({"queues": {"compute": {}}}, "spec.queues", "must be a list"),
    "a negative size": ({"queues": [queue(size=-1)]}, "spec.queues[0].size", "must be at least 0"),
    "two queues of one name": ({"queues": [queue(), queue()]}, "spec.queues[1].name", "compute"),
    "no queue": ({"queues": []}, "spec.queues", "must have at least 1 entries"),
    "what is not supported yet": ({"scratch": {"encrypted": True}}, "spec.scratch.encrypted", "not supported yet"),
    "binary": ({"proxy": b"\x00\x01"}, "spec.proxy", "only text, numbers"),
    "null": ({"proxy": None}, "spec.proxy", "null is no value"),
    "a shell in a name": ({"queues": [queue("a;reboot")]}, "spec.queues[0].name", "lower-case letters"),
    "a shell in a directory": (
        {"sharedStorage": [{"name": "home", "mountDir": "/a$(reboot)", "ebs": {}}]},
        "spec.sharedStorage[0].mountDir",
        "absolute path",
    ),
    "a shell in a proxy": ({"proxy": "http://a$(reboot):1"}, "spec.proxy", "a host, a colon and a port"),
    "a shell in an address": (
        {"bootstrap": {"postInstall": {"url": "https://x.example/`reboot`"}}},
        "spec.bootstrap.postInstall.url",
        "https:// or s3:// address",
    ),
    "a wildcard in a bucket": (
        {"s3Access": [{"resource": "arn:aws:s3:::*", "access": "read"}]},
        "spec.s3Access[0].resource",
        "the ARN of a bucket",
    ),
    "a policy in an ARN": (
        {"iam": {"additionalPolicies": ['arn:aws:iam::aws:policy/x","Effect":"Allow']}},
        "spec.iam.additionalPolicies[0]",
        "the ARN of an IAM policy",
    ),
    "a reserved tag": ({"tags": {"muster:owner": "me"}}, "spec.tags", "muster:"),
    "quotes in a tag": ({"tags": {"team": 'a"b'}}, "spec.tags.team", "letters, digits"),
    "an odd key": ({"tags": {"a\nb\x00": "c"}}, "spec.tags", "letters, digits"),
    "a control character": (
        {"bootstrap": {"preInstall": {"url": "s3://bucket/x.sh", "args": ["a\nb\x1b[31m"]}}},
        "spec.bootstrap.preInstall.args[0]",
        "control characters",
    ),
    "too many characters": ({"image": {"ami": "ami-" + "0" * 1000}}, "spec.image.ami", "at most"),
    "a VPC that does not exist": (
        {"network": {"vpcId": "vpc-0123456789abcdef0", "subnetIds": ["subnet-00000001"]}},
        "spec.network.vpcId",
        "the VPC does not exist",
    ),
    "a subnet that does not exist": (
        {"queues": [queue(subnetIds=["subnet-0123456789abcdef0"])]},
        "spec.queues[0].subnetIds[0]",
        "the subnet does not exist",
    ),
    "an instance type that does not exist": (
        {"queues": [queue(instanceTypes=["q9.large"])]},
        "spec.queues[0].instanceTypes[0]",
        "no such instance type",
    ),
}


@pytest.fixture(scope="module")
def standing(world: World) -> Cluster:
    """One running cluster for all wrong specs: none of them may change anything of it."""
    cluster = Cluster(world, "stands-whatever-is-written")
    cluster.put()
    cluster.until_ready(1)
    cluster.until_quiet()
    return cluster


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_spec_is_told_where_it_is_wrong_and_changes_nothing(standing: Cluster, what: str) -> None:
    changes, field, rule = WRONG[what]
    picture, good = standing.picture, standing.spec
    generation = standing.status["observedGeneration"]
    standing.edit(**changes)
    refused = standing.until_condition("SpecAccepted", False, generation=generation + 1)
    assert refused["message"].startswith(field), refused["message"]
    assert rule in refused["message"]
    assert "stays in force" in refused["message"]
    assert refused["message"].isprintable()
    assert standing.condition("Stalled")["status"] == "True"
    assert standing.status["phase"] == "Invalid"
    assert standing.picture == picture

    standing.put(good)
    standing.until_ready(generation + 2)
    assert standing.picture == picture


ITEMS: dict[str, tuple[Json, str]] = {
    "no spec at all": ({}, "spec"),
    "text in place of a spec": ({"spec": "please"}, "spec"),
    "a list in place of a spec": ({"spec": [1, 2]}, "spec"),
    "a number in place of a spec": ({"spec": 7}, "spec"),
    "a set in place of a spec": ({"spec": {"a", "b"}}, "spec"),
    "an empty spec": ({"spec": {}}, "spec."),
    "another attribute": ({"spec": {}, "metadata": {"a": 1}}, ""),
    "350 KB": ({"spec": {"headNode": {"instanceType": "x" * 350_000}}}, "spec"),
    "350 KB of keys": ({"spec": {f"key-{number:05}": "x" * 20 for number in range(10_000)}}, "spec"),
    "thirty levels": ({"spec": functools.reduce(lambda inner, _: {"a": inner}, range(29), {})}, "spec"),
    "a hundred errors": ({"spec": {f"wrong{number}": number for number in range(100)}}, "spec."),
}


@pytest.mark.parametrize("what", ITEMS)
def test_an_item_that_is_no_cluster_is_told_and_made_nothing_of(cluster: Cluster, world: World, what: str) -> None:
    attributes, field = ITEMS[what]
    cluster.put_item(attributes)
    refused = cluster.until_condition("SpecAccepted", False, "InvalidSpec", generation=1)
    assert refused["message"].startswith(field)
    assert len(refused["message"]) < 8000
    assert cluster.stack is None
    assert cluster.status["phase"] == "Invalid"
    cluster.put()
    cluster.until("the right one", lambda: cluster.condition("SpecAccepted").get("status") == "True")
    cluster.delete()
    cluster.until_gone()


NAMES = ("Capital", "ends-", "-begins", "two words", "a.b", "a/nodes", "!a", "ünïcode", "$(reboot)", "a\nb")
TOO_LONG = {"61 characters": "x" * 61, "2048 bytes": "ü" * 1024}


@pytest.mark.parametrize("name", [*NAMES, *TOO_LONG])
def test_a_name_that_is_none_gets_its_answer_and_can_be_taken_back(world: World, name: str) -> None:
    cluster = Cluster(world, TOO_LONG.get(name, name))
    cluster.put()
    refused = cluster.until_condition("SpecAccepted", False, "InvalidSpec", generation=1)
    assert refused["message"].startswith("metadata.name")
    assert ("at most 60 characters" if name in TOO_LONG else "1 to 60 lower-case letters") in refused["message"]
    assert refused["message"].isprintable()
    cluster.delete()
    cluster.until_gone()


def test_a_cluster_may_be_called_like_the_control_plane(world: World) -> None:
    cluster = Cluster(world, world.plane.stack)
    cluster.put()
    cluster.until_ready(1)
    cluster.delete()
    cluster.until_gone()
    world.client("cloudformation").describe_stacks(StackName=world.plane.stack)


def test_the_longest_names_make_a_cluster(world: World) -> None:
    cluster = Cluster(world, "n" * 60)
    storage = {"name": "s" * 30, "mountDir": "/" + "d" * 63, "deletionPolicy": "Delete"}
    shared = [{**storage, "ebs": {}}, {**storage, "name": "t" * 30, "mountDir": "/e", "efs": {}}]
    cluster.put(world.spec(queues=[queue("q" * 30)], sharedStorage=shared))
    cluster.until_ready(1)
    cluster.delete()
    cluster.until_gone()
    assert world.tagged(cluster.name) == []


def test_numbers_and_sets_of_dynamodb_are_taken_for_what_they_are(cluster: Cluster, world: World) -> None:
    raw = encode({"name": cluster.name, "spec": world.spec(consent={"headNode", "queues/compute"})})
    raw["spec"]["M"]["queues"]["L"][0]["M"]["size"] = {"N": "2.0"}
    world.client("dynamodb").put_item(TableName=world.out("SpecsTable"), Item=raw)
    cluster.until_ready(1)
    assert cluster.sizes() == (2, 2, 2, 2)


def test_what_a_user_wrote_reaches_the_nodes_as_it_is_and_runs_nowhere(cluster: Cluster, world: World) -> None:
    """A shell reads the user data's own lines back."""
    script = {"url": "https://x.example/a.sh?b=c&d=%20", "args": ARGUMENTS}
    cluster.put(
        world.spec(
            bootstrap={"preInstall": script, "postInstall": {**script, "args": []}},
            proxy="http://proxy.example:3128",
            tags={"team": "a:b/c=d+e@f g"},
        )
    )
    cluster.until_ready(1)
    for text in _user_data(cluster, world):
        lines = [line for line in text.splitlines() if re.match(r"(mapfile -d '' -t )?((PRE|POST)_|PROXY=)", line)]
        show = 'printf "%s\\0" "$PRE_URL" "$PROXY" "${#POST_ARGS[@]}" "${PRE_ARGS[@]}"'
        done = subprocess.run(["bash", "-uc", "\n".join([*lines, show])], capture_output=True, text=True, check=True)
        assert done.stdout.split("\0")[:-1] == [script["url"], "http://proxy.example:3128", "0", *ARGUMENTS]
        assert done.stderr == ""
        assert text.isascii()


def _user_data(cluster: Cluster, world: World) -> list[str]:
    """The user data of the head node and of the queue's launch template, as EC2 has them."""
    ec2 = world.client("ec2")
    head = ec2.describe_instance_attribute(InstanceId=cluster.head, Attribute="userData")["UserData"]["Value"]
    (template,) = cluster.made("AWS::EC2::LaunchTemplate")
    found: Any = ec2.describe_launch_template_versions(LaunchTemplateId=template, Versions=["$Latest"])
    compute = found["LaunchTemplateVersions"][0]["LaunchTemplateData"]["UserData"]
    return [base64.b64decode(each).decode() for each in (head, compute)]


def test_a_policy_holds_what_the_user_listed_and_no_more(cluster: Cluster, world: World) -> None:
    listed = [
        {"resource": "arn:aws:s3:::scenes", "access": "read"},
        {"resource": "arn:aws:s3:::frames/final/*", "access": "readWrite"},
    ]
    cluster.put(world.spec(s3Access=listed))
    cluster.until_ready(1)
    iam = world.client("iam")
    for role in cluster.made("AWS::IAM::Role"):
        policy = iam.get_role_policy(RoleName=role, PolicyName="muster")["PolicyDocument"]
        document = policy if isinstance(policy, dict) else json.loads(policy)
        s3 = [each for each in document["Statement"] if "s3" in json.dumps(each["Action"])]
        buckets = {arn for each in s3 for arn in _list(each["Resource"])}
        own = f"arn:aws:s3:::{world.out('ArtifactsBucket')}/{cluster.prefix}nodes/*"
        assert buckets == {
            own,
            "arn:aws:s3:::scenes",
            "arn:aws:s3:::scenes/*",
            "arn:aws:s3:::frames",
            "arn:aws:s3:::frames/final/*",
        }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_an_edit_right_after_a_wrong_one_is_the_one_that_counts(running: Cluster) -> None:
    good = running.spec
    for number in range(5):
        running.edit(queues=[queue(size=-number - 1)])
    running.put({**good, "queues": [queue(size=3)]})
    running.until("three nodes", lambda: running.sizes() == (3, 3, 3, 3))
    running.until_condition("Ready", True)
    assert running.condition("SpecAccepted")["status"] == "True"
