"""Every status that AWS can report of what a cluster stands on, and what the operator does with it.

Data, so that a test can hold it against botocore's own service model: a status that AWS adds and these tables
lack stops the cluster's reconciliation with a message that says so, and nothing else.
Source: "Stack status codes" in the AWS CloudFormation user guide; the EC2 and Auto Scaling API references.
"""

from enum import StrEnum


class Step(StrEnum):
    """What a stack's status asks of the next pass."""

    WAIT = "wait for CloudFormation"
    STEADY = "may be updated"
    CREATE = "create it"
    RECREATE = "delete it and create it again"
    DELETE_AGAIN = "delete it again"
    CONTINUE_ROLLBACK = "continue its rollback"
    ROLLBACK = "roll it back"
    STOP = "stop and say so"


STACK: dict[str, Step] = {
    "CREATE_IN_PROGRESS": Step.WAIT,
    "CREATE_FAILED": Step.RECREATE,
    "CREATE_COMPLETE": Step.STEADY,
    "ROLLBACK_IN_PROGRESS": Step.WAIT,
    "ROLLBACK_FAILED": Step.RECREATE,
    "ROLLBACK_COMPLETE": Step.RECREATE,
    "DELETE_IN_PROGRESS": Step.WAIT,
    "DELETE_FAILED": Step.DELETE_AGAIN,
    "DELETE_COMPLETE": Step.CREATE,
    "UPDATE_IN_PROGRESS": Step.WAIT,
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": Step.WAIT,
    "UPDATE_COMPLETE": Step.STEADY,
    "UPDATE_FAILED": Step.ROLLBACK,
    "UPDATE_ROLLBACK_IN_PROGRESS": Step.WAIT,
    "UPDATE_ROLLBACK_FAILED": Step.CONTINUE_ROLLBACK,
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": Step.WAIT,
    "UPDATE_ROLLBACK_COMPLETE": Step.STEADY,
    "REVIEW_IN_PROGRESS": Step.RECREATE,
    "IMPORT_IN_PROGRESS": Step.WAIT,
    "IMPORT_COMPLETE": Step.STEADY,
    "IMPORT_ROLLBACK_IN_PROGRESS": Step.WAIT,
    "IMPORT_ROLLBACK_FAILED": Step.STOP,
    "IMPORT_ROLLBACK_COMPLETE": Step.STEADY,
}

# How a stack on its way is shown, by status: the condition's reason, and the cluster's phase.
UNDER_WAY: dict[str, tuple[str, str]] = {
    "CREATE_IN_PROGRESS": ("Creating", "Creating"),
    "ROLLBACK_IN_PROGRESS": ("RollingBack", "Updating"),
    "DELETE_IN_PROGRESS": ("Deleting", "Updating"),
    "UPDATE_IN_PROGRESS": ("Updating", "Updating"),
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": ("Updating", "Updating"),
    "UPDATE_ROLLBACK_IN_PROGRESS": ("RollingBack", "Updating"),
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": ("RollingBack", "Updating"),
    "IMPORT_IN_PROGRESS": ("Updating", "Updating"),
    "IMPORT_ROLLBACK_IN_PROGRESS": ("RollingBack", "Updating"),
}

# Statuses whose cause is worth a look at the stack's events: something failed on the way there.
STACK_FAILED = frozenset(
    {
        "CREATE_FAILED",
        "ROLLBACK_FAILED",
        "ROLLBACK_COMPLETE",
        "DELETE_FAILED",
        "UPDATE_FAILED",
        "UPDATE_ROLLBACK_FAILED",
        "UPDATE_ROLLBACK_COMPLETE",
    }
)


class Teardown(StrEnum):
    """What a stack's status asks of a pass that deletes its cluster."""

    WAIT = "wait for CloudFormation"
    DELETE = "delete it"
    RETRY = "delete it again"
    GONE = "nothing is left of it"


# DeleteStack is taken in the middle of a creation; in the middle of an update or a rollback it is refused.
TEARDOWN: dict[str, Teardown] = {
    status: Teardown.WAIT if step is Step.WAIT else Teardown.DELETE for status, step in STACK.items()
} | {
    "CREATE_IN_PROGRESS": Teardown.DELETE,
    "DELETE_FAILED": Teardown.RETRY,
    "DELETE_COMPLETE": Teardown.GONE,
}


class Event(StrEnum):
    """What the status of a resource, or of the stack itself, in a stack's events and resources tells."""

    BEGINS = "begins; of the stack itself, an operation"
    GOES_ON = "goes on; of the stack itself, with the operation that began before"
    WELL = "ended well"
    FAILED = "failed"
    NOT_DELETED = "could not be deleted, and blocks the stack's deletion"


EVENT: dict[str, Event] = {
    "CREATE_IN_PROGRESS": Event.BEGINS,
    "CREATE_FAILED": Event.FAILED,
    "CREATE_COMPLETE": Event.WELL,
    "DELETE_IN_PROGRESS": Event.BEGINS,
    "DELETE_FAILED": Event.NOT_DELETED,
    "DELETE_COMPLETE": Event.WELL,
    "DELETE_SKIPPED": Event.WELL,
    "UPDATE_IN_PROGRESS": Event.BEGINS,
    "UPDATE_FAILED": Event.FAILED,
    "UPDATE_COMPLETE": Event.WELL,
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": Event.GOES_ON,
    "IMPORT_IN_PROGRESS": Event.BEGINS,
    "IMPORT_FAILED": Event.FAILED,
    "IMPORT_COMPLETE": Event.WELL,
    "IMPORT_ROLLBACK_IN_PROGRESS": Event.GOES_ON,
    "IMPORT_ROLLBACK_FAILED": Event.FAILED,
    "IMPORT_ROLLBACK_COMPLETE": Event.WELL,
    "EXPORT_IN_PROGRESS": Event.BEGINS,
    "EXPORT_FAILED": Event.FAILED,
    "EXPORT_COMPLETE": Event.WELL,
    "EXPORT_ROLLBACK_IN_PROGRESS": Event.GOES_ON,
    "EXPORT_ROLLBACK_FAILED": Event.FAILED,
    "EXPORT_ROLLBACK_COMPLETE": Event.WELL,
    "REVIEW_IN_PROGRESS": Event.BEGINS,
    "ROLLBACK_IN_PROGRESS": Event.GOES_ON,
    "ROLLBACK_FAILED": Event.FAILED,
    "ROLLBACK_COMPLETE": Event.WELL,
    "UPDATE_ROLLBACK_IN_PROGRESS": Event.GOES_ON,
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": Event.GOES_ON,
    "UPDATE_ROLLBACK_FAILED": Event.FAILED,
    "UPDATE_ROLLBACK_COMPLETE": Event.WELL,
}


class ChangeSetStep(StrEnum):
    """What a change set's status asks of the next pass."""

    WAIT = "wait for CloudFormation"
    READ = "read it"
    FAILED = "say why it failed"
    DISCARD = "delete it and make another"


CHANGE_SET: dict[str, ChangeSetStep] = {
    "CREATE_PENDING": ChangeSetStep.WAIT,
    "CREATE_IN_PROGRESS": ChangeSetStep.WAIT,
    "CREATE_COMPLETE": ChangeSetStep.READ,
    "DELETE_PENDING": ChangeSetStep.WAIT,
    "DELETE_IN_PROGRESS": ChangeSetStep.WAIT,
    "DELETE_COMPLETE": ChangeSetStep.DISCARD,
    "DELETE_FAILED": ChangeSetStep.DISCARD,
    "FAILED": ChangeSetStep.FAILED,
}


class Execution(StrEnum):
    """What the execution status of a change set that was created asks of the next pass."""

    READY = "judge it, and carry it out"
    RUNNING = "wait for CloudFormation"
    SPENT = "it was carried out; CloudFormation drops it itself"
    BARRED = "it cannot be carried out: delete it and make another"


EXECUTION: dict[str, Execution] = {
    "UNAVAILABLE": Execution.BARRED,
    "AVAILABLE": Execution.READY,
    "EXECUTE_IN_PROGRESS": Execution.RUNNING,
    "EXECUTE_COMPLETE": Execution.SPENT,
    "EXECUTE_FAILED": Execution.BARRED,
    "OBSOLETE": Execution.BARRED,
}

# How CloudFormation says that a change set would change nothing.
NO_CHANGES = ("didn't contain changes", "No updates are to be performed")


class HeadNode(StrEnum):
    """What an EC2 instance state means, for a head node above all."""

    RUNNING = "usable"
    STARTING = "on its way"
    DOWN = "not usable; the operator reports it and rebuilds nothing"
    GONE = "gone for good, though EC2 shows it for a while; reported in the same way"


HEAD_NODE: dict[str, HeadNode] = {
    "pending": HeadNode.STARTING,
    "running": HeadNode.RUNNING,
    "stopping": HeadNode.DOWN,
    "stopped": HeadNode.DOWN,
    "shutting-down": HeadNode.GONE,
    "terminated": HeadNode.GONE,
}


class MemberStep(StrEnum):
    """What a lifecycle state of a group's member means for the queue."""

    USABLE = "in service"
    COMING = "on its way in"
    GOING = "on its way out"
    PARKED = "set aside by somebody"


LIFECYCLE: dict[str, MemberStep] = {
    "Pending": MemberStep.COMING,
    "Pending:Wait": MemberStep.COMING,
    "Pending:Proceed": MemberStep.COMING,
    "Quarantined": MemberStep.PARKED,
    "InService": MemberStep.USABLE,
    "Terminating": MemberStep.GOING,
    "Terminating:Wait": MemberStep.GOING,
    "Terminating:Proceed": MemberStep.GOING,
    "Terminating:Retained": MemberStep.GOING,
    "Terminated": MemberStep.GOING,
    "Detaching": MemberStep.GOING,
    "Detached": MemberStep.GOING,
    "EnteringStandby": MemberStep.PARKED,
    "Standby": MemberStep.PARKED,
    "ReplacingRootVolume": MemberStep.COMING,
    "ReplacingRootVolume:Wait": MemberStep.COMING,
    "ReplacingRootVolume:Proceed": MemberStep.COMING,
    "RootVolumeReplaced": MemberStep.COMING,
    "Warmed:Pending": MemberStep.PARKED,
    "Warmed:Pending:Wait": MemberStep.PARKED,
    "Warmed:Pending:Proceed": MemberStep.PARKED,
    "Warmed:Pending:Retained": MemberStep.PARKED,
    "Warmed:Terminating": MemberStep.GOING,
    "Warmed:Terminating:Wait": MemberStep.GOING,
    "Warmed:Terminating:Proceed": MemberStep.GOING,
    "Warmed:Terminating:Retained": MemberStep.GOING,
    "Warmed:Terminated": MemberStep.GOING,
    "Warmed:Stopped": MemberStep.PARKED,
    "Warmed:Running": MemberStep.PARKED,
    "Warmed:Hibernated": MemberStep.PARKED,
}


class Activity(StrEnum):
    """What the status of a group's newest activity means for a queue that lacks nodes."""

    WAITING = "under way"
    DONE = "ended well"
    FAILED = "ended without a node; its message says why"


ACTIVITY: dict[str, Activity] = {
    "PendingSpotBidPlacement": Activity.WAITING,
    "WaitingForSpotInstanceRequestId": Activity.WAITING,
    "WaitingForSpotInstanceId": Activity.WAITING,
    "WaitingForInstanceId": Activity.WAITING,
    "PreInService": Activity.WAITING,
    "InProgress": Activity.WAITING,
    "WaitingForELBConnectionDraining": Activity.WAITING,
    "MidLifecycleAction": Activity.WAITING,
    "WaitingForInstanceWarmup": Activity.WAITING,
    "Successful": Activity.DONE,
    "Failed": Activity.FAILED,
    "Cancelled": Activity.FAILED,
    "WaitingForConnectionDraining": Activity.WAITING,
    "WaitingForInPlaceUpdateToStart": Activity.WAITING,
    "WaitingForInPlaceUpdateToFinalize": Activity.WAITING,
    "InPlaceUpdateInProgress": Activity.WAITING,
}


class Launching(StrEnum):
    """Why an instance could not be launched, by the words of its activity."""

    CAPACITY = "EC2 has none of what was asked for at present"
    PRICE = "Spot costs more than may be paid"
    QUOTA = "the account may have no more of them"
    OTHER = "for a reason that no table knows; its message says which"


# Error codes of RunInstances and of Spot requests ("Error codes for the Amazon EC2 API", "Troubleshoot issues in Amazon
# EC2 Auto Scaling"); of the first, Auto Scaling has words of its own as well.
LAUNCHING: dict[str, Launching] = {
    "InsufficientInstanceCapacity": Launching.CAPACITY,
    "InsufficientHostCapacity": Launching.CAPACITY,
    "InsufficientReservedInstanceCapacity": Launching.CAPACITY,
    "InsufficientCapacityOnHost": Launching.CAPACITY,
    "InsufficientCapacity": Launching.CAPACITY,
    "UnfulfillableCapacity": Launching.CAPACITY,
    "do not have sufficient": Launching.CAPACITY,
    "SpotMaxPriceTooLow": Launching.PRICE,
    "MaxSpotInstanceCountExceeded": Launching.QUOTA,
    "VcpuLimitExceeded": Launching.QUOTA,
    "InstanceLimitExceeded": Launching.QUOTA,
    "VolumeLimitExceeded": Launching.QUOTA,
    "AddressLimitExceeded": Launching.QUOTA,
    "InsufficientFreeAddressesInSubnet": Launching.QUOTA,
}


def launching(message: str) -> tuple[str, Launching]:
    """Why a launch failed that ended with this message: the words that tell, and what they mean."""
    return next(((code, kind) for code, kind in LAUNCHING.items() if code in message), ("", Launching.OTHER))


class Standing(StrEnum):
    """What the status of a compute environment or a job queue of AWS Batch asks of the next pass."""

    SOUND = "may be used and changed"
    MOVING = "wait for Batch"
    BROKEN = "say why; it may be disabled and deleted"
    GOING = "wait until it is gone"


# CEStatus and JQStatus are the same words.
STANDING: dict[str, Standing] = {
    "CREATING": Standing.MOVING,
    "UPDATING": Standing.MOVING,
    "DELETING": Standing.GOING,
    "DELETED": Standing.GOING,
    "VALID": Standing.SOUND,
    "INVALID": Standing.BROKEN,
}
# CEState and JQState: whether it takes work.
ENABLED: dict[str, bool] = {"ENABLED": True, "DISABLED": False}


class BuildStep(StrEnum):
    """What the status of a build asks of the next pass."""

    RUNNING = "wait for it"
    DONE = "its image is in the repository, or was"
    FAILED = "say why, and build again after a while"


BUILD: dict[str, BuildStep] = {
    "SUCCEEDED": BuildStep.DONE,
    "FAILED": BuildStep.FAILED,
    "FAULT": BuildStep.FAILED,
    "TIMED_OUT": BuildStep.FAILED,
    "IN_PROGRESS": BuildStep.RUNNING,
    "STOPPED": BuildStep.FAILED,
}


class JobStep(StrEnum):
    """What the status of a job means for the queue that it is in."""

    WAITING = "still to be done"
    RUNNING = "on a node, or on its way to one"
    DONE = "ended"


JOB: dict[str, JobStep] = {
    "SUBMITTED": JobStep.WAITING,
    "PENDING": JobStep.WAITING,
    "RUNNABLE": JobStep.WAITING,
    "STARTING": JobStep.RUNNING,
    "RUNNING": JobStep.RUNNING,
    "SUCCEEDED": JobStep.DONE,
    "FAILED": JobStep.DONE,
}
