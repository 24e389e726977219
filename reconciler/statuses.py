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
    "DELETE_FAILED": Step.RECREATE,
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
    """What an EC2 instance state means for a head node."""

    RUNNING = "usable"
    STARTING = "on its way"
    DOWN = "not usable; the operator reports it and rebuilds nothing"


HEAD_NODE: dict[str, HeadNode] = {
    "pending": HeadNode.STARTING,
    "running": HeadNode.RUNNING,
    "stopping": HeadNode.DOWN,
    "stopped": HeadNode.DOWN,
    "shutting-down": HeadNode.DOWN,
    "terminated": HeadNode.DOWN,
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
