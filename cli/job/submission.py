"""The way of a job into its queue: find the queue, send the files, submit."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cli.failures import Failure
from cli.job import batch, files
from cli.job.bootstrap import Start, command
from cli.job.request import request
from reconciler.facts import jobs_prefix

if TYPE_CHECKING:
    from cli.job.batch import Aws
    from cli.job.files import Files
    from cli.job.request import Wanted
    from cli.plane import Plane


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job is to run: the cluster, the names of queue and definition (empty: the only one), and the folder."""

    cluster: str
    queue: str = ""
    definition: str = ""
    work: str = ""
    parent: str = ""


def submit(aws: Aws, plane: Plane, place: Place, wanted: Wanted, sent: Files) -> dict[str, Any]:
    """Submit a job; what SubmitJob says of it. Of a job that Batch refuses no file stays."""
    queue = batch.queue(aws, place.cluster, place.queue)
    definition = batch.definition(aws, place.cluster, place.definition)
    bucket = plane.settings.artifacts_bucket
    prefix = f"{jobs_prefix(place.cluster)}{wanted.name}-{secrets.token_hex(4)}/"
    made = request(_placed(place, wanted, sent, f"s3://{bucket}/{prefix}", aws.region), queue, definition)
    try:
        files.send(aws.s3, bucket, prefix, sent)
        answer = aws.batch.submit_job(**made)
    except (ClientError, Failure):
        # The refusal is what the user has to hear of, whatever becomes of the files: they go with the cluster.
        with contextlib.suppress(ClientError):
            files.remove(aws.s3, bucket, prefix, sent)
        raise
    return {key: answer[key] for key in ("jobArn", "jobId", "jobName")}


def _placed(place: Place, wanted: Wanted, sent: Files, url: str, region: str) -> Wanted:
    """The job with what its container has to be told."""
    start = Start(region, place.work, place.parent, bool(sent), sent.script is not None)
    address = url.rstrip("/")
    told = {"MUSTER_CLUSTER": place.cluster, "MUSTER_JOB_S3_URL": address, "PCLUSTER_JOB_S3_URL": address}
    return replace(
        wanted,
        command=command(start, wanted.command) if start.needed else wanted.command,
        environment={**told, **wanted.environment},
    )
