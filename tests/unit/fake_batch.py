"""AWS Batch, and what goes with it of ECS, ECR and CodeBuild: in memory, by a clock that a test moves.

moto runs Batch's jobs in Docker, lets what is in motion be changed, ends a build at once and knows no tokens. So these
services answer the real clients in its place. They refuse what AWS refuses. Sources: the API references of AWS Batch
(UpdateComputeEnvironment, DeleteComputeEnvironment, DeleteJobQueue) and of CodeBuild (StartBuild, DeleteProject).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.awsrequest import AWSResponse

Json = dict[str, Any]
ARN = "arn:aws:{}:us-east-1:123456789012:{}"
SERVICES = ("batch", "ecs", "ecr", "codebuild")
# Seconds that Batch takes for a change, a build takes, a build takes to stop, and a token is known.
MOVES, BUILDS, STOPS, TOKEN_LIVES = 4, 60, 3, 300
IN_MOTION = ("CREATING", "UPDATING", "DELETING")
ENDED = ("SUCCEEDED", "FAILED")


class RefusedError(Exception):
    """What AWS answers in place of doing it."""

    def __init__(self, message: str, code: str = "ClientException") -> None:
        super().__init__(message)
        self.code = code


def answered(told: Json, status: int = 200) -> tuple[AWSResponse, Json]:
    """An answer as botocore has it once it is parsed."""
    return AWSResponse("https://aws.example", status, {}, None), {**told, "ResponseMetadata": {}}


@dataclass
class Job:
    """A job, and where it runs."""

    id: str
    queue: str
    environment: str
    status: str = "RUNNING"


@dataclass
class FakeBatch:
    """`later` lets something happen after so many seconds, `tell` says what EventBridge would. `flaky`: the first
    build of each tag fails. `lost` are the jobs that somebody's deletion ended. `held` maps the logical ids of the
    environments that the stack holds to their names, `made` those of its queues to what it made them of.
    """

    now: Callable[[], float]
    later: Callable[[float, Callable[[], None]], None]
    tell: Callable[[str], None] = lambda kind: None
    has_object: Callable[[str], bool] = lambda location: True
    flaky: bool = False
    environments: dict[str, Json] = field(default_factory=dict)
    queues: dict[str, Json] = field(default_factory=dict)
    definitions: dict[str, Json] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    repository: str = ""
    images: dict[str, str] = field(default_factory=dict)
    project: str = ""
    builds: dict[str, Json] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    made: dict[str, Json] = field(default_factory=dict)
    _tokens: dict[str, tuple[float, Json, str]] = field(default_factory=dict)

    def answer(self, service: str, operation: str, request: Json) -> tuple[AWSResponse, Json] | None:
        """What a client is answered; None of a service that is another's."""
        if service not in SERVICES:
            return None
        name = "_" + re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
        try:
            return answered(getattr(self, name)(request))
        except RefusedError as refused:
            return answered({"Error": {"Code": refused.code, "Message": str(refused)}}, 400)

    # What an operator asks of Batch.

    def _describe_compute_environments(self, request: Json) -> Json:
        return {"computeEnvironments": self._named(self.environments, request.get("computeEnvironments"))}

    def _describe_job_queues(self, request: Json) -> Json:
        return {"jobQueues": self._named(self.queues, request.get("jobQueues"))}

    def _describe_job_definitions(self, request: Json) -> Json:
        found = self._named(self.definitions, request.get("jobDefinitions"))
        return {"jobDefinitions": [each for each in found if each["status"] == request.get("status", each["status"])]}

    @staticmethod
    def _named(known: Mapping[str, Json], names: list[str] | None) -> list[Json]:
        assert names is None or len(names) <= 100
        wanted = known if names is None else [name.rpartition("/")[2] for name in names]
        return [known[name] for name in wanted if name in known]

    def _list_jobs(self, request: Json) -> Json:
        queue = self._find(self.queues, request["jobQueue"])["jobQueueName"]
        found = [each for each in self.jobs if each.queue == queue and each.status == request["jobStatus"]]
        return {"jobSummaryList": [{"jobId": each.id, "jobName": "any", "status": each.status} for each in found]}

    def _update_compute_environment(self, request: Json) -> Json:
        found = self._unmoved(self.environments, request["computeEnvironment"])
        sizes = found["computeResources"]
        wanted = {**sizes, **request.get("computeResources", {})}
        if wanted["desiredvCpus"] < sizes["desiredvCpus"]:
            raise RefusedError("Manually scaling down compute environment is not supported.")
        if "desiredvCpus" not in request.get("computeResources", {}):
            wanted["desiredvCpus"] = min(max(wanted["desiredvCpus"], wanted["minvCpus"]), wanted["maxvCpus"])
        if not wanted["minvCpus"] <= wanted["desiredvCpus"] <= wanted["maxvCpus"]:
            raise RefusedError("desiredvCpus must be between minvCpus and maxvCpus")
        found["computeResources"] = wanted
        found["state"] = request.get("state", found["state"])
        self._move(found, "UPDATING", lambda: found.update(status="VALID"))
        return {}

    def _delete_compute_environment(self, request: Json) -> Json:
        found = self._unmoved(self.environments, request["computeEnvironment"])
        name = found["computeEnvironmentName"]
        if found["state"] != "DISABLED":
            raise RefusedError("Cannot delete, state must be DISABLED")
        if any(found["computeEnvironmentArn"] in order_of(each) for each in self.queues.values()):
            raise RefusedError("Cannot delete, found existing JobQueue relationship")
        self._lose(lambda job: job.environment == name)
        self._move(found, "DELETING", lambda: self.environments.pop(name))
        return {}

    def _update_job_queue(self, request: Json) -> Json:
        found = self._unmoved(self.queues, request["jobQueue"])
        for each in request.get("computeEnvironmentOrder", ()):
            if self._find(self.environments, each["computeEnvironment"])["status"] not in ("VALID", "UPDATING"):
                raise RefusedError(f"{each['computeEnvironment']} is not valid")
        known = {key: request[key] for key in ("state", "priority") if key in request}
        if "computeEnvironmentOrder" in request:
            known["computeEnvironmentOrder"] = [
                {**each, "computeEnvironment": environment_arn(each["computeEnvironment"].rpartition("/")[2])}
                for each in request["computeEnvironmentOrder"]
            ]
        found |= known
        self._move(found, "UPDATING", lambda: found.update(status="VALID"))
        return {}

    def _delete_job_queue(self, request: Json) -> Json:
        found = self._unmoved(self.queues, request["jobQueue"])
        name = found["jobQueueName"]
        if found["state"] != "DISABLED":
            raise RefusedError("Cannot delete, state must be DISABLED")
        self._lose(lambda job: job.queue == name)
        self._move(found, "DELETING", lambda: self.queues.pop(name))
        return {}

    @staticmethod
    def _find(known: Mapping[str, Json], reference: str) -> Json:
        name = reference.rpartition("/")[2]
        if name not in known:
            raise RefusedError(f"{name} does not exist")
        return known[name]

    def _unmoved(self, known: Mapping[str, Json], reference: str) -> Json:
        found = self._find(known, reference)
        if found["status"] in IN_MOTION:
            raise RefusedError("Cannot update, resource is being modified.")
        return found

    def _move(self, of: Json, status: str, done: Callable[[], Any], seconds: float = MOVES) -> None:
        of["status"] = status
        self.later(seconds, done)

    def _lose(self, which: Callable[[Job], bool]) -> None:
        for job in self.jobs:
            if job.status not in ENDED and which(job):
                job.status = "FAILED"
                self.lost.append(job.id)

    # Of ECS, ECR and CodeBuild.

    def _describe_clusters(self, request: Json) -> Json:
        wanted = [each for each in self.environments.values() if each["ecsClusterArn"] in request["clusters"]]
        return {
            "clusters": [
                {
                    "clusterArn": each["ecsClusterArn"],
                    "runningTasksCount": len(self.running(each["computeEnvironmentName"])),
                    "pendingTasksCount": 0,
                }
                for each in wanted
            ]
        }

    def _batch_get_image(self, request: Json) -> Json:
        if request["repositoryName"] != self.repository:
            raise RefusedError("The repository does not exist", "RepositoryNotFoundException")
        tags = [each["imageTag"] for each in request["imageIds"]]
        found = [{"imageTag": tag, "imageDigest": self.images[tag]} for tag in tags if tag in self.images]
        return {"images": [{"imageId": each} for each in found]}

    def _project(self, name: str) -> None:
        if not self.project or name != self.project:
            raise RefusedError(f"Project cannot be found: {name}", "ResourceNotFoundException")

    def _list_builds_for_project(self, request: Json) -> Json:
        """The builds of a project that was deleted and made again are still there."""
        self._project(request["projectName"])
        assert request["sortOrder"] == "DESCENDING"
        return {"ids": list(self.builds)[::-1]}

    def _batch_get_builds(self, request: Json) -> Json:
        return {"builds": [self.builds[each] for each in request["ids"] if each in self.builds]}

    def _start_build(self, request: Json) -> Json:
        self._project(request["projectName"])
        at, asked, known = self._tokens.get(request["idempotencyToken"], (0.0, {}, ""))
        if known and self.now() < at + TOKEN_LIVES:
            if asked != request:
                raise RefusedError("The parameters do not match those of the token", "InvalidInputException")
            return {"build": self.builds[known]}
        name = f"{self.project}:build-{len(self.builds) + 1}"
        variables = request["environmentVariablesOverride"]
        build = {
            "id": name,
            "buildStatus": "IN_PROGRESS",
            "currentPhase": "BUILD",
            "environment": {"environmentVariables": variables},
        }
        self.builds[name] = build
        self._tokens[request["idempotencyToken"]] = self.now(), request, name
        there = self.has_object(request["sourceLocationOverride"])
        self.later(BUILDS, lambda: self._built(build, variables[0]["value"], there))
        return {"build": build}

    def _stop_build(self, request: Json) -> Json:
        if request["id"] not in self.builds:
            raise RefusedError("Build cannot be found", "ResourceNotFoundException")
        build = self.builds[request["id"]]
        self.later(STOPS, lambda: self._end_build(build, "STOPPED"))
        return {"build": build}

    def _built(self, build: Json, tag: str, there: bool) -> None:
        """A tag that is there already is not written again: they are immutable."""
        if build["buildStatus"] != "IN_PROGRESS":
            return
        others = [each for each in self.builds.values() if each is not build and tag_of(each) == tag]
        if not there or tag in self.images or not self.repository or (self.flaky and not others):
            self._end_build(build, "FAILED")
            return
        self.images[tag] = f"sha256:{tag}"
        self.tell("image")
        self._end_build(build, "SUCCEEDED")

    def _end_build(self, build: Json, status: str) -> None:
        if build["buildStatus"] != "IN_PROGRESS":
            return
        failed = {"phaseType": "BUILD", "phaseStatus": status, "contexts": [{"message": "no such package"}]}
        build |= {
            "buildStatus": status,
            "endTime": datetime.fromtimestamp(self.now(), UTC),
            "phases": [failed] if status == "FAILED" else [],
        }
        self.tell("build")

    # What users do, and what a test looks at.

    def submit(self, queue: str, seconds: float) -> Job:
        """A job that runs for so long, in the first environment of its queue."""
        found = self.queues[queue]
        assert (found["state"], found["status"]) == ("ENABLED", "VALID")
        environment = order_of(found)[0].rpartition("/")[2]
        assert self.environments[environment]["state"] == "ENABLED"
        job = Job(f"job-{len(self.jobs) + 1}", queue, environment)
        self.jobs.append(job)
        self.later(seconds, lambda: self._done(job))
        return job

    @staticmethod
    def _done(job: Job) -> None:
        if job.status not in ENDED:
            job.status = "SUCCEEDED"

    def running(self, environment: str) -> list[Job]:
        """The jobs that run in an environment."""
        return [job for job in self.jobs if job.environment == environment and job.status not in ENDED]

    def drop_image(self, tag: str) -> None:
        """Somebody deletes an image."""
        del self.images[tag]
        self.tell("image")

    # What CloudFormation does.

    def prepare(self, template: Mapping[str, Any]) -> None:
        """In the middle of an operation: the new environments."""
        for key, properties in _of(template, "Batch::ComputeEnvironment"):
            name = properties["ComputeEnvironmentName"]
            if self.held.get(key) == name:
                continue
            assert name not in self.environments, f"CloudFormation would fail: {name} exists"
            self.held[key] = name
            resources = properties["ComputeResources"]
            sizes = {"type": resources["Type"], "desiredvCpus": 0}
            made = self.environments[name] = {
                "computeEnvironmentName": name,
                "computeEnvironmentArn": environment_arn(name),
                "state": properties.get("State", "ENABLED"),
                "tags": properties["Tags"],
                "ecsClusterArn": ARN.format("ecs", f"cluster/{name}"),
                "computeResources": {
                    **sizes,
                    "minvCpus": resources.get("MinvCpus", 0),
                    "maxvCpus": resources["MaxvCpus"],
                },
            }
            self._move(made, "CREATING", lambda made=made: made.update(status="VALID"))

    def build(self, template: Mapping[str, Any]) -> dict[str, str]:
        """At the end of an operation: all that there is to be. What each logical id refers to."""
        wanted = dict(_of(template, "Batch::ComputeEnvironment"))
        self.prepare(template)
        # Those that a template has no more are left standing: their deletion policy is RetainExceptOnCreate.
        self.held = {key: name for key, name in self.held.items() if key in wanted}
        refs = {key: environment_arn(name) for key, name in self.held.items()}
        queues = {key: self._queue(key, refs, properties) for key, properties in _of(template, "Batch::JobQueue")}
        self.made = {key: self.made[key] for key in queues}
        for name in self.queues.keys() - queues.values():
            self._lose(lambda job, name=name: job.queue == name)
            del self.queues[name]
        refs |= {key: queue_arn(name) for key, name in queues.items()} | self._register(template)
        for key, properties in _of(template, "ECR::Repository"):
            self.repository = refs[key] = properties["RepositoryName"]
        for key, properties in _of(template, "CodeBuild::Project"):
            self.project = refs[key] = properties["Name"]
        return refs

    def _queue(self, key: str, refs: Mapping[str, str], properties: Json) -> str:
        """CloudFormation takes what it has made to be there, and updates what changes."""
        name = properties["JobQueueName"]
        if self.made.get(key) == properties:
            return name
        assert key not in self.made or name in self.queues, f"CloudFormation would fail: {name} is gone"
        self.made[key] = properties
        order = [
            {"order": each["Order"], "computeEnvironment": refs[each["ComputeEnvironment"]["Ref"]]}
            for each in properties["ComputeEnvironmentOrder"]
        ]
        made = {"jobQueueName": name, "jobQueueArn": queue_arn(name), "state": "ENABLED", "status": "VALID"}
        known = {"computeEnvironmentOrder": order, "priority": properties["Priority"], "tags": properties["Tags"]}
        self.queues[name] = {**made, **self.queues.get(name, {}), **known}
        return name

    def _register(self, template: Mapping[str, Any]) -> dict[str, str]:
        """A definition that changes, or has another logical id, is another revision; the one before goes."""
        refs: dict[str, str] = {}
        for key, properties in _of(template, "Batch::JobDefinition"):
            name = properties["JobDefinitionName"]
            same = (each for each in self.definitions.values() if each["_made"] == (key, properties) and each["_held"])
            found = next(same, None)
            if found is None:
                revision = 1 + sum(each["jobDefinitionName"] == name for each in self.definitions.values())
                arn = ARN.format("batch", f"job-definition/{name}:{revision}")
                found = {"jobDefinitionArn": arn, "jobDefinitionName": name, "revision": revision, "status": "ACTIVE"}
                found |= {"type": "container", "_made": (key, properties), "_held": True}
                self.definitions[f"{name}:{revision}"] = found
            refs[key] = found["jobDefinitionArn"]
        for each in self.definitions.values():
            if each["jobDefinitionArn"] not in refs.values():
                self.deregister(each)
        return refs

    @staticmethod
    def deregister(definition: Json) -> None:
        """As CloudFormation does it, which holds it no more."""
        definition |= {"status": "INACTIVE", "_held": False}

    def raze(self) -> None:
        """When its stack is deleted: all but the environments, which are retained, and the builds' records."""
        self._lose(lambda job: job.queue in self.queues)
        self.held.clear()
        self.made.clear()
        self.queues.clear()
        self.images.clear()
        self.repository = self.project = ""
        for each in self.definitions.values():
            self.deregister(each)


def _of(template: Mapping[str, Any], kind: str) -> list[tuple[str, Json]]:
    found = template["Resources"].items()
    return [(key, each["Properties"]) for key, each in found if each["Type"] == f"AWS::{kind}"]


def environment_arn(name: str) -> str:
    return ARN.format("batch", f"compute-environment/{name}")


def queue_arn(name: str) -> str:
    return ARN.format("batch", f"job-queue/{name}")


def order_of(queue: Json) -> list[str]:
    """The ARNs of a queue's environments."""
    return [each["computeEnvironment"] for each in queue["computeEnvironmentOrder"]]


def tag_of(build: Json) -> str:
    """The image that a build makes."""
    return build["environment"]["environmentVariables"][0]["value"]
