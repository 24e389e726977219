"""The life-cycle hooks of the queues' groups: what the template says of them and what the nodes have to know."""

LAUNCH_HOOK = "muster-launch"
TERMINATE_HOOK = "muster-terminate"

# Seconds. A launching node that is silent for so long is given up. One that is still at work says so every
# BEAT seconds, so that no script of the user's is cut short; a word or two may be lost.
LAUNCH_HEARTBEAT = 1800
BEAT = 600
# Seconds. With Slurm the head node's agent completes it as soon as the scheduler knows that the node is gone, which is
# one pass of its. A longer time would save no job: what the operator ends is drained before.
TERMINATE_HEARTBEAT = 60

HOOKS = [
    {
        "LifecycleHookName": LAUNCH_HOOK,
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
        "HeartbeatTimeout": LAUNCH_HEARTBEAT,
        "DefaultResult": "ABANDON",
    },
    {
        "LifecycleHookName": TERMINATE_HOOK,
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "HeartbeatTimeout": TERMINATE_HEARTBEAT,
        "DefaultResult": "CONTINUE",
    },
]
