"""AWS on a laptop: MiniStack plus what it lacks. See docs/local.md."""

from local.aws import LocalAws, LocalAwsError, down, local_aws, up

__all__ = ["LocalAws", "LocalAwsError", "down", "local_aws", "up"]
