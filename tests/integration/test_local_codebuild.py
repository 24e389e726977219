"""CodeBuild and ECR on the local AWS: builds without a container builder and with one, images and repositories."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.aws import ACCOUNT

TRUST = {"Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "sts:AssumeRole"}
REGISTRY = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"
BUILDSPEC = """
version: 0.2
phases:
  pre_build:
    commands:
      - export STAMP=$(date +%s)
  build:
    commands:
      - echo building $MUSTER_TAG at $STAMP
      - docker build -t $MUSTER_REPOSITORY:$MUSTER_TAG -f image/Dockerfile image
  post_build:
    commands:
      - test "$CODEBUILD_BUILD_SUCCEEDING" != 0 && docker push $MUSTER_REPOSITORY:$MUSTER_TAG
"""
PUSH = ("ecr:BatchCheckLayerAvailability", "ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage",
        "ecr:UploadLayerPart")  # fmt: skip
LOGS = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")


class Project:
    """A project whose source is in S3, its repository and its role."""

    def __init__(self, clients: Any, name: str, eventually: Callable[..., Any]) -> None:
        self.api, self.ecr, self.s3, self.iam = (clients(each) for each in ("codebuild", "ecr", "s3", "iam"))
        self.logs, self.name, self.eventually = clients("logs"), name, eventually
        self.role = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [TRUST]}))
        self.role = self.role["Role"]["Arn"]
        self.allow(*PUSH, *LOGS, "ecr:GetAuthorizationToken", "s3:GetObject")
        self.s3.create_bucket(Bucket=name)
        self.ecr.create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
        self.upload()
        self.api.create_project(**self.properties())

    def properties(self) -> dict[str, Any]:
        variable = {"name": "MUSTER_REPOSITORY", "value": f"{REGISTRY}/{self.name}"}
        return {
            "name": self.name,
            "source": {"type": "S3", "location": f"{self.name}/source.zip"},
            "artifacts": {"type": "NO_ARTIFACTS"},
            "environment": {"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0",
                            "computeType": "BUILD_GENERAL1_SMALL", "environmentVariables": [variable]},
            "serviceRole": self.role,
        }  # fmt: skip

    def allow(self, *actions: str) -> None:
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.iam.put_role_policy(RoleName=self.name, PolicyName="p", PolicyDocument=document)

    def upload(self, dockerfile: str | None = "FROM scratch\n", key: str = "source.zip") -> str:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("buildspec.yml", BUILDSPEC)
            if dockerfile is not None:
                file.writestr("image/Dockerfile", dockerfile)
        self.s3.put_object(Bucket=self.name, Key=key, Body=archive.getvalue())
        return f"{self.name}/{key}"

    def start(self, tag: str = "one", **options: Any) -> str:
        variable = {"name": "MUSTER_TAG", "value": tag}
        started = self.api.start_build(projectName=self.name, environmentVariablesOverride=[variable], **options)
        return started["build"]["id"]

    def build(self, build_id: str) -> dict[str, Any]:
        return self.api.batch_get_builds(ids=[build_id])["builds"][0]

    def over(self, build_id: str) -> dict[str, Any]:
        return self.eventually(lambda: (build := self.build(build_id))["buildComplete"] and build)

    def lines(self, build: dict[str, Any]) -> list[str]:
        places = build["logs"]
        events = self.logs.get_log_events(
            logGroupName=places["groupName"], logStreamName=places["streamName"], startFromHead=True
        )
        return [event["message"] for event in events["events"]]

    def tags(self) -> list[str]:
        return sorted(each["imageTag"] for each in self.ecr.list_images(repositoryName=self.name)["imageIds"])


@pytest.fixture
def project(aws, clients, eventually, name, tmp_path) -> Project:
    (tmp_path / "none").mkdir()
    aws.set(builder_path=str(tmp_path / "none"), build_seconds=0)
    return Project(clients, name, eventually)


def _failure(build: dict[str, Any]) -> tuple[str, str]:
    (phase,) = (each for each in build["phases"] if each.get("phaseStatus") == "FAILED")
    return phase["phaseType"], f"{phase['contexts'][0]['statusCode']}: {phase['contexts'][0]['message']}"


def test_a_build_without_a_builder_checks_the_source_and_records_the_image(project, inbox, eventually) -> None:
    build_id = project.start("one", idempotencyToken="t")
    assert project.start("one", idempotencyToken="t") == build_id, "the same request again"
    build = project.over(build_id)
    assert (build["buildStatus"], build["currentPhase"]) == ("SUCCEEDED", "COMPLETED")
    assert [phase["phaseType"] for phase in build["phases"]] == [
        "SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD",
        "UPLOAD_ARTIFACTS", "FINALIZING", "COMPLETED",
    ]  # fmt: skip
    assert project.tags() == ["one"]
    assert any("is checked and not built" in line for line in project.lines(build))
    second = project.start("two")
    project.over(second)
    assert project.api.list_builds_for_project(projectName=project.name)["ids"] == [second, build_id]

    def told() -> list[str]:
        details = [event["detail"] for event in inbox() if event["detail-type"] == "CodeBuild Build State Change"]
        return [detail["build-status"] for detail in details if detail["build-id"] == build["arn"]]

    eventually(lambda: told() == ["IN_PROGRESS", "SUCCEEDED"])
    assert _failure(project.over(project.start("one")))[0] == "POST_BUILD", "an immutable tag is not pushed twice"


@pytest.mark.parametrize(
    ("dockerfile", "message"),
    [
        ("FROM scratch\nRUM x", "dockerfile parse error on line 2: unknown instruction: RUM"),
        ("# nothing\n", "it has no build stage"),
        ("RUN x\nFROM scratch", "line 1: no build stage in current context"),
        ("FROM", "line 1: FROM requires at least one argument"),
        (None, "open image/Dockerfile: no such file"),
    ],
)
def test_a_dockerfile_that_does_not_parse_fails_the_build(project, dockerfile, message) -> None:
    build = project.over(project.start(sourceLocationOverride=project.upload(dockerfile, "other.zip")))
    assert build["buildStatus"] == "FAILED"
    phase, told = _failure(build)
    assert phase == "BUILD"
    assert message in told
    assert project.tags() == []


def test_a_dockerfile_with_all_that_is_odd_parses(project) -> None:
    text = "# escape=\\\nARG V=1\nFROM a:$V AS x\nRUN a && \\\n  # why\n  b\nRUN <<EOF\nanything goes\nEOF\ncopy a b\n"
    project.upload(text)
    assert project.over(project.start())["buildStatus"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("rights", "phase", "message"),
    [
        (
            (*PUSH, "ecr:GetAuthorizationToken", "s3:GetObject"),
            "PROVISIONING",
            "does not allow AWS CodeBuild",
        ),
        ((*LOGS, *PUSH, "ecr:GetAuthorizationToken"), "DOWNLOAD_SOURCE", "AccessDenied"),
        ((*LOGS, *PUSH[:3], "ecr:GetAuthorizationToken", "s3:GetObject"), "POST_BUILD", "AccessDenied"),
    ],
)
def test_a_build_has_the_rights_of_its_role_and_no_others(project, rights, phase, message) -> None:
    project.allow(*rights)
    failed, told = _failure(project.over(project.start()))
    assert failed == phase
    assert message in told


def test_a_build_is_stopped_and_one_fails_as_the_test_wants(aws, project, eventually) -> None:
    aws.set(held_builds=[project.name])
    held = project.start()
    eventually(lambda: project.build(held)["currentPhase"] == "BUILD")
    assert project.build(held)["buildStatus"] == "IN_PROGRESS"
    project.api.stop_build(id=held)
    assert project.over(held)["buildStatus"] == "STOPPED"
    aws.set(held_builds=[], build_failures={project.name: "no space left"})
    assert _failure(project.over(project.start())) == ("BUILD", "COMMAND_EXECUTION_ERROR: no space left")


def test_a_token_means_one_build_while_it_is_known_and_no_other(aws, project) -> None:
    first = project.start("one", idempotencyToken="t")
    with pytest.raises(ClientError, match="other parameters") as refused:
        project.start("two", idempotencyToken="t")
    assert refused.value.response["Error"]["Code"] == "InvalidInputException"
    assert project.start("one", idempotencyToken="t") == first
    assert project.start("one", idempotencyToken="u") != first
    aws.set(build_token_seconds=0)
    assert project.start("one", idempotencyToken="t") != first, "its time is over"


def test_a_build_is_told_what_to_build_and_on_what(project, stacks, name) -> None:
    """A project without a source, as CloudFormation makes it, and all that the start of a build gives it."""
    buildspec = json.dumps({"version": 0.2, "phases": {"build": {"commands": ["docker build --tag x ."]}}}, indent=2)
    variables = [{"Name": "MUSTER_REPOSITORY", "Value": name}]
    template: dict[str, Any] = {
        "Type": "AWS::CodeBuild::Project",
        "Properties": {
            "Name": f"{name}-stack", "ServiceRole": project.role, "Artifacts": {"Type": "NO_ARTIFACTS"},
            "Environment": {"Type": "LINUX_CONTAINER", "Image": "x86", "ComputeType": "BUILD_GENERAL1_SMALL",
                            "PrivilegedMode": True, "EnvironmentVariables": variables},
            "Source": {"Type": "NO_SOURCE", "BuildSpec": buildspec},
        },
    }  # fmt: skip
    assert stacks.create(name, {"Project": template}) == "CREATE_COMPLETE"
    project.name = f"{name}-stack"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("Dockerfile", "FROM scratch\n")
    project.s3.put_object(Bucket=name, Key="other.zip", Body=archive.getvalue())
    build = project.over(
        project.start(
            "arm",
            sourceTypeOverride="S3",
            sourceLocationOverride=f"{name}/other.zip",
            environmentTypeOverride="ARM_CONTAINER",
            imageOverride="aarch64",
            computeTypeOverride="BUILD_GENERAL1_LARGE",
        )
    )
    assert build["buildStatus"] == "SUCCEEDED", project.lines(build)
    assert (build["source"]["type"], build["source"]["location"]) == ("S3", f"{name}/other.zip")
    environment = {key: build["environment"][key] for key in ("type", "image", "computeType", "privilegedMode")}
    assert environment == {
        "type": "ARM_CONTAINER",
        "image": "aarch64",
        "computeType": "BUILD_GENERAL1_LARGE",
        "privilegedMode": True,
    }
    assert project.api.batch_get_projects(names=[project.name])["projects"][0]["environment"]["image"] == "x86"
    project.name = name
    assert project.tags() == ["arm"]
    project.api.delete_project(name=f"{name}-stack")
    assert stacks.delete(name) == "DELETE_COMPLETE", stacks.reasons(name)


def test_what_is_not_there_of_builds_is_told(aws, project) -> None:
    api = project.api
    done = project.over(project.start())
    assert api.stop_build(id=done["arn"])["build"]["buildStatus"] == "SUCCEEDED", "what is over stays what it is"
    found = api.batch_get_builds(ids=[done["id"], f"{project.name}:never"])
    assert ([each["id"] for each in found["builds"]], found["buildsNotFound"]) == (
        [done["id"]],
        [f"{project.name}:never"],
    )
    missing = api.exceptions.ResourceNotFoundException
    for call, options in (
        (api.list_builds_for_project, {"projectName": "none"}),
        (api.start_build, {"projectName": "none"}),
        (api.stop_build, {"id": f"{project.name}:never"}),
    ):
        with pytest.raises(missing):
            call(**options)


def test_a_project_s_builds_are_for_those_who_may(aws, project, clients, name) -> None:
    """Upon the project, whatever names the build; by its tags."""
    project.api.update_project(name=name, tags=[{"key": "owner", "value": "me"}])
    iam = clients("iam")
    iam.create_user(UserName=name)
    actions = ["BatchGetBuilds", "ListBuildsForProject", "StartBuild", "StopBuild"]
    statement = {
        "Effect": "Allow",
        "Action": [f"codebuild:{each}" for each in actions],
        "Resource": f"arn:aws:codebuild:us-east-1:{ACCOUNT}:project/test-*",
        "Condition": {"StringEquals": {"aws:ResourceTag/owner": "me"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    user: Any = aws.client(
        "codebuild", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    )
    build = user.start_build(projectName=name)["build"]
    assert user.list_builds_for_project(projectName=name)["ids"] == [build["id"]]
    assert user.batch_get_builds(ids=[build["id"]])["builds"]
    user.stop_build(id=build["arn"])
    project.api.update_project(name=name, tags=[{"key": "owner", "value": "you"}])
    for call, options in (
        (user.start_build, {"projectName": name}),
        (user.list_builds_for_project, {"projectName": name}),
        (user.batch_get_builds, {"ids": [build["id"]]}),
        (user.stop_build, {"id": build["id"]}),
    ):
        with pytest.raises(ClientError, match="not authorized"):
            call(**options)


def test_a_role_that_does_not_trust_codebuild_makes_no_project(project) -> None:
    nobody = json.dumps({"Statement": []})
    role = project.iam.create_role(RoleName=f"{project.name}-o", AssumeRolePolicyDocument=nobody)["Role"]["Arn"]
    with pytest.raises(ClientError, match="not authorized to perform: sts:AssumeRole"):
        project.api.create_project(**project.properties() | {"name": "other", "serviceRole": role})


# A builder that keeps what it was asked, and pushes as docker does.
DOCKER = """#!/usr/bin/env python3
import sys, urllib.request
words = sys.argv[1:]
print(*words)
if words[0] == "push":
    host, _, rest = words[1].partition("/")
    name, _, tag = rest.rpartition(":")
    request = urllib.request.Request(f"http://{host}/v2/{name}/manifests/{tag}", b'{"schemaVersion": 2}', method="PUT")
    print(urllib.request.urlopen(request).status)
if "fail" in words[2:3][0:1] or ":fail" in " ".join(words):
    sys.exit(7)
"""


def test_with_a_builder_the_commands_of_the_buildspec_run(aws, project, tmp_path: Path) -> None:
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "docker").write_text(DOCKER)
    (directory / "docker").chmod(0o755)
    aws.set(builder_path=str(directory))
    build = project.over(project.start("real"))
    lines = [line.strip() for line in project.lines(build)]
    assert build["buildStatus"] == "SUCCEEDED", lines
    here = aws.endpoint.removeprefix("http://")
    assert f"build -t {here}/{project.name}:real -f image/Dockerfile image" in lines
    assert any(line.startswith("building real at 1") for line in lines), "a variable lives from phase to phase"
    assert project.tags() == ["real"]
    failed = project.over(project.start("fail"))
    contexts = [phase["contexts"][0]["message"] for phase in failed["phases"] if phase.get("contexts")]
    assert "docker build" in contexts[0]
    assert contexts[0].endswith("Reason: exit status 7")


# --- images


def test_a_tag_is_taken_off_an_image_and_the_last_one_takes_the_image(project) -> None:
    def put(manifest: str, *tags: str) -> str:
        for tag in tags:
            made = project.ecr.put_image(repositoryName=project.name, imageManifest=manifest, imageTag=tag)
        return made["image"]["imageId"]["imageDigest"]

    digest, name = put("{}", "a", "b", "c"), project.name
    pages = project.ecr.get_paginator("list_images").paginate(repositoryName=name, PaginationConfig={"PageSize": 2})
    assert [len(page["imageIds"]) for page in pages] == [2, 1]
    project.ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": "a"}])
    assert project.tags() == ["b", "c"]
    with pytest.raises(project.ecr.exceptions.ImageNotFoundException):
        project.ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "a"}])
    gone = project.ecr.batch_delete_image(
        repositoryName=name, imageIds=[{"imageDigest": digest}, {"imageTag": "never"}]
    )
    assert len(gone["imageIds"]) == 2
    assert [each["failureCode"] for each in gone["failures"]] == ["ImageNotFound"]
    assert project.tags() == []


def test_a_stacks_repository_with_images_goes_only_if_it_may(project, stacks, clients, name) -> None:
    policy = {"LifecyclePolicyText": json.dumps({"rules": []})}
    properties: dict[str, Any] = {
        "ImageTagMutability": "IMMUTABLE", "LifecyclePolicy": policy,
        "ImageScanningConfiguration": {"ScanOnPush": True},
    }  # fmt: skip
    environment = {"Type": "LINUX_CONTAINER", "Image": "i", "ComputeType": "BUILD_GENERAL1_SMALL"}
    template = {
        "Repository": {"Type": "AWS::ECR::Repository", "Properties": properties},
        "Project": {
            "Type": "AWS::CodeBuild::Project",
            "Properties": {
                "ServiceRole": project.role, "Artifacts": {"Type": "NO_ARTIFACTS"}, "Environment": environment,
                "Source": {"Type": "S3", "Location": f"{name}/source.zip"},
                "LogsConfig": {"CloudWatchLogs": {"Status": "ENABLED", "GroupName": f"{name}-logs"}},
            },
        },
    }  # fmt: skip
    assert stacks.create(name, template, Tags=[{"Key": "owner", "Value": "me"}]) == "CREATE_COMPLETE"
    repository, made = stacks.resource(name, "Repository"), stacks.resource(name, "Project")
    found = project.api.batch_get_projects(names=[made])["projects"][0]
    assert found["logsConfig"]["cloudWatchLogs"]["groupName"] == f"{name}-logs"
    tagged = clients("resourcegroupstaggingapi").get_resources(TagFilters=[{"Key": "owner", "Values": ["me"]}])
    assert found["arn"] in {each["ResourceARN"] for each in tagged["ResourceTagMappingList"]}
    shown = project.ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]
    assert shown["imageScanningConfiguration"] == {"scanOnPush": True}
    project.ecr.put_image(repositoryName=repository, imageManifest="{}", imageTag="a")
    assert stacks.delete(name) == "DELETE_FAILED"
    project.ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "a"}])
    assert stacks.delete(name) == "DELETE_COMPLETE"
    properties["EmptyOnDelete"] = True
    other = f"{name}-2"
    assert stacks.create(other, {"Repository": template["Repository"]}) == "CREATE_COMPLETE"
    project.ecr.put_image(repositoryName=stacks.resource(other, "Repository"), imageManifest="{}", imageTag="a")
    assert stacks.delete(other) == "DELETE_COMPLETE"


def test_an_image_is_asked_for_by_its_tag_and_one_that_is_not_there_is_a_failure(project, name) -> None:
    ecr = project.ecr
    for tag in ("a", "b"):
        ecr.put_image(repositoryName=name, imageManifest="{}", imageTag=tag)
    found = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageTag": tag} for tag in ("a", "b", "c")])
    assert [each["imageId"]["imageTag"] for each in found["images"]] == ["a", "b"]
    assert len({each["imageId"]["imageDigest"] for each in found["images"]}) == 1
    assert [(each["imageId"], each["failureCode"]) for each in found["failures"]] == [
        ({"imageTag": "c"}, "ImageNotFound")
    ]
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        ecr.batch_get_image(repositoryName="none", imageIds=[{"imageTag": "a"}])


def test_images_that_come_and_go_are_events(aws, project, inbox, eventually, tmp_path: Path) -> None:
    def told() -> list[tuple[str, str, str | None]]:
        details = [event["detail"] for event in inbox() if event["detail-type"] == "ECR Image Action"]
        own = [each for each in details if each["repository-name"] == project.name]
        assert {each["result"] for each in own} <= {"SUCCESS"}
        assert all(each["image-digest"].startswith("sha256:") for each in own)
        return [(each["action-type"], each["repository-name"], each.get("image-tag")) for each in own]

    def happened(*events: tuple[str, str | None]) -> bool:
        return told() == [(action, project.name, tag) for action, tag in events]

    project.over(project.start("one"))
    eventually(lambda: happened(("PUSH", "one")))
    project.over(project.start("one"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(DOCKER)
    (tmp_path / "bin" / "docker").chmod(0o755)
    aws.set(builder_path=str(tmp_path / "bin"))
    project.over(project.start("two"))
    pushed = [("PUSH", "one"), ("PUSH", "two")]
    eventually(lambda: happened(*pushed))
    ids = [{"imageTag": "one"}, {"imageTag": "never"}]
    project.ecr.batch_delete_image(repositoryName=project.name, imageIds=ids)
    eventually(lambda: happened(*pushed, ("DELETE", "one")))


def test_a_stack_is_deleted_though_its_repository_is_gone(project, stacks, name) -> None:
    repository = {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": f"{name}/own"}}
    assert stacks.create(name, {"Repository": repository}) == "CREATE_COMPLETE"
    project.ecr.delete_repository(repositoryName=f"{name}/own", force=True)
    assert stacks.delete(name) == "DELETE_COMPLETE", stacks.reasons(name)
