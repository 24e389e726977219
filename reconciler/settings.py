"""What a function's environment tells it of the control plane it belongs to."""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Names and addresses of one control plane. A function is given, and reads, only what it uses."""

    owner: str = ""
    region: str = ""
    partition: str = "aws"
    account: str = ""
    specs_table: str = ""
    state_table: str = ""
    state_table_arn: str = ""
    wakes_queue_url: str = ""
    background_queue_url: str = ""
    inbox_queue_url: str = ""
    artifacts_bucket: str = ""
    cleanup_function_arn: str = ""
    stack_role_arn: str = ""
    event_ttl_days: int = 7

    @classmethod
    def from_environment(cls) -> "Settings":
        """The settings of the running function. Account and partition are those of the state table's ARN."""
        env = os.environ.get
        arn = env("MUSTER_STATE_TABLE_ARN", "arn:aws:dynamodb:::")
        _, partition, _, _, account, *_ = arn.split(":")
        return cls(
            owner=env("MUSTER_OWNER", ""),
            region=env("AWS_REGION", env("AWS_DEFAULT_REGION", "")),
            partition=partition,
            account=account,
            specs_table=env("MUSTER_SPECS_TABLE", ""),
            state_table=env("MUSTER_STATE_TABLE", ""),
            state_table_arn=arn,
            wakes_queue_url=env("MUSTER_WAKES_QUEUE_URL", ""),
            background_queue_url=env("MUSTER_BACKGROUND_QUEUE_URL", ""),
            inbox_queue_url=env("MUSTER_INBOX_QUEUE_URL", ""),
            artifacts_bucket=env("MUSTER_ARTIFACTS_BUCKET", ""),
            cleanup_function_arn=env("MUSTER_CLEANUP_FUNCTION_ARN", ""),
            stack_role_arn=env("MUSTER_STACK_ROLE_ARN", ""),
            event_ttl_days=int(env("MUSTER_EVENT_TTL_DAYS", "7")),
        )
