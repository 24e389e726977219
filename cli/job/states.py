"""The states of a job, as AWS Batch names them, in the order in which a job goes through them."""

ACTIVE = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
STARTED = ("STARTING", "RUNNING")
SUCCEEDED = "SUCCEEDED"
ENDED = (SUCCEEDED, "FAILED")
STATUSES = (*ACTIVE, *ENDED)
