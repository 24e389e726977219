"""What a spec refers to is looked up before anything is made of it."""

from typing import Any

import pytest

from reconciler.cluster import Cluster, Invalid, parse
from reconciler.outcomes import AwsError, Outcome
from reconciler.pins import Pins
from reconciler.resolve import FILTER_VALUES, IMAGE_PARAMETERS, resolve, shape
from tests.unit.plane import Plane, client

AWAY = "subnet-0123456789abcdef0"


def cluster(plane: Plane, **spec: Any) -> Cluster:
    parsed = parse(plane.document(**spec))
    assert not isinstance(parsed, Invalid), str(parsed)
    return parsed


def queue(**fields: Any) -> list[dict[str, Any]]:
    return [{"name": "compute", "instanceTypes": ["c7i.large"], **fields}]


def errors(plane: Plane, **spec: Any) -> dict[str, str]:
    return {error.field: error.rule for error in resolve(plane.clients, cluster(plane, **spec), Pins())[1]}


def test_what_is_there_is_pinned(plane: Plane) -> None:
    pins, wrong = resolve(plane.clients, cluster(plane), Pins())
    assert wrong == ()
    assert pins.images.keys() == {"alinux2023/x86_64"}
    assert pins.images["alinux2023/x86_64"].startswith("ami-")
    zone = client("ec2").describe_subnets(SubnetIds=[plane.subnet])["Subnets"][0]["AvailabilityZone"]
    assert pins.zones == {plane.subnet: zone}


def test_what_is_pinned_stays_and_is_not_asked_again(plane: Plane) -> None:
    old = Pins({"alinux2023/x86_64": "ami-old"}, {"subnet-old": "us-east-1f"})
    pins, _ = resolve(plane.clients, cluster(plane), old)
    assert pins.images == old.images
    assert pins.zones.keys() == {"subnet-old", plane.subnet}
    assert "GetParameter" not in plane.calls


# moto publishes no image of this system.
SLURM: dict[str, Any] = {"scheduler": "slurm", "image": {"os": "ubuntu2404", "ami": "ami-0123456789abcdef0"}}


def test_what_nodes_of_slurm_have_is_pinned(plane: Plane) -> None:
    of = cluster(plane, **SLURM, queues=queue(instanceTypes=["c5.xlarge", "g4dn.12xlarge"]))
    pins, wrong = resolve(plane.clients, of, Pins(shapes={"c4.large": (2, 1, 3840, 0)}))
    assert wrong == ()
    assert pins.shapes == {
        "c4.large": (2, 1, 3840, 0),
        "c5.xlarge": (4, 2, 8192, 0),
        "g4dn.12xlarge": (48, 24, 196608, 4),
    }
    assert plane.calls["DescribeInstanceTypes"] == 1, "no call of its own"


def test_without_a_scheduler_nobody_has_to_know_what_nodes_have(plane: Plane) -> None:
    assert resolve(plane.clients, cluster(plane), Pins())[0].shapes == {}


def test_a_type_that_does_not_exist_has_no_shape(plane: Plane) -> None:
    pins, wrong = resolve(plane.clients, cluster(plane, **SLURM, queues=queue(instanceTypes=["c99i.big"])), Pins())
    assert pins.shapes == {}
    assert len(wrong) == 1


def test_what_an_answer_does_not_say_is_none_or_one_thread_a_core() -> None:
    assert shape({"VCpuInfo": {"DefaultVCpus": 4}, "MemoryInfo": {"SizeInMiB": 100}}) == (4, 4, 100, 0)
    assert shape({"GpuInfo": {"Gpus": [{"Count": 4}, {"Name": "a"}, {"Count": 2}]}}) == (1, 1, 0, 6)


def test_an_image_of_ones_own_is_not_looked_for(plane: Plane) -> None:
    pins, _ = resolve(plane.clients, cluster(plane, image={"ami": "ami-0123456789abcdef0"}), Pins())
    assert pins.images == {}


def test_each_os_and_architecture_has_a_public_parameter() -> None:
    systems = ("alinux2023", "ubuntu2204", "ubuntu2404")
    assert set(IMAGE_PARAMETERS) == {f"{os}/{kind}" for os in systems for kind in ("x86_64", "arm64")}
    assert all(name.startswith("/aws/service/") for name in IMAGE_PARAMETERS.values())


def test_a_vpc_that_does_not_exist_is_told_by_its_field(plane: Plane) -> None:
    found = errors(plane, network={"vpcId": "vpc-0123456789abcdef0", "subnetIds": [plane.subnet]})
    assert found.keys() == {"spec.network.vpcId", "spec.network.subnetIds[0]"}
    assert "does not exist" in found["spec.network.vpcId"]
    assert "belongs to" in found["spec.network.subnetIds[0]"]


def test_a_subnet_that_does_not_exist_is_told_at_each_place(plane: Plane) -> None:
    found = errors(
        plane,
        network={"vpcId": plane.vpc, "subnetIds": [plane.subnet, AWAY]},
        headNode={"instanceType": "t3.small", "subnetId": AWAY},
        queues=queue(subnetIds=[AWAY]),
    )
    places = ("spec.network.subnetIds[1]", "spec.headNode.subnetId", "spec.queues[0].subnetIds[0]")
    assert found == dict.fromkeys(places, "the subnet does not exist")


def batch(plane: Plane, **fields: Any) -> Cluster:
    """A cluster of AWS Batch with one environment; the scheduler is not supported yet, so `parse` would refuse it."""
    parts = {
        "images": [{"name": "app", "uri": "busybox"}],
        "computeEnvironments": [{"name": "any", **fields}],
        "queues": [{"name": "main", "computeEnvironments": ["any"]}],
        "jobDefinitions": [{"name": "run", "image": "app"}],
    }
    network = {"vpcId": plane.vpc, "subnetIds": [plane.subnet]}
    spec = {"scheduler": "awsbatch", "batch": parts, "network": network}
    return Cluster.model_validate({"metadata": {"name": "jobs"}, "spec": spec})


def test_what_an_environment_of_batch_names_is_looked_up(plane: Plane) -> None:
    of = batch(plane, subnetIds=[plane.subnet, AWAY], instanceTypes=["optimal", "c7i", "c7i.large", "c99i.big"])
    pins, wrong = resolve(plane.clients, of, Pins(images={"alinux2023/x86_64": "ami-1"}))
    at = "spec.batch.computeEnvironments[0]"
    assert {error.field: error.rule for error in wrong} == {
        f"{at}.subnetIds[1]": "the subnet does not exist",
        f"{at}.instanceTypes[3]": "the region has no such instance type",
    }
    assert pins == Pins(images={"alinux2023/x86_64": "ami-1"}, zones=pins.zones)
    assert pins.zones.keys() == {plane.subnet}


def test_a_cluster_of_batch_alone_needs_no_instance_types(plane: Plane) -> None:
    _, wrong = resolve(plane.clients, batch(plane), Pins())
    assert wrong == ()


def test_an_instance_type_that_the_region_lacks_is_told(plane: Plane) -> None:
    found = errors(plane, headNode={"instanceType": "t99.small"}, queues=queue(instanceTypes=["c7i.large", "c99i.big"]))
    assert found.keys() == {"spec.headNode.instanceType", "spec.queues[0].instanceTypes[1]"}


def test_a_type_without_efa_is_told(plane: Plane) -> None:
    one = {"vpcId": plane.vpc, "subnetIds": [plane.subnet]}
    found = errors(plane, network=one, queues=queue(efa=True, instanceTypes=["c5n.18xlarge", "c5n.large"]))
    assert list(found) == ["spec.queues[0].instanceTypes[1]"]
    assert "efa" in found["spec.queues[0].instanceTypes[1]"]


def test_more_types_than_a_filter_takes(plane: Plane) -> None:
    """EC2 takes 200 values in a filter; ten queues of forty types can name more."""
    kinds = (
        client("ec2")
        .get_paginator("describe_instance_types")
        .paginate(Filters=[{"Name": "processor-info.supported-architecture", "Values": ["x86_64"]}])
    )
    supported = {
        kind["InstanceType"]: kind["ProcessorInfo"]["SupportedArchitectures"]
        for page in kinds
        for kind in page["InstanceTypes"]
    }
    names = sorted(name for name, found in supported.items() if "x86_64" in found and "metal" not in name)[:280]
    filters: list[int] = []
    event = "provide-client-params.ec2.DescribeInstanceTypes"
    register = plane.clients.ec2.meta.events
    register.register(event, lambda params, **_: filters.append(len(params["Filters"][0]["Values"])), unique_id="test")
    queues = [{"name": f"q{n}", "instanceTypes": names[n * 40 : n * 40 + 40]} for n in range(len(names) // 40)]
    found = errors(plane, queues=queues)
    register.unregister(event, unique_id="test")
    assert len(filters) > 1
    assert max(filters) <= FILTER_VALUES
    assert found == {}


@pytest.mark.parametrize("operation", ["DescribeVpcs", "DescribeSubnets", "DescribeInstanceTypes", "GetParameter"])
def test_what_cannot_be_looked_up_is_no_error_of_the_spec(plane: Plane, operation: str) -> None:
    plane.clients.faults[operation] = ("RequestLimitExceeded", "slow down")
    network = {"vpcId": plane.vpc, "subnetIds": [AWAY if operation == "DescribeVpcs" else plane.subnet]}
    with pytest.raises(AwsError) as caught:
        resolve(plane.clients, cluster(plane, network=network), Pins())
    assert caught.value.outcome is Outcome.RETRY
    assert caught.value.operation == operation


def test_a_vpc_that_has_one_of_the_subnets_is_not_asked_for(plane: Plane) -> None:
    plane.clients.faults["DescribeVpcs"] = ("RequestLimitExceeded", "slow down")
    assert errors(plane) == {}
