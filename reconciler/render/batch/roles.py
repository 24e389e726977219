"""The roles of a Batch cluster, each with what it uses on the cluster's own things and nothing more.

Batch itself works by its service-linked role, without which it could not change an environment in place (AWS Batch user
guide, "Updating compute environments").
"""

from reconciler.facts import job_definition_name, job_queue_name, jobs_prefix, repository_name, sources_prefix
from reconciler.render.batch import logs
from reconciler.render.context import Context, Json, Resources, attribute, present, ref, tag_list
from reconciler.render.iam import allow, s3_data

BUILD, INSTANCE, EXECUTION, JOB, SUBMIT, SPOT_FLEET = (
    "BuildRole",
    "InstanceRole",
    "ExecutionRole",
    "JobRole",
    "SubmitRole",
    "SpotFleetRole",
)
INSTANCE_PROFILE = "InstanceProfile"
PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
PUSH = ("ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart")
WRITE_LOGS = ("logs:CreateLogStream", "logs:PutLogEvents")
ANYTHING: list[object] = ["*"]


def arn(role: str) -> Json:
    """A reference to a role."""
    return attribute(role, "Arn")


def _objects(context: Context, prefix: str) -> str:
    return f"arn:{context.site.partition}:s3:::{context.site.artifacts_bucket}/{prefix}*"


def _bucket(context: Context) -> str:
    return f"arn:{context.site.partition}:s3:::{context.site.artifacts_bucket}"


def _listing(context: Context) -> Json:
    below = {"StringLike": {"s3:prefix": f"{jobs_prefix(context.name)}*"}}
    return allow("ListFiles", ["s3:ListBucket"], [_bucket(context)], below)


def _repository(context: Context) -> list[object]:
    return [context.site.arn("ecr", f"repository/{repository_name(context.name)}")]


def _build(context: Context) -> list[Json]:
    own = _objects(context, sources_prefix(context.name))
    archives = {image.archive.removeprefix("s3://") for image in context.batch.images if image.archive}
    given = sorted(f"arn:{context.site.partition}:s3:::{key}" for key in archives)
    # What `muster apply` packed lies below the cluster's own prefix: another content of it is not another role.
    sources: list[object] = [own, *(each for each in given if not each.startswith(own.removesuffix("*")))]
    return [
        allow("Log", WRITE_LOGS, logs.group_and_streams(context, logs.BUILDS)),
        allow("Source", ["s3:GetObject", "s3:GetObjectVersion"], sources),
        allow("LogIn", ["ecr:GetAuthorizationToken"], ANYTHING),
        allow("PullAndPush", PULL + PUSH, _repository(context)),
    ]


def _execution(context: Context) -> list[Json]:
    secrets = sorted({each for one in context.batch.job_definitions for each in one.secrets.values()})
    # An ARN of a secret may go on with a JSON key, a stage and a version, which are no part of the resource.
    managed: list[object] = [":".join(each.split(":")[:7]) for each in secrets if ":secretsmanager:" in each]
    parameters: list[object] = [each for each in secrets if ":ssm:" in each]
    return [
        allow("Log", WRITE_LOGS, logs.group_and_streams(context, logs.JOBS)),
        allow("LogIn", ["ecr:GetAuthorizationToken"], ANYTHING),
        allow("Pull", PULL, _repository(context)),
        *([allow("Secrets", ["secretsmanager:GetSecretValue"], managed)] if managed else []),
        *([allow("Parameters", ["ssm:GetParameters"], parameters)] if parameters else []),
    ]


def _job(context: Context) -> list[Json]:
    files: list[object] = [_objects(context, jobs_prefix(context.name))]
    return [
        allow("Files", ["s3:GetObject", "s3:PutObject"], files),
        _listing(context),
        *s3_data(context.spec.s3_access),
    ]


def submission(context: Context) -> list[Json]:
    """What people who submit jobs may do."""
    site, name = context.site, context.name
    own: list[object] = [
        site.arn("batch", f"job-queue/{job_queue_name(name, '*')}"),
        site.arn("batch", f"job-definition/{job_definition_name(name, '*')}"),
    ]
    looks = [
        *("batch:DescribeComputeEnvironments", "batch:DescribeJobDefinitions", "batch:DescribeJobQueues"),
        *("batch:DescribeJobs", "batch:ListJobs", "ec2:DescribeInstances"),
        *("ecs:DescribeContainerInstances", "ecs:ListContainerInstances"),
    ]
    files: list[object] = [_objects(context, jobs_prefix(name))]
    return [
        allow("Submit", ["batch:SubmitJob"], own),
        allow("End", ["batch:CancelJob", "batch:TerminateJob"], [site.arn("batch", "job/*")]),
        allow("Look", looks, ANYTHING),
        allow("Files", ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], files),
        _listing(context),
        allow("ReadLogs", ["logs:FilterLogEvents", "logs:GetLogEvents"], logs.group_and_streams(context, logs.JOBS)),
    ]


def _trust(context: Context, service: str) -> Json:
    """Who may take a role: a service, or the account's own people by the rights that they are given."""
    account = {"AWS": f"arn:{context.site.partition}:iam::{context.site.account}:root"}
    principal = {"Service": service} if service else account
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def _role(context: Context, service: str, statements: list[Json], managed: list[str] | None = None) -> Json:
    document = {"Version": "2012-10-17", "Statement": statements}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": present(
            Path=f"/muster/{context.name}/",
            AssumeRolePolicyDocument=_trust(context, service),
            ManagedPolicyArns=managed or None,
            PermissionsBoundary=context.spec.iam.permissions_boundary,
            Policies=[{"PolicyName": "muster", "PolicyDocument": document}] if statements else None,
            Tags=tag_list(context.marks),
        ),
    }


def needs_fleet_role(context: Context) -> bool:
    """Whether Batch asks EC2 for a Spot fleet (ComputeResource, spotIamFleetRole): with BEST_FIT on Spot alone."""
    found = context.batch.compute_environments
    return any(each.type == "SPOT" and each.allocation_strategy == "BEST_FIT" for each in found)


def resources(context: Context) -> Resources:
    """The roles that this cluster needs."""
    policies = f"arn:{context.site.partition}:iam::aws:policy/service-role"
    ecs = [f"{policies}/AmazonEC2ContainerServiceforEC2Role"]
    made: Resources = {
        BUILD: _role(context, f"codebuild.{context.site.suffix}", _build(context)),
        EXECUTION: _role(context, f"ecs-tasks.{context.site.suffix}", _execution(context)),
        JOB: _role(
            context,
            f"ecs-tasks.{context.site.suffix}",
            _job(context),
            list(context.spec.iam.additional_policies),
        ),
        SUBMIT: _role(context, "", submission(context)),
        # Also without an environment of instances: those of an environment that was taken out may still run jobs.
        INSTANCE: _role(context, f"ec2.{context.site.suffix}", [], ecs),
        INSTANCE_PROFILE: {
            "Type": "AWS::IAM::InstanceProfile",
            "Properties": {"Path": f"/muster/{context.name}/", "Roles": [ref(INSTANCE)]},
        },
    }
    if needs_fleet_role(context):
        managed = [f"{policies}/AmazonEC2SpotFleetTaggingRole"]
        made[SPOT_FLEET] = _role(context, f"spotfleet.{context.site.suffix}", [], managed)
    return made
