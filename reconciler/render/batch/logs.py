"""The log groups of jobs and of image builds."""

from reconciler.render.context import Context, Json, Resources, tag_list

JOBS, BUILDS = "JobsLogGroup", "BuildsLogGroup"
NAMES = {JOBS: "jobs", BUILDS: "builds"}


def name(context: Context, group: str) -> str:
    """The name of one of the groups."""
    return f"{context.log_group}/{NAMES[group]}"


def group_and_streams(context: Context, group: str) -> list[object]:
    """The ARNs of a group and of its streams, as IAM takes them: a stream is made in the group, and written to itself.

    Source: "Actions, resources, and condition keys for Amazon CloudWatch Logs", Service Authorization Reference.
    """
    arn = context.site.arn("logs", f"log-group:{name(context, group)}")
    return [arn, f"{arn}:*"]


def _group(context: Context, group: str) -> Json:
    return {
        "Type": "AWS::Logs::LogGroup",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {
            "LogGroupName": name(context, group),
            "RetentionInDays": context.spec.logs.retention_days,
            "Tags": tag_list(context.marks),
        },
    }


def resources(context: Context) -> Resources:
    """Both groups."""
    return {group: _group(context, group) for group in NAMES}
