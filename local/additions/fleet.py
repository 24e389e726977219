"""The engine of Auto Scaling: keeps each group's instances at its desired capacity.

A pass over a group checks health, ends what waits in a lifecycle hook, then launches or terminates. All is told as
AWS tells it: scaling activities, EventBridge events, notifications to SNS topics. Sources: EC2 Auto Scaling User Guide
(lifecycle, suspend and resume processes, EventBridge event reference, SNS notifications).
"""

import asyncio
import json
import logging
import time
from typing import Any

from ministack.core.responses import get_account_id, get_region, new_uuid, now_iso, request_scope

from local.additions import machines
from local.additions.emulator import autoscaling, ec2, sns, sqs
from local.additions.events import emit
from local.additions.inprocess import client
from local.additions.launches import Ec2Error, launch, state_listeners
from local.additions.settings import settings

Group = dict[str, Any]
Member = dict[str, Any]
Activity = dict[str, Any]
ALIVE = ("pending", "running")
LAUNCHING, TERMINATING = "autoscaling:EC2_INSTANCE_LAUNCHING", "autoscaling:EC2_INSTANCE_TERMINATING"
# process that does it: the words AWS has for it in activities, events and notifications
WORDS = {
    "Launch": ("Launching a new EC2 instance", "EC2 Instance Launch", "autoscaling:EC2_INSTANCE_LAUNCH"),
    "Terminate": ("Terminating EC2 instance", "EC2 Instance Terminate", "autoscaling:EC2_INSTANCE_TERMINATE"),
}
# why an activity is: what AWS says of it, after the time
MISSING = "an instance was started in response to a difference between desired and actual capacity, increasing the capacity from {} to {}."  # noqa: E501
SURPLUS = "an instance was taken out of service in response to a difference between desired and actual capacity, shrinking the capacity from {} to {}."  # noqa: E501
UNHEALTHY = "an instance was taken out of service in response to an EC2 health check indicating it has been terminated or stopped."  # noqa: E501
ASKED = "instance {} was taken out of service in response to a user request."
ABANDONED = "an instance's lifecycle action was completed with ABANDON."
MAX_RETRY_SECONDS = 60.0
logger = logging.getLogger(__name__)


class Engine:
    """Goes over all groups when something changed, and every second for what time alone brings."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def wake(self, *_: object) -> None:
        """Have the groups looked at soon; from any thread."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._changed.set)

    def _on_state(self, _: str, state: str) -> None:
        if state in ("terminated", "stopped"):
            self.wake()

    async def run(self) -> None:
        """Until cancelled."""
        self._loop = asyncio.get_running_loop()
        state_listeners.append(self._on_state)
        while True:
            self._changed.clear()
            took = 0.0
            for (account, region, _), group in autoscaling._asgs.all_items():
                begun = time.monotonic()
                with request_scope(account, region):
                    _guarded_step(group)
                took += time.monotonic() - begun
                await asyncio.sleep(0)
            # To look at thousands of instances takes a while, in which nobody is answered.
            await asyncio.sleep(3 * took)
            try:
                await asyncio.wait_for(self._changed.wait(), 1)
            except TimeoutError:
                continue


engine = Engine()


def _guarded_step(group: Group) -> None:
    """What is wrong with one group must not stop the others."""
    try:
        step(group, time.time())
    except Exception:
        logger.exception("Auto Scaling group %s", group["AutoScalingGroupName"])


def step(group: Group, now: float) -> None:
    """One pass over a group at time `now` (seconds since the epoch)."""
    _terminated(group, [member for member in list(group["Instances"]) if _end_waiting(group, member, now)])
    for member in list(group["Instances"]):
        _check_health(group, member)
    active = [each for each in group["Instances"] if not each["LifecycleState"].startswith("Terminating")]
    missing = group["DesiredCapacity"] - len(active)
    if missing > 0 and _runs(group, "Launch") and now >= group.get("_retry_at", 0):
        all(_launch(group, now) for _ in range(missing))  # up to the first that fails
    elif missing < 0 and _runs(group, "Terminate"):
        for member in _surplus(active, -missing):
            terminate(group, member, SURPLUS.format(len(active), group["DesiredCapacity"]))
    if group.get("Status") and not group["Instances"]:
        forget(group["AutoScalingGroupName"])


def forget(name: str) -> None:
    """Remove a group and all that is kept by its name."""
    autoscaling._asgs.pop(name, None)
    autoscaling._tags.pop(name, None)
    autoscaling._delete_group_hooks(name)
    autoscaling._delete_group_policies(name)


def _runs(group: Group, process: str) -> bool:
    return all(each["ProcessName"] != process for each in group.get("SuspendedProcesses", []))


def _check_health(group: Group, member: Member) -> None:
    """An instance that is stopped or gone is unhealthy; an unhealthy one is terminated, so as to be replaced."""
    instance = ec2._instances.get(member["InstanceId"])
    if _runs(group, "HealthCheck") and (not instance or instance["State"]["Name"] not in ALIVE):
        member["HealthStatus"] = "Unhealthy"
    unhealthy = member["HealthStatus"] == "Unhealthy" and not member["LifecycleState"].startswith("Terminating")
    if unhealthy and _runs(group, "ReplaceUnhealthy") and _runs(group, "Terminate"):
        terminate(group, member, UNHEALTHY)


def _surplus(active: list[Member], count: int) -> list[Member]:
    """Whom to terminate: never the protected, from the fullest zone first, there the oldest (default policy)."""
    chosen: list[Member] = []
    for _ in range(count):
        rest = [each for each in active if each not in chosen]
        zones = [each["AvailabilityZone"] for each in rest]
        free = [each for each in rest if not each["ProtectedFromScaleIn"]]
        if free:
            chosen.append(max(free, key=lambda each: zones.count(each["AvailabilityZone"])))
    return chosen


# --- launching


def _launch(group: Group, now: float) -> bool:
    """Launch one instance, trying the types in their order and the emptiest subnet first; False if none could be."""
    size = sum(not each["LifecycleState"].startswith("Terminating") for each in group["Instances"])
    activity = _begin(group, "Launch", MISSING.format(size, group["DesiredCapacity"]))
    error = Ec2Error("ValidationError", "No subnet in VPCZoneIdentifier")
    for request in _requests(group):
        activity["Details"] = _details(request["SubnetId"])
        try:
            instance = launch(request, tags=_propagated(group, request))[0]
        except Ec2Error as failure:
            error = failure
            if failure.code == "InsufficientInstanceCapacity":
                continue
            break
        _join(group, instance, request, activity)
        group.pop("_failures", None)
        return True
    group["_failures"] = group.get("_failures", 0) + 1
    group["_retry_at"] = now + min(settings.retry_seconds * 2 ** (group["_failures"] - 1), MAX_RETRY_SECONDS)
    _end(group, activity, "Launch", f"{error} Launching EC2 instance failed.")
    return False


def _requests(group: Group) -> list[dict[str, Any]]:
    """The launches that would serve the group, best first."""
    mixed = group.get("MixedInstancesPolicy") or {}
    template = (mixed.get("LaunchTemplate") or {}).get("LaunchTemplateSpecification") or group["LaunchTemplate"]
    overrides = (mixed.get("LaunchTemplate") or {}).get("Overrides") or [{}]
    used = [each["_subnet"] for each in group["Instances"]]
    subnets = sorted(filter(None, group["VPCZoneIdentifier"].split(",")), key=used.count)
    market = {"InstanceMarketOptions": {"MarketType": "spot"}} if _spot(mixed) else {}
    return [
        {
            "LaunchTemplate": override.get("LaunchTemplateSpecification") or _pinned(template),
            "SubnetId": subnet,
            **({"InstanceType": override["InstanceType"]} if override.get("InstanceType") else {}),
            **market,
        }
        for override in overrides
        for subnet in subnets
    ]


def _spot(mixed: dict[str, Any]) -> bool:
    share = (mixed.get("InstancesDistribution") or {}).get("OnDemandPercentageAboveBaseCapacity", 100)
    return int(share) < 100


def _pinned(template: dict[str, Any]) -> dict[str, Any]:
    """The template with its version as a number: $Default and $Latest are resolved at launch."""
    record = ec2._launch_templates.get(template.get("LaunchTemplateId"))
    numbers = {"$Default": "DefaultVersionNumber", "$Latest": "LatestVersionNumber"}
    version = template.get("Version") or "$Default"
    return {**template, "Version": str(record[numbers[version]]) if record and version in numbers else str(version)}


def _propagated(group: Group, request: dict[str, Any]) -> list[dict[str, str]]:
    template = request["LaunchTemplate"]
    own = {
        "aws:autoscaling:groupName": group["AutoScalingGroupName"],
        "aws:ec2launchtemplate:id": template.get("LaunchTemplateId", ""),
        "aws:ec2launchtemplate:version": template["Version"],
    }
    tags = [{"Key": tag["Key"], "Value": tag["Value"]} for tag in group["Tags"] if tag["PropagateAtLaunch"]]
    return tags + [{"Key": key, "Value": value} for key, value in own.items()]


def _join(group: Group, instance: dict[str, Any], request: dict[str, Any], activity: Activity) -> None:
    member = {
        "InstanceId": instance["InstanceId"],
        "InstanceType": instance["InstanceType"],
        "AvailabilityZone": instance["Placement"]["AvailabilityZone"],
        "LifecycleState": "Pending",
        "HealthStatus": "Healthy",
        "LaunchTemplate": request["LaunchTemplate"],
        "ProtectedFromScaleIn": group["NewInstancesProtectedFromScaleIn"],
        "_activity": activity,
        "_subnet": request["SubnetId"],
    }
    activity["Description"] = f"{WORDS['Launch'][0]}: {instance['InstanceId']}"
    group["Instances"].append(member)
    _wait_or(group, member, LAUNCHING)


def _in_service(group: Group, member: Member) -> None:
    member["LifecycleState"] = "InService"
    _end(group, member.pop("_activity"), "Launch", instance_id=member["InstanceId"])


# --- terminating


def terminate(group: Group, member: Member, cause: str) -> Activity:
    """Begin to terminate a member of the group."""
    activity = member["_activity"] = _begin(group, "Terminate", cause)
    activity["Description"] = f"{WORDS['Terminate'][0]}: {member['InstanceId']}"
    activity["Details"] = _details(ec2._instances.get(member["InstanceId"], {}).get("SubnetId", ""))
    member["LifecycleState"] = "Terminating"
    _wait_or(group, member, TERMINATING)
    engine.wake()
    return activity


def _terminated(group: Group, members: list[Member]) -> None:
    """All in one call: each looks at all instances that there are."""
    instances = (ec2._instances.get(member["InstanceId"]) for member in members)
    living = [each["InstanceId"] for each in instances if each and each["State"]["Name"] != "terminated"]
    for member in members:
        group["Instances"].remove(member)
    if living:
        client("ec2").terminate_instances(InstanceIds=living)
    for member in members:
        _end(group, member.pop("_activity"), "Terminate", instance_id=member["InstanceId"])


# --- lifecycle hooks


def _wait_or(group: Group, member: Member, transition: str) -> None:
    """Put the member into its wait state if the group has hooks for the transition, else go on.

    A group that is deleted by force waits for none (DeleteAutoScalingGroup, ForceDelete).
    """
    now = time.time()
    hooks = [] if group.get("Status") else autoscaling._hooks.values()
    member["_actions"] = {
        hook["LifecycleHookName"]: {"token": new_uuid(), "deadline": now + hook["HeartbeatTimeout"], "result": None}
        for hook in hooks
        if hook["AutoScalingGroupName"] == group["AutoScalingGroupName"] and hook["LifecycleTransition"] == transition
    }
    if member["_actions"]:
        member["LifecycleState"] += ":Wait"
        member["_activity"]["StatusCode"] = "MidLifecycleAction"
    for name in member["_actions"]:
        _announce_hook(group, member, autoscaling._hooks[f"{group['AutoScalingGroupName']}/{name}"])
    if _end_waiting(group, member, now):
        _terminated(group, [member])


def _end_waiting(group: Group, member: Member, now: float) -> bool:
    """Go on when every action has a result; one ABANDON at launch terminates the instance. Whether its end has come."""
    state = member["LifecycleState"].partition(":")[0]
    if state not in ("Pending", "Terminating"):
        return False
    actions: dict[str, dict[str, Any]] = member["_actions"]
    for name, action in actions.items():
        hook = autoscaling._hooks.get(f"{group['AutoScalingGroupName']}/{name}")
        if hook is None or (settings.complete_hooks and not machines.machines.has_been(member["InstanceId"])):
            action["result"] = action["result"] or "CONTINUE"
        elif now >= action["deadline"]:
            action["result"] = action["result"] or hook["DefaultResult"]
    results = [action["result"] for action in actions.values()]
    if state == "Pending" and "ABANDON" in results:
        activity = member.pop("_activity")
        _end(group, activity, "Launch", "Instance failed to complete user's Lifecycle Action", member["InstanceId"])
        terminate(group, member, ABANDONED)
    elif all(results) and state == "Pending":
        _in_service(group, member)
    return state == "Terminating" and all(results)


def _announce_hook(group: Group, member: Member, hook: dict[str, Any]) -> None:
    name, transition = hook["LifecycleHookName"], hook["LifecycleTransition"]
    ways = ("EC2", "AutoScalingGroup")
    detail = {
        "LifecycleActionToken": member["_actions"][name]["token"],
        "AutoScalingGroupName": group["AutoScalingGroupName"],
        "LifecycleHookName": name,
        "EC2InstanceId": member["InstanceId"],
        "LifecycleTransition": transition,
        "Origin": ways[transition == TERMINATING],
        "Destination": ways[transition == LAUNCHING],
    }
    if metadata := hook.get("NotificationMetadata"):
        detail["NotificationMetadata"] = metadata
    kind = "EC2 Instance-launch" if transition == LAUNCHING else "EC2 Instance-terminate"
    emit("aws.autoscaling", f"{kind} Lifecycle Action", detail, [group["AutoScalingGroupARN"]])
    if target := hook.get("NotificationTargetARN"):
        _send(target, f"Auto Scaling:  Lifecycle action for instance {member['InstanceId']}", _letter(group) | detail)


# --- what is told of it


def _begin(group: Group, process: str, cause: str) -> Activity:
    activity = {
        "ActivityId": new_uuid(),
        "AutoScalingGroupName": group["AutoScalingGroupName"],
        "AutoScalingGroupARN": group["AutoScalingGroupARN"],
        "Description": f"{WORDS[process][0]}.",
        "Cause": f"At {now_iso()} {cause}",
        "StartTime": now_iso(),
        "StatusCode": "InProgress",
        "Progress": 50,
        "Details": "{}",
    }
    group.setdefault("_activities", []).insert(0, activity)
    return activity


def _end(group: Group, activity: Activity, process: str, failure: str = "", instance_id: str = "") -> None:
    activity.update(EndTime=now_iso(), StatusCode="Failed" if failure else "Successful", Progress=100)
    if failure:
        activity["StatusMessage"] = failure
    detail = {
        "StatusCode": "Failed" if failure else "InProgress",  # as AWS has it, in events of success
        "Description": activity["Description"],
        "AutoScalingGroupName": group["AutoScalingGroupName"],
        "ActivityId": activity["ActivityId"],
        "Details": json.loads(activity["Details"]),
        "RequestId": activity["ActivityId"],
        "StatusMessage": failure,
        "EndTime": activity["EndTime"],
        "EC2InstanceId": instance_id,
        "StartTime": activity["StartTime"],
        "Cause": activity["Cause"],
        "Origin": "EC2" if process == "Launch" else "AutoScalingGroup",
        "Destination": "AutoScalingGroup" if process == "Launch" else "EC2",
    }
    _, event, notification = WORDS[process]
    resources = [group["AutoScalingGroupARN"]]
    if instance_id:
        resources.append(f"arn:aws:ec2:{get_region()}:{get_account_id()}:instance/{instance_id}")
    emit("aws.autoscaling", f"{event} {'Unsuccessful' if failure else 'Successful'}", detail, resources)
    notify(group, notification + ("_ERROR" if failure else ""), detail)


def notify(group: Group, event: str, detail: dict[str, Any] | None = None) -> None:
    """Send a notification of this type to each topic that is configured for it; test notifications go to all."""
    for topic, types in group.get("_notifications", {}).items():
        if event in types or event == "autoscaling:TEST_NOTIFICATION":
            letter = _letter(group) | {"Event": event} | (detail or {})
            verb = event.rpartition("_INSTANCE_")[2].replace("_", " ").lower() if detail else "test notification"
            _send(topic, f'Auto Scaling: {verb} for group "{group["AutoScalingGroupName"]}"', letter)


def _letter(group: Group) -> dict[str, Any]:
    return {
        "Service": "AWS Auto Scaling",
        "Time": now_iso(),
        "RequestId": new_uuid(),
        "AccountId": get_account_id(),
        "AutoScalingGroupName": group["AutoScalingGroupName"],
        "AutoScalingGroupARN": group["AutoScalingGroupARN"],
    }


def _send(target_arn: str, subject: str, letter: dict[str, Any]) -> None:
    body = json.dumps(letter)
    if ":sns:" in target_arn:
        sns.publish_internal(target_arn, body, subject)
    else:
        queue_url = sqs._queue_url(target_arn.rpartition(":")[2])
        sqs._act_send_message({"MessageBody": body}, queue_url)


def _details(subnet_id: str) -> str:
    zone = ec2._subnets.get(subnet_id, {}).get("AvailabilityZone", "")
    return json.dumps({"Subnet ID": subnet_id, "Availability Zone": zone})
