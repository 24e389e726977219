"""One build of CodeBuild, from its source to its end.

All that it does to AWS it does over HTTP with the credentials of the project's service role, so that IAM is evaluated:
a role that lacks a right fails the build here as it does there.
"""

import functools
import hashlib
import io
import json
import logging
import os
import re
import shlex
import shutil
import string
import subprocess
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.exceptions import ClientError
from ministack.core.responses import get_account_id, get_region

from local.additions import dockerfile, processes, sessions
from local.additions.access import DeniedError
from local.additions.settings import settings

Build = dict[str, Any]
BUILDERS = ("docker", "podman", "buildah")
REPOSITORY, TAG = "MUSTER_REPOSITORY", "MUSTER_TAG"
"""Variables of a build: where its image goes, for a machine that cannot build one."""
COMMAND_PHASES = ("INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD")
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
# A command keeps the variables and the directory that the one before it left.
SHELL = '. {state}/env 2>/dev/null; cd "$(cat {state}/cwd)"; {{ {command}\n}}; code=$?; export -p > {state}/env; pwd > {state}/cwd; exit $code'  # noqa: E501
# The registry's address is AWS's, and the one that answers is here.
SHIM = '#!/usr/bin/env bash\nexec {program} "${{@//{registry}/{here}}}"\n'
logger = logging.getLogger(__name__)


class EndedError(Exception):
    """A phase did not succeed: its status, and the context that tells why."""

    def __init__(self, status: str, code: str = "", message: str = "") -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Run:
    """A build in progress. `announce` is called when its status has changed."""

    def __init__(self, build: Build, announce: Callable[[Build], None]) -> None:
        self._build, self._announce = build, announce
        self._stopped = threading.Event()
        self._deadline = time.monotonic() + build["timeoutInMinutes"] * 60
        self._home = Path(tempfile.mkdtemp(prefix="codebuild-"))
        self._source = self._home / "src"
        self._env: dict[str, str] = {}
        self._spec: dict[str, Any] = {}
        self._log: Callable[[str], None] = lambda _: None

    def stop(self) -> None:
        """Have it end as STOPPED."""
        self._stopped.set()

    def run(self) -> None:
        """All phases; in a thread of its own."""
        try:
            status = self._phases()
        except Exception:
            logger.exception("build %s", self._build["id"])
            status = "FAULT"
        finally:
            shutil.rmtree(self._home, ignore_errors=True)
        now = time.time()
        self._build["phases"].append({"phaseType": "COMPLETED", "startTime": now})
        self._build.update(buildStatus=status, currentPhase="COMPLETED", endTime=now, buildComplete=True)
        self._announce(self._build)

    def _phases(self) -> str:
        status = "SUCCEEDED"
        steps = {"SUBMITTED": self._submit, "QUEUED": None, "PROVISIONING": self._provision,
                 "DOWNLOAD_SOURCE": self._download, **dict.fromkeys(COMMAND_PHASES, self._commands),
                 "UPLOAD_ARTIFACTS": None, "FINALIZING": None}  # fmt: skip
        for name, step in steps.items():
            after_failure = name == "FINALIZING" or (name == "POST_BUILD" and self._build["currentPhase"] == "BUILD")
            if status == "SUCCEEDED" or (after_failure and status == "FAILED"):
                ended = self._phase(name, step)
                status = ended if status == "SUCCEEDED" else status
        return status

    def _phase(self, name: str, step: Callable[[str], None] | None) -> str:
        phase: dict[str, Any] = {"phaseType": name, "startTime": time.time()}
        if name != "SUBMITTED":
            self._build["phases"].append(phase)
        phase = self._build["phases"][-1]
        self._build["currentPhase"] = name
        status, contexts = "SUCCEEDED", []
        try:
            if step:
                step(name)
        except EndedError as ended:
            status = ended.status
            contexts = [{"statusCode": ended.code, "message": str(ended)}] if ended.code else []
        except (ClientError, DeniedError) as error:
            status, contexts = "FAILED", [{"statusCode": "CLIENT_ERROR", "message": str(error)}]
        now = time.time()
        phase.update(phaseStatus=status, endTime=now, contexts=contexts)
        phase["durationInSeconds"] = int(now - phase["startTime"])
        told = "".join(f" {each['statusCode']}: {each['message']}" for each in contexts)
        self._log(f"[Container] Phase complete: {name} State: {status}{told}")
        return status

    # --- steps

    def _submit(self, _: str) -> None:
        role = self._build["serviceRole"]
        session = f"AWSCodeBuild-{self._build['id'].partition(':')[2]}"
        access = sessions.assumed(role, "codebuild.amazonaws.com", session)
        variables = {each["name"]: each["value"] for each in self._build["environment"]["environmentVariables"]}
        self._env = access | variables | {
            "CODEBUILD_BUILD_ID": self._build["id"],
            "CODEBUILD_BUILD_ARN": self._build["arn"],
            "CODEBUILD_BUILD_NUMBER": str(self._build["buildNumber"]),
            "CODEBUILD_INITIATOR": self._build["initiator"],
            "CODEBUILD_SRC_DIR": str(self._source),
        }  # fmt: skip
        self._session = boto3.Session(
            access["AWS_ACCESS_KEY_ID"],
            access["AWS_SECRET_ACCESS_KEY"],
            access["AWS_SESSION_TOKEN"],
            region_name=get_region(),
        )

    def _client(self, service: Any) -> Any:
        return self._session.client(service, endpoint_url=self._env["AWS_ENDPOINT_URL"])

    def _provision(self, _: str) -> None:
        """Open the log stream, which is the service role's doing."""
        places = self._build["logs"]
        if "groupName" not in places:
            return
        logs = self._client("logs")
        name = {"logGroupName": places["groupName"]}
        stream = name | {"logStreamName": places["streamName"]}
        try:
            try:
                logs.create_log_stream(**stream)
            except logs.exceptions.ResourceNotFoundException:
                logs.create_log_group(**name)
                logs.create_log_stream(**stream)
        except ClientError as error:
            role = self._build["serviceRole"]
            message = (
                f"Service role {role} does not allow AWS CodeBuild to create Amazon CloudWatch Logs log streams for "
                f"build {self._build['arn']}. Error message: {error}"
            )
            raise EndedError("FAILED", "ACCESS_DENIED", message) from None

        def write(line: str) -> None:
            event = {"timestamp": int(time.time() * 1000), "message": f"{line}\n"}
            logs.put_log_events(**stream, logEvents=[event])

        self._log = write

    def _download(self, _: str) -> None:
        """The archive from S3, and the buildspec: given inline, or a file of the archive."""
        source = self._build["source"]
        self._source.mkdir()
        if source["type"] == "S3":
            bucket, _, key = source["location"].removeprefix("arn:aws:s3:::").partition("/")
            body = self._client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
            try:
                zipfile.ZipFile(io.BytesIO(body)).extractall(self._source)
            except zipfile.BadZipFile as error:
                raise EndedError("FAILED", "CLIENT_ERROR", f"{source['location']}: {error}") from None
        given = source.get("buildspec") or "buildspec.yml"
        path = self._source / given
        if "\n" not in given and not path.is_file():
            raise EndedError("FAILED", "YAML_FILE_ERROR", f"stat {path}: no such file or directory")
        try:
            self._spec = yaml.safe_load(given if "\n" in given else path.read_text())
        except yaml.YAMLError as error:
            raise EndedError("FAILED", "YAML_FILE_ERROR", str(error)) from None
        variables = (self._spec.get("env") or {}).get("variables") or {}
        self._env = {key: str(value) for key, value in variables.items()} | self._env

    def _commands(self, name: str) -> None:
        phase = (self._spec.get("phases") or {}).get(name.lower()) or {}
        if name == "BUILD":
            self._hold()
        if builder():
            for command in phase.get("commands") or []:
                self._execute(command)
        elif name == "BUILD":
            self._sleep(settings.build_seconds)
            self._check_source()
        elif name == "POST_BUILD":
            self._record_image()

    def _hold(self) -> None:
        project = self._build["projectName"]
        while project in settings.held_builds:
            self._sleep(0.02)
        for pattern, message in settings.build_failures.items():
            if fnmatch(project, pattern):
                raise EndedError("FAILED", "COMMAND_EXECUTION_ERROR", message)

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise EndedError("STOPPED")
        if time.monotonic() > self._deadline:
            raise EndedError("TIMED_OUT", "BUILD_TIMED_OUT", "Build has timed out.")

    # --- with a builder

    def _execute(self, command: str) -> None:
        env = processes.environ(self._home) | self._env
        env["PATH"] = f"{self._shims()}:{settings.builder_path}:{env['PATH']}"
        if not (self._home / "cwd").exists():
            (self._home / "cwd").write_text(str(self._source))
        self._log(f"[Container] Running command {command}")
        code: list[int] = []
        over = threading.Event()
        script = SHELL.format(state=shlex.quote(str(self._home)), command=command)
        process = processes.Process(
            ["bash", "-c", script], env, self._source, self._log, lambda each: (code.append(each), over.set())[1]
        )
        try:
            while not over.wait(0.02):
                self._sleep(0)
        except EndedError:
            process.stop()
            over.wait()
            raise
        if code[0]:
            message = f"Error while executing command: {command}. Reason: exit status {code[0]}"
            raise EndedError("FAILED", "COMMAND_EXECUTION_ERROR", message)

    def _shims(self) -> Path:
        """A directory of builders that take the address of AWS's registry for that of this one."""
        directory = self._home / "bin"
        directory.mkdir(exist_ok=True)
        registry = f"{get_account_id()}.dkr.ecr.{get_region()}.amazonaws.com"
        here = self._env["AWS_ENDPOINT_URL"].removeprefix("http://")
        for name in BUILDERS:
            if program := shutil.which(name, path=_builder_path()):
                shim = directory / name
                shim.write_text(SHIM.format(program=shlex.quote(program), registry=registry, here=here))
                shim.chmod(0o755)
        return directory

    # --- without one

    def _check_source(self) -> None:
        """Whether the Dockerfile that the buildspec names, or the one at the top, is there and parses."""
        commands = [each for phase in (self._spec.get("phases") or {}).values() for each in phase.get("commands") or []]
        named = re.search(r"\bbuild\b.*?\s(?:-f|--file)[= ]\s*(\S+)", "\n".join(commands))
        name = string.Template(named[1].strip("\"'") if named else "Dockerfile").safe_substitute(self._env)
        path = self._source / name
        if not path.is_file():
            message = f"failed to read dockerfile: open {name}: no such file or directory"
            raise EndedError("FAILED", "COMMAND_EXECUTION_ERROR", message)
        self._log(f"[Container] No container builder on this machine: {name} is checked and not built")
        if fault := dockerfile.fault(path.read_text(errors="replace")):
            raise EndedError("FAILED", "COMMAND_EXECUTION_ERROR", f"{name}: {fault}")

    def _record_image(self) -> None:
        """What ``docker push`` would call, with an image of no layers."""
        if self._build["phases"][-2]["phaseStatus"] != "SUCCEEDED" or REPOSITORY not in self._env:
            return
        ecr, repository = self._client("ecr"), self._env[REPOSITORY].rpartition(".amazonaws.com/")[2]
        config = json.dumps({"architecture": "amd64", "os": "linux", "build": self._build["id"]}).encode()
        digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
        ecr.get_authorization_token()
        ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[digest])
        upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
        ecr.upload_layer_part(repositoryName=repository, uploadId=upload, partFirstByte=0,
                              partLastByte=len(config) - 1, layerPartBlob=config)  # fmt: skip
        ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest])
        kind = "application/vnd.docker.container.image.v1+json"
        body = {"mediaType": kind, "size": len(config), "digest": digest}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": body, "layers": []}
        ecr.put_image(repositoryName=repository, imageManifest=json.dumps(manifest), imageManifestMediaType=MANIFEST,
                      imageTag=self._env[TAG])  # fmt: skip


def _builder_path() -> str:
    return settings.builder_path or os.environ.get("PATH", os.defpath)


def builder() -> str | None:
    """The container builder of this machine: docker if its daemon answers, podman or buildah."""
    path = _builder_path()
    for name in BUILDERS:
        program = shutil.which(name, path=path)
        if program and (name != "docker" or _answers(program)):
            return program
    return None


@functools.cache
def _answers(docker: str) -> bool:
    """Whether there is a daemon behind the command."""
    try:
        return subprocess.run([docker, "info"], capture_output=True, timeout=10, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False
