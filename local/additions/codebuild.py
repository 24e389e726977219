"""AWS CodeBuild's builds: started, followed, stopped; each in a thread, in the name of the project's service role.

With a container builder on the machine the buildspec's commands run in bash. Without one the source archive has to hold
a Dockerfile that parses, and the image that the build would push is recorded in ECR. Sources: CodeBuild API Reference
and User Guide (build phases, buildspec, notifications). Projects are MiniStack's.
"""

import contextvars
import copy
import threading
import time
from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region, json_response

from local.additions import builds
from local.additions.access import DeniedError, check_pass_role, in_own_name
from local.additions.emulator import codebuild, provisioners
from local.additions.events import emit
from local.additions.rest import RefusedError, Request, page
from local.additions.sessions import check_trust
from local.additions.settings import settings

Build = dict[str, Any]
MAX_PAGE = 100
SERVICE = "codebuild.amazonaws.com"
KEPT = ("logsConfig", "queuedTimeoutInMinutes", "concurrentBuildLimit", "cache", "vpcConfig")
"""Of a project, what MiniStack's own record leaves out."""
_running: dict[str, builds.Run] = {}
# (project, token): the build, what was asked for, when
_tokens: dict[tuple[str, str], tuple[str, Request, float]] = {}
# Overrides of StartBuild: what of the source, and what of the environment.
SOURCE = {"sourceTypeOverride": "type", "sourceLocationOverride": "location", "buildspecOverride": "buildspec"}
ENVIRONMENT = {
    "environmentTypeOverride": "type",
    "imageOverride": "image",
    "computeTypeOverride": "computeType",
    "privilegedModeOverride": "privilegedMode",
    "imagePullCredentialsTypeOverride": "imagePullCredentialsType",
}


def register() -> None:
    """Put these in MiniStack's place."""
    shape = codebuild._project_shape
    codebuild._project_shape = lambda project: shape(project) | {key: project[key] for key in KEPT if key in project}
    for name in ("_create_project", "_update_project"):
        setattr(codebuild, name, _with_role(getattr(codebuild, name)))
    codebuild._start_build, codebuild._stop_build = _answer(_start), _answer(_stop)
    codebuild._batch_get_builds = _answer(_get)
    codebuild._list_builds_for_project = _answer(_list)
    handlers = provisioners._RESOURCE_HANDLERS["AWS::CodeBuild::Project"]
    handlers["create"] = _resource(handlers["create"], lambda arguments: arguments[1])
    handlers["update"] = _resource(handlers["update"], lambda arguments: arguments[2])
    provisioners._CUSTOM_NAME_REPLACEMENT["AWS::CodeBuild::Project"] = {"name": "Name"}


def _answer(operation: Callable[[Request], Request]) -> Callable[[Request], Any]:
    def answer(request: Request) -> Any:
        try:
            return json_response(operation(request))
        except RefusedError as refused:
            return error_response_json(refused.code, str(refused), 400)

    return answer


# --- projects


def _with_role(operation: Callable[[Request], Any]) -> Callable[[Request], Any]:
    """The caller needs the right to pass the service role, and that has to trust CodeBuild."""

    def answer(request: Request) -> Any:
        role = request.get("serviceRole")
        try:
            if role:
                check_pass_role(role, SERVICE)
                check_trust(role, SERVICE)
        except DeniedError as denied:
            refused = "iam:PassRole" in str(denied)
            code = "AccessDeniedException" if refused else "InvalidInputException"
            return error_response_json(code, str(denied), 400)
        result = operation(request)
        if project := codebuild._projects.get(request.get("name", "")):
            project.update({key: request[key] for key in KEPT if key in request})
        return result

    return answer


def _resource(operation: Callable[..., Any], properties: Callable[[Any], Request]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        props = properties(arguments)
        try:
            check_trust(props["ServiceRole"], SERVICE)
        except DeniedError as denied:
            raise ValueError(str(denied)) from None
        with in_own_name():
            made = operation(*arguments)
        for key in KEPT:
            if value := props.get(key[0].upper() + key[1:]):
                codebuild._projects[made[0]][key] = provisioners._pascal_to_camel(value)
        return made

    return call


# --- builds


def _project(name: str) -> Request:
    project = codebuild._projects.get(codebuild._project_name_from_identifier(name) or "")
    if project is None:
        arn = f"arn:aws:codebuild:{get_region()}:{get_account_id()}:project/{name}"
        raise RefusedError(f"Project cannot be found: {arn}", "ResourceNotFoundException")
    return project


def _start(request: Request) -> Request:
    """StartBuild; the same request again, by its token and in time, gives the same build."""
    project, token = _project(request["projectName"]), request.get("idempotencyToken")
    key = project["arn"], token or ""
    before, asked, when = _tokens.get(key, ("", {}, 0.0))
    if before and time.time() < when + settings.build_token_seconds:
        if asked != request:
            message = f"The idempotency token {token} was used with other parameters"
            raise RefusedError(message, "InvalidInputException")
        return {"build": _shown(codebuild._builds[before])}
    build = _record(project, request)
    if token:
        _tokens[key] = build["id"], request, time.time()
    codebuild._builds[build["id"]] = build
    run = _running[build["id"]] = builds.Run(build, _announce)
    _announce(build)
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run.run,), daemon=True).start()
    return {"build": _shown(build)}


def _record(project: Request, request: Request) -> Build:
    build = codebuild._make_build_record(project, codebuild._build_id(project["name"]), request.get("sourceVersion"))
    now = time.time()
    source, environment = {**project["source"]}, copy.deepcopy(project["environment"])
    for target, names in ((source, SOURCE), (environment, ENVIRONMENT)):
        target.update({member: request[name] for name, member in names.items() if request.get(name) is not None})
    variables = {each["name"]: each for each in environment.get("environmentVariables") or []}
    variables |= {each["name"]: each for each in request.get("environmentVariablesOverride") or []}
    environment["environmentVariables"] = list(variables.values())
    build.pop("endTime")
    build.update(
        startTime=now,
        buildStatus="IN_PROGRESS",
        currentPhase="SUBMITTED",
        phases=[{"phaseType": "SUBMITTED", "startTime": now}],
        source=source,
        environment=environment,
        serviceRole=request.get("serviceRoleOverride") or project["serviceRole"],
        timeoutInMinutes=request.get("timeoutInMinutesOverride") or project["timeoutInMinutes"],
        buildComplete=False,
        logs=_logs(project, build["id"]),
    )
    return build


def _logs(project: Request, build_id: str) -> Request:
    config = project.get("logsConfig") or {}
    wanted = config.get("cloudWatchLogs") or {"status": "ENABLED"}
    group = wanted.get("groupName") or f"/aws/codebuild/{project['name']}"
    stream = "/".join(filter(None, [wanted.get("streamName"), build_id.partition(":")[2]]))
    arn = f"arn:aws:logs:{get_region()}:{get_account_id()}:log-group:{group}:log-stream:{stream}"
    places = {"groupName": group, "streamName": stream, "cloudWatchLogsArn": arn}
    return {"cloudWatchLogs": wanted} | config | (places if wanted["status"] == "ENABLED" else {})


def _shown(build: Build) -> Build:
    return copy.deepcopy(build)


def _id_of(reference: str) -> str:
    return reference.rpartition("/")[2]


def _get(request: Request) -> Request:
    """BatchGetBuilds, by ids or ARNs."""
    ids = request["ids"]
    if len(ids) > MAX_PAGE:
        raise RefusedError(f"ids has {len(ids)} entries; {MAX_PAGE} are the most", "InvalidInputException")
    found = {each: codebuild._builds.get(_id_of(each)) for each in ids}
    return {
        "builds": [_shown(build) for build in found.values() if build],
        "buildsNotFound": [each for each, build in found.items() if not build],
    }


def _list(request: Request) -> Request:
    """ListBuildsForProject: the latest first, unless asked otherwise."""
    project = _project(request["projectName"])
    sign = 1 if request.get("sortOrder") == "ASCENDING" else -1
    found = [build for build in codebuild._builds.values() if build["projectName"] == project["name"]]
    shown, more = page(found, request, MAX_PAGE, lambda build: sign * build["buildNumber"])
    return {"ids": [build["id"] for build in shown], **more}


def _stop(request: Request) -> Request:
    """StopBuild: the build ends as STOPPED soon; one that is over stays what it is."""
    build = codebuild._builds.get(_id_of(request["id"]))
    if build is None:
        raise RefusedError(f"Build cannot be found: {request['id']}", "ResourceNotFoundException")
    _running[build["id"]].stop()
    return {"build": _shown(build)}


# --- events


def _announce(build: Build) -> None:
    source, environment = build["source"], build["environment"]
    context = [f"{each['statusCode']}: {each['message']}" for each in build["phases"][-1].get("contexts") or []]
    detail = {
        "build-status": build["buildStatus"],
        "project-name": build["projectName"],
        "build-id": build["arn"],
        "current-phase": build["currentPhase"],
        "current-phase-context": str(context),
        "version": "1",
        "additional-information": {
            "environment": {
                "image": environment.get("image"),
                "privileged-mode": environment.get("privilegedMode", False),
                "compute-type": environment.get("computeType"),
                "type": environment.get("type"),
                "environment-variables": environment["environmentVariables"],
            },
            "timeout-in-minutes": build["timeoutInMinutes"],
            "build-complete": build["buildComplete"],
            "build-number": build["buildNumber"],
            "initiator": build["initiator"],
            "build-start-time": _moment(build["startTime"]),
            "source": {"location": source.get("location"), "type": source["type"]},
            "logs": {"group-name": build["logs"].get("groupName"), "stream-name": build["logs"].get("streamName")},
            "phases": [_told(phase) for phase in build["phases"]],
        },
    }
    emit("aws.codebuild", "CodeBuild Build State Change", detail, [build["arn"]])


def _told(phase: Request) -> Request:
    told: Request = {"phase-type": phase["phaseType"], "start-time": _moment(phase["startTime"])}
    if "endTime" in phase:
        told |= {
            "phase-status": phase["phaseStatus"],
            "end-time": _moment(phase["endTime"]),
            "duration-in-seconds": phase["durationInSeconds"],
            "phase-context": [f"{each['statusCode']}: {each['message']}" for each in phase.get("contexts") or []],
        }
    return told


def _moment(seconds: float) -> str:
    return time.strftime("%b %-d, %Y %-I:%M:%S %p", time.gmtime(seconds))
