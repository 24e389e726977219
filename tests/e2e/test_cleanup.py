"""The clean-up custom resource in the deletion of a real stack."""

from concurrent.futures import ThreadPoolExecutor

from tests.e2e.world import Cluster, World

MANY = 1200  # more than one page of ListObjectVersions, and more than one DeleteObjects takes


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
