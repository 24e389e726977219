"""What `apply` and `diff` know of images and the resource does not: `directory`, a folder to pack and send.

In the spec that is written an archive in the artifacts bucket stands for it, whose key is the digest of what is in the
folder. So the same files are the same spec, and other files another one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cli.failures import Failure
from cli.packing import Source, source
from reconciler.cluster.errors import short
from reconciler.facts import sources_prefix

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FIELD, INSTEAD = "directory", "archive"
OTHERS = ("dockerfile", "archive", "uri")
AT = "spec.batch.images"
# Stands for an address while a document is checked, before there is a bucket to speak of.
ANY = "s3://artifacts/source.zip"


def found(content: Mapping[str, Any], folder: Path) -> tuple[dict[int, Source], list[str]]:
    """The sources of a document by the place of their image, and what is wrong with the others, a line each.

    A path in the document starts at `folder`.
    """
    sources: dict[int, Source] = {}
    wrong: list[str] = []
    for place, image in _images(content).items():
        try:
            sources[place] = _source(image, folder)
        except Failure as failure:
            wrong += [f"{AT}[{place}].{FIELD}: {short(image[FIELD])}: {line}" for line in failure.lines]
    return sources, wrong


def _source(image: Mapping[str, Any], folder: Path) -> Source:
    path = image[FIELD]
    if not isinstance(path, str):
        raise Failure("must be the path of a folder; write it as text")
    if more := [name for name in OTHERS if name in image]:
        raise Failure(f"exactly one of {', '.join((FIELD, *OTHERS))}; remove {' and '.join(more)}, or this")
    return source(folder / path)


def _images(content: Any) -> dict[int, Mapping[str, Any]]:
    """The images with a directory by their place in the list; the document may be anything yet."""
    for part in AT.split("."):
        content = content.get(part) if isinstance(content, Mapping) else None
    images = content if isinstance(content, list) else ()
    return {place: image for place, image in enumerate(images) if isinstance(image, Mapping) and FIELD in image}


def addressed(content: dict[str, Any], addresses: Mapping[int, str]) -> dict[str, Any]:
    """A document with archives in place of directories, by the place of their image."""
    found = _images(content)
    if not found:
        return content
    spec, batch = content["spec"], content["spec"]["batch"]
    images = [
        _archived(image, addresses.get(place, ANY)) if place in found else image
        for place, image in enumerate(batch["images"])
    ]
    return {**content, "spec": {**spec, "batch": {**batch, "images": images}}}


def _archived(image: Mapping[str, Any], address: str) -> dict[str, Any]:
    rest = {name: value for name, value in image.items() if name != FIELD}
    return rest if any(name in rest for name in OTHERS) else {**rest, INSTEAD: address}


def archive_key(cluster: str, of: Source) -> str:
    """Where the archive of a source lies in the artifacts bucket."""
    return f"{sources_prefix(cluster)}{of.digest}.zip"


def send(s3: S3Client, bucket: str, cluster: str, of: Source) -> bool:
    """Put the archive of a source into the bucket; False when it was there. Raises Failure, ClientError."""
    name = archive_key(cluster, of)
    if _there(s3, bucket, name):
        return False
    with tempfile.TemporaryFile() as file:
        of.write(file)
        file.seek(0)
        s3.upload_fileobj(file, bucket, name)
    return True


def _there(s3: S3Client, bucket: str, name: str) -> bool:
    """Whether an object is known to be there: S3 refuses to say so to those who may not list the bucket."""
    try:
        s3.head_object(Bucket=bucket, Key=name)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in ("403", "404"):
            raise
        return False
    return True
