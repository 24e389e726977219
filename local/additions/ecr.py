"""Where MiniStack's ECR bends the API: images of several tags, images that are not there, pages; and its events.

Sources: ECR API Reference (BatchDeleteImage, BatchGetImage, DescribeImages, ListImages), ECR user guide ("Amazon ECR
events and EventBridge").
"""

import json
from typing import Any

from ministack.core.responses import error_response_json, json_response

from local.additions.emulator import ecr
from local.additions.events import emit
from local.additions.rest import RefusedError, Request, page

MAX_ASKED = 100
MAX_PAGE = 1000


def register() -> None:
    """Put these in MiniStack's place."""
    ecr._list_images, ecr._describe_images = _answer(_list_images), _describe_images(ecr._describe_images)
    ecr._batch_delete_image, ecr._batch_get_image = _answer(_batch_delete_image), _answer(_batch_get_image)
    ecr._put_image, ecr._v2_put_manifest = _put_image(ecr._put_image), _put_manifest(ecr._v2_put_manifest)


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


def _batch_get_image(name: str, request: Request) -> Request:
    """Each image under the tag that it was asked for by."""
    ids = request["imageIds"]
    if len(ids) > MAX_ASKED:
        raise RefusedError(f"imageIds has {len(ids)} entries; {MAX_ASKED} are the most")
    asked = [(wanted, ecr._find_image(name, wanted)) for wanted in ids]
    images = [
        {
            "registryId": image["registryId"],
            "repositoryName": name,
            "imageId": {"imageDigest": image["imageDigest"], **wanted},
            "imageManifest": image["imageManifest"],
            "imageManifestMediaType": image["imageManifestMediaType"],
        }
        for wanted, image in asked
        if image
    ]
    return {"images": images, "failures": [_missing(wanted) for wanted, image in asked if not image]}


def _missing(wanted: Request) -> Request:
    return {"imageId": wanted, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"}


# --- events: of each push and of each tag or image deleted


def _announce(action: str, repository: str, image_id: Request) -> None:
    detail = {"result": "SUCCESS", "repository-name": repository, "image-digest": image_id["imageDigest"],
              "action-type": action}  # fmt: skip
    tag = {"image-tag": image_id["imageTag"]} if "imageTag" in image_id else {}
    emit("aws.ecr", "ECR Image Action", detail | tag, [])


def _put_image(put: Any) -> Any:
    def answer(request: Request) -> Any:
        status, headers, body = put(request)
        if status == 200:
            image = json.loads(body)["image"]
            tag = {"imageTag": request["imageTag"]} if request.get("imageTag") else {}
            _announce("PUSH", image["repositoryName"], {"imageDigest": image["imageId"]["imageDigest"], **tag})
        return status, headers, body

    return answer


def _put_manifest(put: Any) -> Any:
    def answer(name: str, reference: str, *rest: Any) -> Any:
        status, headers, body = put(name, reference, *rest)
        if status == 201:
            tag = {} if reference.startswith("sha256:") else {"imageTag": reference}
            _announce("PUSH", name, {"imageDigest": headers["Docker-Content-Digest"], **tag})
        return status, headers, body

    return answer


def _batch_delete_image(name: str, request: Request) -> Request:
    """By tag the tag is removed, and the image with its last one; by digest the image with all its tags."""
    ids = request["imageIds"]
    if len(ids) > MAX_ASKED:
        raise RefusedError(f"imageIds has {len(ids)} entries; {MAX_ASKED} are the most")
    deleted: list[Request] = []
    failures: list[Request] = []
    for wanted in ids:
        image = ecr._find_image(name, wanted)
        if image is None:
            failures.append(_missing(wanted))
            continue
        tags = image["imageTags"] if "imageTag" not in wanted else [wanted["imageTag"]]
        deleted += [{"imageDigest": image["imageDigest"], **tag} for tag in [{"imageTag": tag} for tag in tags] or [{}]]
        image["imageTags"] = [tag for tag in image["imageTags"] if tag not in tags]
        if not image["imageTags"]:
            ecr._images[name].remove(image)
    for image_id in deleted:
        _announce("DELETE", name, image_id)
    return {"imageIds": deleted, "failures": failures}
