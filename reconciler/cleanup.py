"""Empty a bucket, what lies below a prefix in it, or a repository of images.

Each function works in pages until nothing is left or its time is up, and can be called again at any moment: what is
gone already is what was wanted.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import ImageFailureTypeDef
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

Deadline = Callable[[], float]
"""Seconds left for the work; it stops between two calls when they are used up."""

PASSING = frozenset({"InternalError", "ServiceUnavailable", "SlowDown"})  # S3's errors for a key that may pass
FRUITLESS = 5  # pages on end of which S3 deleted nothing
IMAGES, PAGE = 100, 1000  # ids in one BatchDeleteImage and in one page of ListImages, the most that ECR takes


class CleanupError(Exception):
    """What could not be deleted, and why; the message is for people."""


def empty_prefix(s3: "S3Client", bucket: str, prefix: str, deadline: Deadline) -> bool:
    """Delete all versions and delete markers below `prefix`; the empty prefix stands for the whole bucket.

    Returns True when nothing is left, be it that the bucket is gone; False when the time was up first.
    Raises `CleanupError` for a key that S3 will not delete, `ClientError` for a call that it refuses.
    """
    fruitless = 0
    while deadline() > 0:
        try:
            page = s3.list_object_versions(Bucket=bucket, Prefix=prefix)
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            if not found:
                return True
            keys: list[ObjectIdentifierTypeDef] = [
                {"Key": each.get("Key", ""), "VersionId": each.get("VersionId", "")} for each in found
            ]
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        except s3.exceptions.NoSuchBucket:
            return True
        errors = answer.get("Errors", [])
        fruitless = fruitless + 1 if len(errors) == len(keys) else 0
        for error in errors:
            if error.get("Code") not in PASSING or fruitless == FRUITLESS:
                raise CleanupError(
                    f"s3://{bucket}/{error.get('Key')} (version {error.get('VersionId')}) was not deleted:"
                    f" {error.get('Code')}: {error.get('Message')}"
                )
    return False


def empty_repository(ecr: "ECRClient", repository: str, deadline: Deadline) -> bool:
    """Delete all images of a repository, those without a tag too.

    Returns True when none is left, be it that the repository is gone; False when the time was up first.
    Raises `CleanupError` for an image that ECR will not delete, `ClientError` for a call that it refuses.
    """
    try:
        while deadline() > 0:
            images = _images(ecr, repository)
            if not images:
                return True
            held: list[ImageFailureTypeDef] = []
            for start in range(0, len(images), IMAGES):
                if deadline() <= 0:
                    return False
                held += _delete_images(ecr, repository, images[start : start + IMAGES])
            if len(held) == len(images):
                raise _refusal(repository, held[0])
    except ecr.exceptions.RepositoryNotFoundException:
        return True
    return False


def _images(ecr: "ECRClient", repository: str) -> list[str]:
    """Digests, each once: an image is listed once for each of its tags."""
    pages = ecr.get_paginator("list_images").paginate(repositoryName=repository, PaginationConfig={"PageSize": PAGE})
    return list({each.get("imageDigest", ""): None for page in pages for each in page["imageIds"]})


def _delete_images(ecr: "ECRClient", repository: str, digests: list[str]) -> "list[ImageFailureTypeDef]":
    """Returns the failures of images that a manifest list still holds: they can go once their list has gone."""
    answer = ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageDigest": digest} for digest in digests])
    failures = [each for each in answer["failures"] if each.get("failureCode") != "ImageNotFound"]
    for failure in failures:
        if failure.get("failureCode") != "ImageReferencedByManifestList":
            raise _refusal(repository, failure)
    return failures


def _refusal(repository: str, failure: "ImageFailureTypeDef") -> CleanupError:
    digest = failure.get("imageId", {}).get("imageDigest")
    return CleanupError(
        f"image {digest} of {repository} was not deleted: {failure.get('failureCode')}: {failure.get('failureReason')}"
    )
