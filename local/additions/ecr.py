"""Where MiniStack's ECR bends the API: images of several tags, images that are not there, pages.

Source: ECR API Reference (BatchDeleteImage, DescribeImages, ListImages).
"""

from typing import Any

from ministack.core.responses import error_response_json, json_response

from local.additions.emulator import ecr
from local.additions.rest import RefusedError, Request, page

MAX_DELETED = 100
MAX_PAGE = 1000


def register() -> None:
    """Put these in MiniStack's place."""
    ecr._list_images, ecr._describe_images = _answer(_list_images), _describe_images(ecr._describe_images)
    ecr._batch_delete_image = _answer(_batch_delete_image)


def _answer(operation: Any) -> Any:
    def answer(request: Request) -> Any:
        name = request.get("repositoryName", "")
        if name not in ecr._repositories:
            message = f"The repository with name '{name}' does not exist in the registry"
            return error_response_json("RepositoryNotFoundException", message, 400)
        try:
            return json_response(operation(name, request))
        except RefusedError as refused:
            return error_response_json("InvalidParameterException", str(refused), 400)

    return answer


def _list_images(name: str, request: Request) -> Request:
    """One id for each tag, and one for an image without."""
    wanted = (request.get("filter") or {}).get("tagStatus", "ANY")
    ids = [
        {"imageDigest": image["imageDigest"], **tag}
        for image in ecr._images[name]
        for tag in [{"imageTag": tag} for tag in image["imageTags"]] or [{}]
        if wanted == "ANY" or (wanted == "TAGGED") == bool(tag)
    ]
    shown, more = page(ids, request, MAX_PAGE, lambda each: f"{each['imageDigest']}:{each.get('imageTag', '')}")
    return {"imageIds": shown, **more}


def _describe_images(describe: Any) -> Any:
    def answer(request: Request) -> Any:
        name = request.get("repositoryName", "")
        for wanted in request.get("imageIds") or []:
            if name in ecr._repositories and not ecr._find_image(name, wanted):
                message = f"The image with imageId {wanted} does not exist within the repository with name '{name}'"
                return error_response_json("ImageNotFoundException", message, 400)
        return describe(request)

    return answer


def _batch_delete_image(name: str, request: Request) -> Request:
    """By tag the tag is removed, and the image with its last one; by digest the image with all its tags."""
    ids = request["imageIds"]
    if len(ids) > MAX_DELETED:
        raise RefusedError(f"imageIds has {len(ids)} entries; {MAX_DELETED} are the most")
    deleted: list[Request] = []
    failures: list[Request] = []
    for wanted in ids:
        image = ecr._find_image(name, wanted)
        if image is None:
            reason = "Requested image not found"
            failures.append({"imageId": wanted, "failureCode": "ImageNotFound", "failureReason": reason})
            continue
        tags = image["imageTags"] if "imageTag" not in wanted else [wanted["imageTag"]]
        deleted += [{"imageDigest": image["imageDigest"], **tag} for tag in [{"imageTag": tag} for tag in tags] or [{}]]
        image["imageTags"] = [tag for tag in image["imageTags"] if tag not in tags]
        if not image["imageTags"]:
            ecr._images[name].remove(image)
    return {"imageIds": deleted, "failures": failures}
