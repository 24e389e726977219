"""The part of the demo about AWS Batch: from a Dockerfile in a folder to the output of jobs, and to nothing."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from local.fixtures import Network
from reconciler.facts import repository_name

if TYPE_CHECKING:
    from local.demo import Demo

NAME = "genomics"
DOCKERFILE = "FROM public.ecr.aws/amazonlinux/amazonlinux:2023\nCOPY align.sh /usr/local/bin/\n"
# The environment that the demo replaces by another.
FIRST, SECOND = (["c6i.large"], ["c7i.large", "c7i.xlarge"])


def document(net: Network, instance_types: list[str]) -> dict[str, Any]:
    """The cluster, as its user writes it down beside a folder `image`."""
    return {
        "apiVersion": "muster/v1",
        "kind": "Cluster",
        "metadata": {"name": NAME},
        "spec": {
            "scheduler": "awsbatch",
            "network": {"vpcId": net.vpc_id, "subnetIds": list(net.subnet_ids)},
            "batch": {
                "images": [{"name": "tools", "directory": "image"}],
                "computeEnvironments": [{"name": "cpu", "instanceTypes": instance_types, "maxVcpus": 16}],
                "queues": [{"name": "main", "computeEnvironments": ["cpu"]}],
                "jobDefinitions": [{"name": "align", "image": "tools", "vcpus": 1, "memory": 512}],
            },
        },
    }


def show_batch(demo: "Demo", net: Network) -> None:
    """All of it, in order. Raises DemoError for what does not happen."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "genomics.yaml")
        source = Path(folder, "image")
        source.mkdir()
        (source / "Dockerfile").write_text(DOCKERFILE)
        (source / "align.sh").write_text("#!/bin/sh\n")
        file.write_text(yaml.safe_dump(document(net, FIRST), sort_keys=False))
        with demo.part("A cluster of AWS Batch: a folder with a Dockerfile is applied, and its image is built"):
            demo.run("muster", "apply", "-f", str(file))
            demo.watch(demo.ready(1), "the cluster's readiness")
            demo.run("muster", "describe", NAME)
        with demo.part("An array job is submitted, and its output read"):
            count = 'echo "sample $AWS_BATCH_JOB_ARRAY_INDEX aligned"'
            said = demo.run(
                "muster", "job", "submit", "-c", NAME, "-jn", "align", "-a", "4", "--wait", "sh", "-c", count
            )
            job = said.split()[0].removeprefix("job/")
            demo.run("muster", "job", "list", "-c", NAME, "-s", "ALL", "-e")
            demo.run("muster", "job", "logs", "-f", f"{job}:2")
        with demo.part(
            "Other instance types: a new environment takes over, and the old one goes when its jobs have ended"
        ):
            file.write_text(yaml.safe_dump(document(net, SECOND), sort_keys=False))
            demo.run("muster", "apply", "-f", str(file))
            demo.watch(demo.ready(2), "the update")
            demo.watch(lambda item: len((item or {})["status"]["environments"]) == 1, "the end of the old environment")
        with demo.part("The cluster is deleted, and nothing is left"):
            demo.run("muster", "delete", NAME, "--wait")
            demo.nothing_left()
            demo.none("repositories, environments or queues", left_of_batch(demo))


def left_of_batch(demo: "Demo") -> list[str]:
    """What Batch and ECR still hold of the cluster."""
    batch, ecr = demo.aws.client("batch"), demo.aws.client("ecr")
    found = [
        *(each["computeEnvironmentName"] for each in batch.describe_compute_environments()["computeEnvironments"]),
        *(each["jobQueueName"] for each in batch.describe_job_queues()["jobQueues"]),
        *(each["repositoryName"] for each in ecr.describe_repositories()["repositories"]),
    ]
    marks = (f"muster-{NAME}_", repository_name(NAME))
    return [name for name in found if name.startswith(marks)]
