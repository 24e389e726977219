"""The control plane itself: deployed again it changes nothing, and removed it leaves what its users wrote."""

from importlib.util import cache_from_source
from pathlib import Path

from local.aws import local_aws
from local.deploy import ROOT, deploy
from local.fixtures import network
from tests.e2e.world import Cluster, World


def test_a_control_plane_that_is_removed_leaves_the_specs_and_nothing_else(built: None) -> None:
    with local_aws() as aws:
        world = World(aws, deploy(aws, SweepMinutes="1440"), network(aws))
        cluster = Cluster(world, "first")
        cluster.put()
        cluster.until_ready(1)
        kept = cluster.picture
        s3, bucket, cloudformation = world.client("s3"), world.out("ArtifactsBucket"), world.client("cloudformation")
        for text in (b"one", b"two"):
            s3.put_object(Bucket=bucket, Key="left/behind", Body=text)

        plane = cloudformation.describe_stacks(StackName=world.plane.stack)["Stacks"][0]["StackId"]
        cloudformation.delete_stack(StackName=plane)
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=plane, WaiterConfig={"Delay": 1})
        assert bucket not in [each["Name"] for each in s3.list_buckets()["Buckets"]]
        assert world.client("lambda").list_functions()["Functions"] == []
        assert world.client("dynamodb").list_tables()["TableNames"] == [world.out("SpecsTable")]
        assert world.client("events").list_rules()["Rules"] == []
        assert cluster.picture == kept, "what runs goes on running"


def test_the_package_holds_bytecode_that_lambda_takes_as_it_is(built: None) -> None:
    """Flags 1: by hash, and not compared with the source; PEP 552. All functions have the same files."""
    wake, reconcile = (ROOT / ".aws-sam" / "build" / f"{name}Function" for name in ("Wake", "Reconcile"))
    sources = list(reconcile.rglob("*.py"))
    assert {reconcile / "handlers" / "reconcile.py", reconcile / "pydantic" / "main.py"} <= {*sources}
    assert {Path(cache_from_source(source)).read_bytes()[4:8] for source in sources} == {b"\x01\0\0\0"}
    assert {path.relative_to(wake): path.read_bytes() for path in wake.rglob("*") if path.is_file()} == {
        path.relative_to(reconcile): path.read_bytes() for path in reconcile.rglob("*") if path.is_file()
    }
