"""The scheduler of AWS Batch: takes jobs from SUBMITTED to their end and runs their commands as local processes.

A pass resolves dependencies, places what is RUNNABLE as far as the compute environments' vCPUs reach, ends what takes
too long, and sets the environments' desired vCPUs to the demand. Every change of status is an event. Sources: AWS
Batch User Guide (job states, scheduling, retries, timeouts, multi-node parallel jobs, EventBridge events).
"""

import asyncio
import contextlib
import logging
import math
import shutil
import tempfile
import time
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ministack.core.responses import get_account_id, get_region, new_uuid, request_scope

from local.additions import environments, processes, sessions, streams
from local.additions.access import DeniedError
from local.additions.emulator import batch
from local.additions.events import emit
from local.additions.settings import settings

Job = dict[str, Any]
OVER = ("SUCCEEDED", "FAILED")
EXITED = "Essential container in task exited"
HOST_GONE = "Host EC2 (instance i-0123456789abcdef0) terminated."
TIMED_OUT = "Job attempt duration exceeded timeout"
DEPENDENCY = "Dependent Job failed"
CHILD = "Array Child Job failed"
NOT_FOUND = 127
SLICE = 200
"""After so many jobs a pass lets the server answer."""
QUICK, MANY = 0.2, 1000
"""Seconds between two passes when nothing tells of a change, but for so many units: then a second, as for none."""
logger = logging.getLogger(__name__)


class StartError(Exception):
    """A container that could not be started, with AWS's words for it."""


class Engine:
    """All units that are not over, in the order of their submission."""

    def __init__(self) -> None:
        self._units: dict[str, Job] = {}
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def wake(self) -> None:
        """Have a pass made soon; from any thread."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._changed.set)

    async def run(self) -> None:
        """Until cancelled: when something changed, and often enough for what time alone brings."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            try:
                await self._pass()
            except Exception:
                logger.exception("a pass of Batch's scheduler")
            try:
                await asyncio.wait_for(self._changed.wait(), QUICK if 0 < len(self._units) < MANY else 1)
            except TimeoutError:
                continue

    def add(self, queue: Job, job: Job, units: list[Job]) -> None:
        """Take a submitted job, with the units that it consists of."""
        queue.setdefault("_jobs", []).append(job)
        queue["_open"] += len(units)
        for each in (job, *units, *job.get("_nodes", [])):
            batch._jobs[each["jobId"]] = each
        self._units |= {unit["jobId"]: unit for unit in units}
        self.wake()

    def end(self, job: Job, reason: str, mark: str) -> None:
        """Cancel or terminate (`mark` isCancelled or isTerminated) a job, and all children of an array."""
        if job["status"] in OVER:
            return
        children = job.get("_children")
        if children or mark == "isTerminated" or job["status"] not in ("STARTING", "RUNNING"):
            job.update({mark: True, "_reason": reason})
        for child in children or []:
            self.end(child, reason, mark)
        if job["status"] in ("STARTING", "RUNNING") and mark == "isTerminated":
            _stop(job)
        self.wake()

    def tasks(self, place: Job) -> Counter[str]:
        """How many containers a compute environment has in each status."""
        there = (unit for unit in list(self._units.values()) if unit["status"] in ("STARTING", "RUNNING"))
        placed = (unit for unit in there if unit["_place"] is place)
        return Counter(each["status"] for unit in placed for each in unit.get("_nodes") or [unit])

    # --- a pass

    async def _pass(self) -> None:
        for number, unit in enumerate(list(self._units.values())):
            if unit["jobId"] in self._units:  # it may have ended in a pause of this pass
                with request_scope(*unit["_scope"]):
                    self._advance(unit)
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
        waiting = self._place()
        _follow_demand(waiting)

    def _advance(self, unit: Job) -> None:
        status, reason = unit["status"], unit.get("_reason")
        if _deleted(unit) and not reason:
            self.end(unit, "Job queue was deleted", "isTerminated")
        if status in ("SUBMITTED", "PENDING"):
            self._resolve(unit)
        elif status == "RUNNABLE" and reason:
            self._conclude(unit, "FAILED", reason)
        elif status == "RUNNING" and not reason and _too_long(unit):
            unit["_reason"] = TIMED_OUT
            _stop(unit)
        elif status == "RUNNING" and _without_host(unit) and not unit["_failure"]:
            unit["_failure"] = HOST_GONE
            _stop(unit)

    def _resolve(self, unit: Job) -> None:
        states = {batch._jobs[each]["status"] for each in unit["_needs"]}
        if "FAILED" in states:
            self._conclude(unit, "FAILED", unit.get("_reason") or DEPENDENCY)
        elif states - {"SUCCEEDED"}:
            if unit["status"] == "SUBMITTED":
                _set(unit, "PENDING")
        elif reason := unit.get("_reason"):
            self._conclude(unit, "FAILED", reason)
        else:
            _set(unit, "RUNNABLE")
            parent = unit.get("_parent")
            if parent and parent["status"] == "SUBMITTED":
                _set(parent, "PENDING")

    def _place(self) -> list[Job]:
        """Start what fits; returns what does not."""
        running = sum(len(unit.get("_processes", ())) for unit in self._units.values())
        shares = Counter(_share(unit) for unit in self._units.values() if unit["status"] == "RUNNING")
        queues: dict[str, Job] = {}
        waiting = [unit for unit in self._units.values() if unit["status"] == "RUNNABLE" and not unit.get("_reason")]
        for unit in waiting:
            with request_scope(*unit["_scope"]):
                queues.setdefault(unit["jobQueue"], _queue(unit))
        left: list[Job] = []
        for unit in _in_turn(waiting, queues, shares):
            with request_scope(*unit["_scope"]):
                place = _room(unit, queues[unit["jobQueue"]]) if running < settings.batch_processes else None
                if place is None:
                    left.append(unit)
                    continue
                running += len(unit.get("_nodes", [unit]))
                self._start(unit, place)
        return left

    # --- an attempt

    def _start(self, unit: Job, place: Job) -> None:
        members = unit.get("_nodes") or [unit]
        place["_used"] += unit["_vcpus"]
        unit.update(_place=place, _processes={}, _code=None, _failure=None)
        for each in members:
            kept = {k: v for k, v in each["container"].items() if k not in ("exitCode", "reason")}
            each.update(status="STARTING", container={**kept, **_task(place)})
        _set(unit, "STARTING")
        now = int(time.time() * 1000)
        try:
            for each in members:
                unit["_processes"][each["jobId"]] = self._launch(unit, each, place)
                each.update(status="RUNNING", startedAt=now)
        except (StartError, DeniedError) as error:
            unit["_failure"] = str(error)
            _stop(unit)
            if not unit["_processes"]:
                self._finish(unit)
            return
        unit["startedAt"] = now
        _set(unit, "RUNNING")

    def _launch(self, unit: Job, member: Job, place: Job) -> processes.Process:
        container, number = member["container"], len(unit["attempts"]) + 1
        directory = Path(tempfile.mkdtemp(prefix="batch-"))
        variables = {each["name"]: each.get("value", "") for each in container["environment"]}
        role = container.get("jobRoleArn")
        session = new_uuid().replace("-", "")
        access = sessions.assumed(role, "ecs-tasks.amazonaws.com", session) if role else sessions.plain()
        env = processes.environ(directory) | access | variables | _facts(unit, member, place, number)
        write = _log(member)
        if not container["command"]:
            raise StartError("CannotStartContainerError: no command, and an image's own one cannot be run here")
        loop = asyncio.get_running_loop()

        def ended(code: int) -> None:
            shutil.rmtree(directory, ignore_errors=True)
            with contextlib.suppress(RuntimeError):  # the loop may be closed already
                loop.call_soon_threadsafe(self._ended, unit, member, code)

        try:
            return processes.Process(container["command"], env, directory, write, ended)
        except OSError as error:
            shutil.rmtree(directory, ignore_errors=True)
            container["exitCode"] = NOT_FOUND
            raise StartError(f"CannotStartContainerError: {error}") from None

    def _ended(self, unit: Job, member: Job, code: int) -> None:
        with request_scope(*unit["_scope"]):
            member["container"]["exitCode"] = code
            unit["_processes"].pop(member["jobId"], None)
            if member.get("nodeDetails", {"isMainNode": True})["isMainNode"]:
                unit["_code"] = code
                _stop(unit)
            if not unit["_processes"]:
                self._finish(unit)

    def _finish(self, unit: Job) -> None:
        """The attempt is over: the job too, or it goes back to RUNNABLE."""
        unit["_place"]["_used"] -= unit["_vcpus"]
        failure, stopped = unit["_failure"], unit.get("_reason")
        reason = failure or stopped or EXITED
        now = int(time.time() * 1000)
        for each in unit.get("_nodes") or [unit]:
            if failure:
                each["container"]["reason"] = failure[:255]
            told = {k: v for k, v in each["container"].items() if k in ATTEMPT}
            each["attempts"].append({"container": told, "startedAt": each.get("startedAt", now), "stoppedAt": now,
                                     "statusReason": reason})  # fmt: skip
        if "_nodes" in unit:
            unit["attempts"].append({"startedAt": unit.get("startedAt", now), "stoppedAt": now, "statusReason": reason})
        ok = unit["_code"] == 0 and not failure and not stopped
        if not ok and not stopped and _retried(unit, reason):
            _set(unit, "RUNNABLE")
        else:
            self._conclude(unit, "SUCCEEDED" if ok else "FAILED", reason)
        self.wake()

    def _conclude(self, unit: Job, status: str, reason: str) -> None:
        now = int(time.time() * 1000)
        self._units.pop(unit["jobId"], None)
        _queue(unit)["_open"] -= 1
        for node in unit.get("_nodes", []):
            node.update(status=status, statusReason=reason, stoppedAt=now)
        _set(unit, status, statusReason=reason, stoppedAt=now)
        parent = unit.get("_parent")
        if parent:
            parent["_left"] -= 1
            if not parent["_left"]:
                failed = any(child["status"] == "FAILED" for child in parent["_children"])
                told = (parent.get("_reason") or CHILD) if failed else None
                _set(parent, "FAILED" if failed else "SUCCEEDED", statusReason=told, stoppedAt=now)


ATTEMPT = ("containerInstanceArn", "taskArn", "exitCode", "reason", "logStreamName", "networkInterfaces")
engine = Engine()


def _set(job: Job, status: str, **facts: Any) -> None:
    job.update(facts, status=status)
    emit("aws.batch", "Batch Job State Change", environments.shown(job), [job["jobArn"]])


def _stop(unit: Job) -> None:
    for process in list(unit["_processes"].values()):
        process.stop()


def _too_long(unit: Job) -> bool:
    seconds = (unit["timeout"] or {}).get("attemptDurationSeconds", math.inf)
    return time.time() * 1000 > unit["startedAt"] + seconds * settings.timeout_second * 1000


def _queue(unit: Job) -> Job:
    return batch._job_queues[unit["jobQueue"].rpartition("/")[2]]


def _deleted(unit: Job) -> bool:
    return _queue(unit)["status"] == "DELETING"


def _without_host(unit: Job) -> bool:
    return unit["_place"]["status"] == "DELETING" and not environments.on_fargate(unit["_place"])


def _retried(unit: Job, reason: str) -> bool:
    """Whether the strategy allows one more attempt: the first condition that matches says so, else it does."""
    strategy = unit["retryStrategy"]
    if len(unit["attempts"]) >= strategy["attempts"]:
        return False
    facts = {"onStatusReason": reason, "onReason": unit["_failure"] or "", "onExitCode": str(unit["_code"])}
    for condition in strategy["evaluateOnExit"]:
        if all(fnmatchcase(facts[key], condition[key]) for key in facts if condition.get(key)):
            return condition["action"].upper() == "RETRY"
    return True


# --- placing


def _share(unit: Job) -> tuple[str, str]:
    return unit["jobQueue"], unit["shareIdentifier"] or ""


def _in_turn(waiting: list[Job], queues: dict[str, Job], shares: Counter[tuple[str, str]]) -> list[Job]:
    """By the priority of their queues, then by submission; in a fair queue the share with least first.

    `shares` has how many jobs of each share run.
    """
    turns: dict[str, tuple[float, ...]] = {}
    for unit in sorted(waiting, key=lambda unit: (-(unit["schedulingPriority"] or 0), unit["_number"])):
        queue, fair = queues[unit["jobQueue"]], (0.0, 0.0)
        if queue["schedulingPolicyArn"]:
            fair = shares[_share(unit)] * _weight(unit, queue), -(unit["schedulingPriority"] or 0)
            shares[_share(unit)] += 1
        turns[unit["jobId"]] = (-queue["priority"], *fair, unit["_number"])
    return sorted(waiting, key=lambda unit: turns[unit["jobId"]])


def _weight(unit: Job, queue: Job) -> float:
    policy = environments.policies.get(queue["schedulingPolicyArn"].rpartition("/")[2]) or {}
    for share in (policy.get("fairsharePolicy") or {}).get("shareDistribution") or []:
        if fnmatchcase(unit["shareIdentifier"] or "", share["shareIdentifier"]):
            return share.get("weightFactor") or 1.0
    return 1.0


def _room(unit: Job, queue: Job) -> Job | None:
    """The first of the queue's environments that takes jobs and has the vCPUs."""
    for arn in environments.environments_of(queue):
        place = environments.environment(arn)
        if place is None or place["state"] != "ENABLED" or place["status"] != "VALID":
            continue
        resources = place.get("computeResources") or {}
        if "_nodes" in unit and resources.get("type") != "EC2":
            continue
        if place["_used"] + unit["_vcpus"] <= resources.get("maxvCpus", 0):
            return place
    return None


def _follow_demand(waiting: list[Job]) -> None:
    """Desired vCPUs between the minimum and the maximum; a DISABLED environment is not scaled out."""
    wanted: Counter[str] = Counter()
    for unit in waiting:
        with request_scope(*unit["_scope"]):
            for arn in environments.environments_of(_queue(unit)):
                wanted[arn] += unit["_vcpus"]
    for place in batch._compute_envs.all_values():
        resources = place.get("computeResources") or {}
        if "desiredvCpus" in resources:
            demand = wanted[place["computeEnvironmentArn"]] if place["state"] == "ENABLED" else 0
            total = math.ceil(place["_used"] + demand)
            resources["desiredvCpus"] = min(max(total, resources["minvCpus"]), resources["maxvCpus"])


# --- a container


def _task(place: Job) -> Job:
    scope, task = f"{get_region()}:{get_account_id()}", new_uuid().replace("-", "")
    cluster = place["ecsClusterArn"].rpartition("/")[2]
    return {
        "taskArn": f"arn:aws:ecs:{scope}:task/{cluster}/{task}",
        "containerInstanceArn": f"arn:aws:ecs:{scope}:container-instance/{cluster}/{new_uuid().replace('-', '')}",
    }


def _log(member: Job) -> Any:
    """Where the output goes: ``<definition>/default/<task>`` in Batch's group, or as the log configuration has it."""
    container = member["container"]
    options = (container.get("logConfiguration") or {}).get("options") or {}
    group = options.get("awslogs-group", streams.BATCH_GROUP)
    name = member["jobDefinition"].rpartition("/")[2].partition(":")[0]
    prefix, task = options.get("awslogs-stream-prefix", name), container["taskArn"].rpartition("/")[2]
    container["logStreamName"] = f"{prefix}/default/{task}"
    write = streams.opened(group, container["logStreamName"])
    if write is None:
        raise StartError(f"CannotStartContainerError: The specified log group does not exist: {group}")
    return write


def _facts(unit: Job, member: Job, place: Job, attempt: int) -> dict[str, str]:
    """The variables that Batch sets (user guide, "Job environment variables")."""
    facts = {
        "AWS_BATCH_JOB_ID": member["jobId"],
        "AWS_BATCH_JOB_ATTEMPT": str(attempt),
        "AWS_BATCH_JQ_NAME": unit["jobQueue"].rpartition("/")[2],
        "AWS_BATCH_CE_NAME": place["computeEnvironmentName"],
    }
    if parent := unit.get("_parent"):
        facts["AWS_BATCH_JOB_ARRAY_INDEX"] = str(unit["arrayProperties"]["index"])
        facts["AWS_BATCH_JOB_ARRAY_SIZE"] = str(parent["arrayProperties"]["size"])
    if node := member.get("nodeDetails"):
        properties = unit["nodeProperties"]
        facts["AWS_BATCH_JOB_NODE_INDEX"] = str(node["nodeIndex"])
        facts["AWS_BATCH_JOB_NUM_NODES"] = str(properties["numNodes"])
        facts["AWS_BATCH_JOB_MAIN_NODE_INDEX"] = str(properties["mainNode"])
        if not node["isMainNode"]:
            facts["AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"] = "127.0.0.1"
    return facts
