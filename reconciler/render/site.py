"""What a rendering is made from besides the cluster: the control plane's facts."""

from dataclasses import dataclass

# Only China has a DNS suffix of its own; GovCloud shares the commercial one (AWS regional endpoints).
SUFFIXES = {"aws-cn": "amazonaws.com.cn"}


@dataclass(frozen=True, slots=True)
class Site:
    """Where the control plane stands.

    `owner` is the name of its stack; `artifacts_bucket` the bucket's name, `state_table` the table's; `agent` is the
    SHA-256 of what this version of the operator has nodes run, empty for clusters that need none. The rest are ARNs
    and AWS's own words.
    """

    owner: str
    region: str
    partition: str
    account: str
    artifacts_bucket: str
    cleanup_function_arn: str
    state_table: str
    state_table_arn: str
    agent: str = ""

    @property
    def suffix(self) -> str:
        """The DNS suffix of AWS's services."""
        return SUFFIXES.get(self.partition, "amazonaws.com")

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource of this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"
