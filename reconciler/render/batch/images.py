"""Where images are kept and built: repository, CodeBuild project, and the clean-up of both and of the jobs' files.

A build is started by the reconciler, with the source and the tag of the one image that it builds. The tag is a hash of
the content, so that the same content is never built twice and a tag never means two images.
"""

import hashlib
import json
from dataclasses import dataclass

from reconciler.cluster.batch import Batch, ContainerImage
from reconciler.facts import STACK_PREFIX, artifacts_prefix, repository_name
from reconciler.render.batch import logs, roles
from reconciler.render.context import Context, Json, Resources, ref, tag_list

REPOSITORY, PROJECT = "Repository", "BuildProject"
IMAGES_CLEANUP, FILES_CLEANUP = "ImagesCleanup", "FilesCleanup"
# Minutes. A build that takes longer is stopped, and is told as failed.
BUILD_MINUTES = 120
# CodeBuild's own images (CodeBuild user guide, "Docker images provided by CodeBuild").
BUILD_IMAGE = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
COMMANDS = {
    "pre_build": [
        'aws ecr get-login-password | docker login --username AWS --password-stdin "$MUSTER_REGISTRY"',
    ],
    "build": ['docker build --tag "$MUSTER_REGISTRY/$MUSTER_REPOSITORY:$MUSTER_TAG" .'],
    "post_build": [
        '[ "$CODEBUILD_BUILD_SUCCEEDING" = 1 ]',
        'docker push "$MUSTER_REGISTRY/$MUSTER_REPOSITORY:$MUSTER_TAG"',
    ],
}
# Days after which ECR drops what no tag names, such as the layers of a build that was stopped while it pushed.
UNTAGGED_DAYS = 1


@dataclass(frozen=True, slots=True)
class ImageBuild:
    """An image to be built: its name in the spec, its tag, its source (one of the two), and for which processor."""

    name: str
    tag: str
    dockerfile: str | None
    archive: str | None
    architecture: str


def builds(batch: Batch) -> tuple[ImageBuild, ...]:
    """The images of a cluster that are built, in the order of the spec."""
    return tuple(
        ImageBuild(each.name, tag(batch, each), each.dockerfile, each.archive, architecture(batch, each))
        for each in batch.images
        if not each.uri
    )


def tag(batch: Batch, image: ContainerImage) -> str:
    """The tag of an image that is built: its name and a hash of its source and processor."""
    content = json.dumps([image.dockerfile or image.archive, architecture(batch, image)])
    return f"{image.name}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def architecture(batch: Batch, image: ContainerImage) -> str:
    """The processor that an image is built for: that of the job definitions that run it."""
    used = (each.architecture for each in batch.job_definitions if each.image == image.name)
    return next(used, "x86_64")


def uri(context: Context, image: ContainerImage) -> str:
    """What a job definition calls an image: while a new one is being built, the one that served before."""
    if image.uri:
        return image.uri
    serving = context.pins.serving.get(image.name) or tag(context.batch, image)
    return f"{registry(context)}/{repository_name(context.name)}:{serving}"


def registry(context: Context) -> str:
    """The account's ECR registry."""
    return f"{context.site.account}.dkr.ecr.{context.site.region}.{context.site.suffix}"


def _repository(context: Context) -> Json:
    rule = {
        "rulePriority": 1,
        "description": "What no tag names",
        "selection": {
            "tagStatus": "untagged",
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": UNTAGGED_DAYS,
        },
        "action": {"type": "expire"},
    }
    return {
        "Type": "AWS::ECR::Repository",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {
            "RepositoryName": repository_name(context.name),
            "EncryptionConfiguration": {"EncryptionType": "AES256"},
            "ImageScanningConfiguration": {"ScanOnPush": True},
            "ImageTagMutability": "IMMUTABLE",
            "LifecyclePolicy": {"LifecyclePolicyText": json.dumps({"rules": [rule]}, sort_keys=True)},
            "Tags": tag_list(context.marks),
        },
    }


def _project(context: Context) -> Json:
    phases = {phase: {"commands": commands} for phase, commands in COMMANDS.items()}
    variables = {"MUSTER_REGISTRY": registry(context), "MUSTER_REPOSITORY": repository_name(context.name)}
    return {
        "Type": "AWS::CodeBuild::Project",
        # The images are cleaned away after the last build, and the log group after its last line.
        "DependsOn": [IMAGES_CLEANUP, logs.BUILDS],
        "Properties": {
            "Name": f"{STACK_PREFIX}{context.name}",
            "Artifacts": {"Type": "NO_ARTIFACTS"},
            "Cache": {"Type": "LOCAL", "Modes": ["LOCAL_DOCKER_LAYER_CACHE"]},
            "Environment": {
                "Type": "LINUX_CONTAINER",
                "ComputeType": "BUILD_GENERAL1_MEDIUM",
                "Image": BUILD_IMAGE,
                "PrivilegedMode": True,
                "EnvironmentVariables": [{"Name": key, "Value": value} for key, value in variables.items()],
            },
            "LogsConfig": {"CloudWatchLogs": {"Status": "ENABLED", "GroupName": logs.name(context, logs.BUILDS)}},
            "ServiceRole": roles.arn(roles.BUILD),
            "Source": {
                "Type": "NO_SOURCE",
                # On several lines: CodeBuild takes one line for the path of a file.
                "BuildSpec": json.dumps({"version": 0.2, "phases": phases}, sort_keys=True, indent=1),
            },
            "Tags": tag_list(context.marks),
            "TimeoutInMinutes": BUILD_MINUTES,
        },
    }


def _cleanup(context: Context, kind: str, after: list[str], **properties: object) -> Json:
    return {
        "Type": kind,
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        **({"DependsOn": after} if after else {}),
        "Properties": {"ServiceToken": context.site.cleanup_function_arn, **properties},
    }


def resources(context: Context) -> Resources:
    """Repository and project, and the clean-ups that run before they go."""
    return {
        REPOSITORY: _repository(context),
        IMAGES_CLEANUP: _cleanup(context, "Custom::EcrCleanup", [], RepositoryName=ref(REPOSITORY)),
        FILES_CLEANUP: _cleanup(
            context,
            "Custom::S3Cleanup",
            [],
            Bucket=context.site.artifacts_bucket,
            Prefix=artifacts_prefix(context.name),
        ),
        PROJECT: _project(context),
    }
