"""The clean-up custom resources in the deletion of a real stack."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from tests.e2e.world import Cluster, World

MANY = 1200  # more than one page of ListObjectVersions, and more than one DeleteObjects takes
IMAGES = 1500  # more than one page of ListImages, and 15 times what one BatchDeleteImage takes
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def test_the_stacks_own_clean_up_empties_what_its_nodes_uploaded(cluster: Cluster, world: World) -> None:
    """Deleted by hand while paused, so that nobody but the custom resource can have emptied it."""
    cluster.put()
    cluster.until_ready(1)
    cluster.edit(paused=True)
    cluster.until("the pause", lambda: cluster.status["phase"] == "Paused")
    nodes, others = f"{cluster.prefix}nodes/", f"clusters/{cluster.name}-other/nodes/log"
    _upload(world, [f"{nodes}{number % (MANY // 2)}.log" for number in range(MANY)])
    _upload(world, [others])
    world.client("s3").delete_object(Bucket=world.out("ArtifactsBucket"), Key=f"{nodes}1.log")
    assert len(world.objects(nodes)) == MANY + 1
    templates = world.objects(f"{cluster.prefix}templates/")

    world.client("cloudformation").delete_stack(StackName=cluster.stack_name)
    cluster.until("the end of the stack", lambda: cluster.stack is None)
    assert world.objects(nodes) == []
    assert world.objects(others) == [others], "another cluster's"
    assert world.objects(f"{cluster.prefix}templates/") == templates, "the operator's own"
    answers = [line for line in world.logs("cleanup", cluster.born) if line.get("message") == "answer"]
    assert answers
    assert answers[-1]["Status"] == "SUCCESS"


def _upload(world: World, keys: list[str]) -> None:
    """Twice the same key is two versions of it."""
    s3, bucket = world.client("s3"), world.out("ArtifactsBucket")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b"log"), keys))


class Images:
    """A stack of a repository and its clean-up, as a cluster's own stack has them."""

    def __init__(self, cluster: Cluster) -> None:
        self.world, self.until, self.name = cluster.world, cluster.until, cluster.stack_name
        self.repository, self.ecr = f"muster/{cluster.name}", self.world.client("ecr")
        self.api = self.world.client("cloudformation")
        self.id = self.api.create_stack(StackName=self.name, TemplateBody=self.template())["StackId"]
        assert self.settled() == "CREATE_COMPLETE"

    def template(self, **properties: str) -> str:
        """More properties of the clean-up make another resource of it."""
        tags = [{"Key": "muster:owner", "Value": self.world.plane.stack}]
        token = {"ServiceToken": self.world.out("CleanupFunctionArn"), "RepositoryName": {"Ref": "Repository"}}
        resources = {
            "Repository": {
                "Type": "AWS::ECR::Repository",
                "Properties": {"RepositoryName": self.repository, "Tags": tags},
            },
            "Cleanup": {"Type": "Custom::EcrCleanup", "Properties": {**token, **properties}},
        }
        return json.dumps({"Resources": resources})

    def settled(self) -> str:
        """The stack's status at the end of what is under way."""
        self.until("the end of the stack's operation", lambda: not self.status().endswith("IN_PROGRESS"))
        return self.status()

    def status(self) -> str:
        return self.api.describe_stacks(StackName=self.id)["Stacks"][0]["StackStatus"]

    def update(self) -> str:
        self.api.update_stack(StackName=self.name, TemplateBody=self.template(Content="another"))
        return self.settled()

    def delete(self) -> str:
        self.api.delete_stack(StackName=self.name)
        self.until("the beginning of the deletion", lambda: "DELETE" in self.status())
        return self.settled()

    def push(self, number: int) -> None:
        """Every third has no tag."""
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": {"digest": f"sha256:{number:064x}"}}
        tag = {"imageTag": f"v{number}"} if number % 3 else {}
        self.ecr.put_image(repositoryName=self.repository, imageManifest=json.dumps(manifest), **tag)

    def count(self) -> int:
        pages = self.ecr.get_paginator("list_images").paginate(repositoryName=self.repository)
        return sum(len(page["imageIds"]) for page in pages)

    def physical(self) -> str:
        found = self.api.describe_stack_resource(StackName=self.id, LogicalResourceId="Cleanup")
        return found["StackResourceDetail"]["PhysicalResourceId"]


@pytest.fixture
def images(cluster: Cluster, world: World) -> Iterator[Images]:
    """Nobody is to be woken by images: the cluster is none."""
    with world.silence():
        yield Images(cluster)


def test_an_update_of_the_stack_keeps_all_images_and_its_deletion_takes_them(images: Images) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(images.push, range(IMAGES)))
    assert images.count() == IMAGES
    before = images.physical()
    assert images.update() == "UPDATE_COMPLETE"
    assert images.physical() == before
    assert images.count() == IMAGES
    assert images.delete() == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        images.count()


def test_a_repository_that_was_deleted_by_hand_does_not_keep_its_stack(images: Images) -> None:
    images.ecr.delete_repository(repositoryName=images.repository, force=True)
    assert images.delete() == "DELETE_COMPLETE"
