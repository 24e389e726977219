"""AWS Batch in memory, as far as the job verbs call it: paged, limited and refusing as AWS's is documented.

It answers in place of the network, after botocore has checked the request against the service's model. Everything
else (CloudFormation, S3, CloudWatch Logs, ECS, EC2) is moto's.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from botocore import xform_name
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

PAGE = 100
ACCOUNT = "arn:aws:batch:us-east-1:123456789012"
Thing = dict[str, Any]


class Batch:
    """Queues, definitions, environments and jobs, and a count of the calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.queues: list[Thing] = []
        self.definitions: list[Thing] = []
        self.environments: list[Thing] = []
        self.jobs: dict[str, Thing] = {}
        self.submitted: list[Thing] = []
        self.ended: list[Thing] = []
        self.calls: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        network = BaseClient._make_api_call

        def call(client: Any, operation: str, asked: Thing) -> Any:
            if client.meta.service_model.service_name != "batch":
                return network(client, operation, asked)
            shape = client.meta.service_model.operation_model(operation).input_shape
            report = ParamValidator().validate(asked, shape)
            assert not report.has_errors(), report.generate_report()
            self.calls[operation] += 1
            return getattr(self, xform_name(operation))(asked)

        monkeypatch.setattr(BaseClient, "_make_api_call", call)

    def queue(self, name: str = "muster-demo_compute", *environments: str, **details: Any) -> Thing:
        order = [
            {"order": n, "computeEnvironment": arn("compute-environment", e)} for n, e in enumerate(environments, 1)
        ]
        made = {
            "jobQueueName": name,
            "jobQueueArn": arn("job-queue", name),
            "state": "ENABLED",
            "status": "VALID",
            "statusReason": "JobQueue Healthy",
            "priority": 1,
            "computeEnvironmentOrder": order,
            "tags": {},
            **details,
        }
        self.queues.append(made)
        return made

    def definition(self, name: str = "muster-demo_default", revision: int = 1, **details: Any) -> Thing:
        made = {
            "jobDefinitionName": name,
            "jobDefinitionArn": f"{arn('job-definition', name)}:{revision}",
            "revision": revision,
            "status": "ACTIVE",
            "type": "container",
            "tags": {},
            **details,
        }
        self.definitions.append(made)
        return made

    def environment(self, name: str, **details: Any) -> Thing:
        made = {"computeEnvironmentName": name, "computeEnvironmentArn": arn("compute-environment", name), **details}
        self.environments.append(made)
        return made

    def job(
        self, identifier: str, status: str = "RUNNING", queue: str = "muster-demo_compute", **details: Any
    ) -> Thing:
        made = {
            "jobId": identifier,
            "jobArn": arn("job", identifier),
            "jobName": "name",
            "jobQueue": arn("job-queue", queue),
            "jobDefinition": f"{arn('job-definition', 'muster-demo_default')}:1",
            "status": status,
            "createdAt": 1_000,
            "startedAt": 2_000,
            **details,
        }
        self.jobs[identifier] = made
        return made

    def describe_job_queues(self, asked: Thing) -> Thing:
        return paged("jobQueues", self.queues, asked)

    def describe_job_definitions(self, asked: Thing) -> Thing:
        found = [d for d in self.definitions if asked["status"] == d["status"]]
        name = asked.get("jobDefinitionName", "")
        return paged("jobDefinitions", [d for d in found if name in ("", d["jobDefinitionName"])], asked)

    def describe_compute_environments(self, asked: Thing) -> Thing:
        wanted = limited(asked["computeEnvironments"])
        return paged(
            "computeEnvironments", [e for e in self.environments if e["computeEnvironmentArn"] in wanted], asked
        )

    def list_jobs(self, asked: Thing) -> Thing:
        """Summaries, which do not say the queue; an array or a job of several nodes is one job."""
        queue, status = asked["jobQueue"], asked.get("jobStatus", "RUNNING")
        found = [job for job in self.jobs.values() if (job["jobQueue"], job["status"]) == (queue, status)]
        tops = [job for job in found if not {":", "#"} & set(job["jobId"])]
        return paged("jobSummaryList", [{k: v for k, v in job.items() if k != "jobQueue"} for job in tops], asked)

    def describe_jobs(self, asked: Thing) -> Thing:
        """Not in the order asked for, and without those that are not there."""
        ids = reversed(limited(asked["jobs"]))
        return {"jobs": [self.jobs[identifier] for identifier in ids if identifier in self.jobs]}

    def submit_job(self, asked: Thing) -> Thing:
        if asked["jobName"] == "refuse":
            raise refused("SubmitJob", "no such thing")
        self.submitted.append(asked)
        identifier = f"job-{next(self._numbers)}"
        self.job(identifier, "SUBMITTED", jobName=asked["jobName"])
        return {"jobArn": arn("job", identifier), "jobId": identifier, "jobName": asked["jobName"]}

    def terminate_job(self, asked: Thing) -> Thing:
        self.ended.append({"call": "terminate", **asked})
        return {}

    def cancel_job(self, asked: Thing) -> Thing:
        self.ended.append({"call": "cancel", **asked})
        return {}


def arn(kind: str, name: str) -> str:
    return f"{ACCOUNT}:{kind}/{name}"


def refused(operation: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": "ClientException", "Message": message}}, operation)


def limited(items: list[str]) -> list[str]:
    if not 0 < len(items) <= PAGE:
        raise refused("Describe", f"{len(items)} items")
    return items


def paged(part: str, found: list[Thing], asked: Thing) -> Thing:
    start = int(asked.get("nextToken") or 0)
    return {
        part: found[start : start + PAGE],
        **({"nextToken": str(start + PAGE)} if start + PAGE < len(found) else {}),
    }


def child(parent: Thing, index: int, status: str = "SUCCEEDED", **details: Any) -> Thing:
    """A child of an array."""
    return {
        **parent,
        "jobId": f"{parent['jobId']}:{index}",
        "status": status,
        "arrayProperties": {"index": index},
        **details,
    }
