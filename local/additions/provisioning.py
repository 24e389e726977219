"""Each step of a stack operation asks two things first: does a test want it to fail, and may the stack's role do it.

CloudFormation makes its calls with the role that the stack was given (user guide, "AWS CloudFormation service role");
MiniStack makes them in nobody's name. `RIGHTS` has the calls that no handler of a type can do without, from the
``handlers`` of the published resource schemas and the Service Authorization Reference. What a role may do beyond
that, and what AWS needs only at times, is not checked here; nor is a type that is not in the table.
"""

from typing import Any

from ministack.core.responses import get_account_id, get_region

from local.additions.access import role_may
from local.additions.emulator import app, cloudformation, ec2, iam, provisioners, stacks, tagging
from local.additions.settings import settings

Properties = dict[str, Any]
_TAG = "create tag"

# type: (ARN of the resource, {operations: calls on it}). {id} is the physical id, * before there is one; other names
# in braces are properties. A call may name the ARN of another resource that it needs a right on.
RIGHTS: dict[str, tuple[str, dict[str, str]]] = {
    "AWS::EC2::SecurityGroup": ("{ec2}:security-group/{id}", {
        "create": "ec2:CreateSecurityGroup", _TAG: "ec2:CreateTags", "delete": "ec2:DeleteSecurityGroup"}),
    "AWS::EC2::SecurityGroupIngress": ("{ec2}:security-group/{GroupId}", {
        "create": "ec2:AuthorizeSecurityGroupIngress", "delete": "ec2:RevokeSecurityGroupIngress"}),
    "AWS::EC2::SecurityGroupEgress": ("{ec2}:security-group/{GroupId}", {
        "create": "ec2:AuthorizeSecurityGroupEgress", "delete": "ec2:RevokeSecurityGroupEgress"}),
    "AWS::EC2::Instance": ("{ec2}:instance/{id}", {
        "create": "ec2:RunInstances ec2:RunInstances@arn:aws:ec2:{region}::image/{ImageId} "
                  "ec2:RunInstances@{ec2}:subnet/{SubnetId}",
        _TAG: "ec2:CreateTags", "update": "ec2:ModifyInstanceAttribute", "delete": "ec2:TerminateInstances"}),
    "AWS::EC2::Volume": ("{ec2}:volume/{id}", {
        "create": "ec2:CreateVolume", _TAG: "ec2:CreateTags", "update": "ec2:ModifyVolume",
        "delete": "ec2:DeleteVolume"}),
    "AWS::EC2::VolumeAttachment": ("{ec2}:volume/{VolumeId}", {
        "create": "ec2:AttachVolume ec2:AttachVolume@{ec2}:instance/{InstanceId}",
        "delete": "ec2:DetachVolume ec2:DetachVolume@{ec2}:instance/{InstanceId}"}),
    "AWS::EC2::PlacementGroup": ("{ec2}:placement-group/{id}", {
        "create": "ec2:CreatePlacementGroup ec2:CreateTags", "delete": "ec2:DeletePlacementGroup"}),
    "AWS::EC2::EIP": ("{ec2}:elastic-ip/{allocation}", {
        "create": "ec2:AllocateAddress", _TAG: "ec2:CreateTags", "delete": "ec2:ReleaseAddress"}),
    "AWS::EC2::EIPAssociation": ("{ec2}:elastic-ip/{AllocationId}", {
        "create": "ec2:AssociateAddress", "delete": "ec2:DisassociateAddress"}),
    "AWS::EC2::LaunchTemplate": ("{ec2}:launch-template/{id}", {
        "create": "ec2:CreateLaunchTemplate", "update": "ec2:CreateLaunchTemplateVersion",
        "delete": "ec2:DeleteLaunchTemplate"}),
    "AWS::AutoScaling::AutoScalingGroup": (
        "arn:aws:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/{id}", {
            "create": "autoscaling:CreateAutoScalingGroup ec2:RunInstances@{ec2}:instance/*",
            _TAG: "autoscaling:CreateOrUpdateTags", "update": "autoscaling:UpdateAutoScalingGroup",
            "delete": "autoscaling:UpdateAutoScalingGroup autoscaling:DeleteAutoScalingGroup"}),
    "AWS::IAM::Role": ("arn:aws:iam::{account}:role{Path}{id}", {
        "create": "iam:CreateRole iam:PutRolePolicy", _TAG: "iam:TagRole",
        "update": "iam:PutRolePolicy", "delete": "iam:DeleteRolePolicy iam:DeleteRole"}),
    "AWS::IAM::InstanceProfile": ("arn:aws:iam::{account}:instance-profile{Path}{id}", {
        "create": "iam:CreateInstanceProfile iam:AddRoleToInstanceProfile",
        "delete": "iam:RemoveRoleFromInstanceProfile iam:DeleteInstanceProfile"}),
    "AWS::SNS::Topic": ("{id}", {
        "create": "sns:CreateTopic@arn:aws:sns:{region}:{account}:{name}",
        _TAG: "sns:TagResource@arn:aws:sns:{region}:{account}:{name}", "delete": "sns:DeleteTopic"}),
    "AWS::SNS::Subscription": ("{TopicArn}", {"create": "sns:Subscribe"}),
    "AWS::SQS::Queue": ("arn:aws:sqs:{region}:{account}:{name}", {
        "create": "sqs:CreateQueue", _TAG: "sqs:TagQueue", "update": "sqs:SetQueueAttributes",
        "delete": "sqs:DeleteQueue"}),
    "AWS::Logs::LogGroup": ("arn:aws:logs:{region}:{account}:log-group:{name}", {
        "create": "logs:CreateLogGroup logs:PutRetentionPolicy", _TAG: "logs:TagResource",
        "update": "logs:PutRetentionPolicy", "delete": "logs:DeleteLogGroup"}),
    "AWS::EFS::FileSystem": ("arn:aws:elasticfilesystem:{region}:{account}:file-system/{id}", {
        "create": "elasticfilesystem:CreateFileSystem", _TAG: "elasticfilesystem:TagResource",
        "update": "elasticfilesystem:UpdateFileSystem", "delete": "elasticfilesystem:DeleteFileSystem"}),
    "AWS::EFS::MountTarget": ("arn:aws:elasticfilesystem:{region}:{account}:file-system/{FileSystemId}", {
        "create": "elasticfilesystem:CreateMountTarget", "delete": "elasticfilesystem:DeleteMountTarget"}),
    "AWS::FSx::FileSystem": ("arn:aws:fsx:{region}:{account}:file-system/{id}", {
        "create": "fsx:CreateFileSystem fsx:TagResource", "update": "fsx:UpdateFileSystem",
        "delete": "fsx:DeleteFileSystem"}),
    "AWS::Batch::ComputeEnvironment": ("arn:aws:batch:{region}:{account}:compute-environment/{name}", {
        "create": "batch:CreateComputeEnvironment batch:TagResource batch:DescribeComputeEnvironments@*",
        "update": "batch:UpdateComputeEnvironment batch:DescribeComputeEnvironments@*",
        "delete": "batch:UpdateComputeEnvironment batch:DeleteComputeEnvironment "
                  "batch:DescribeComputeEnvironments@*"}),
    "AWS::Batch::JobQueue": ("arn:aws:batch:{region}:{account}:job-queue/{name}", {
        "create": "batch:CreateJobQueue batch:DescribeJobQueues@*", _TAG: "batch:TagResource",
        "update": "batch:UpdateJobQueue batch:DescribeJobQueues@*",
        "delete": "batch:UpdateJobQueue batch:DeleteJobQueue batch:DescribeJobQueues@*"}),
    "AWS::Batch::JobDefinition": ("arn:aws:batch:{region}:{account}:job-definition/{name}", {
        "create update": "batch:RegisterJobDefinition", _TAG: "batch:TagResource",
        "update delete": "batch:DeregisterJobDefinition@{id}"}),
    "AWS::Batch::SchedulingPolicy": ("arn:aws:batch:{region}:{account}:scheduling-policy/{name}", {
        "create": "batch:CreateSchedulingPolicy", _TAG: "batch:TagResource", "update": "batch:UpdateSchedulingPolicy",
        "delete": "batch:DescribeSchedulingPolicies@* batch:DeleteSchedulingPolicy"}),
    "AWS::CodeBuild::Project": ("arn:aws:codebuild:{region}:{account}:project/{name}", {
        "create": "codebuild:CreateProject", "tag update": "codebuild:UpdateProject",
        "delete": "codebuild:DeleteProject"}),
    "AWS::ECR::Repository": ("arn:aws:ecr:{region}:{account}:repository/{name}", {
        "create": "ecr:CreateRepository", _TAG: "ecr:TagResource",
        "update": "ecr:PutImageScanningConfiguration ecr:PutImageTagMutability", "delete": "ecr:DeleteRepository"}),
    "Custom::": ("{ServiceToken}", {"create update delete": "lambda:InvokeFunction"}),
}  # fmt: skip
# type: the operations that hand over roles
PASSING = {
    "AWS::EC2::Instance": "create",
    "AWS::IAM::InstanceProfile": "create",
    "AWS::Batch::ComputeEnvironment": "create update",
    "AWS::Batch::JobDefinition": "create update",
    "AWS::CodeBuild::Project": "create update",
}


def register() -> None:
    """Put the checks before MiniStack's three steps, wherever they are called."""
    create, update, delete = stacks._provision_resource, stacks._update_resource, stacks._delete_resource

    def provision(kind: str, logical_id: str, props: Properties, stack: str) -> Any:
        check("create", kind, stack, logical_id, "", props)
        return create(kind, logical_id, props, stack)

    def change(kind: str, physical_id: str, old: Properties, new: Properties, stack: str, *rest: Any) -> Any:
        if old != new:
            tags_alone = {k: v for k, v in old.items() if "Tags" not in k} == {
                k: v for k, v in new.items() if "Tags" not in k
            }
            check("tag" if tags_alone else "update", kind, stack, rest[0] if rest else "", physical_id, new)
        return update(kind, physical_id, old, new, stack, *rest)

    def remove(kind: str, physical_id: str, props: Properties, stack: str = "", logical_id: str = "") -> Any:
        check("delete", kind, stack, logical_id, physical_id, props)
        return delete(kind, physical_id, props, stack, logical_id)

    for module in (stacks, provisioners):
        module._provision_resource, module._update_resource, module._delete_resource = provision, change, remove


def check(operation: str, kind: str, stack: str, logical_id: str, physical_id: str, props: Properties) -> None:
    """Raise ValueError, with the reason that the stack's event shall give, if the step is not to be done."""
    record = cloudformation._stacks.get(stack) or {}
    step = "rollback" if "ROLLBACK" in record.get("StackStatus", "") else operation
    facts = {"Stack": stack, "Operation": step, "ResourceType": kind, "LogicalResourceId": logical_id}
    for failure in settings.failures:
        if all(facts.get(key) == value for key, value in failure.items() if key != "Reason"):
            raise ValueError(failure.get("Reason", f"{operation} of {logical_id} failed, as the test wants"))
    entry = RIGHTS.get("Custom::" if kind.startswith("Custom::") else kind)
    if not (app.AUTH and record.get("_role") and entry):
        return
    names = _names(kind, stack, logical_id, physical_id, props)
    for action, arn in _calls(entry, operation, names):
        _evaluate(record["_role"], action, arn, _context(kind, arn, props))
    for arn, service in _passed(kind, props) if operation in PASSING.get(kind, "") else ():
        _evaluate(record["_role"], "iam:PassRole", arn, _context(kind, arn, props) | {"iam:passedtoservice": service})


def _calls(entry: tuple[str, dict[str, str]], operation: str, names: Properties) -> list[tuple[str, str]]:
    own, operations = entry
    return [
        (action, (other or own).format_map(names))
        for applies, calls in operations.items()
        if operation in applies.split()
        for action, _, other in (call.partition("@") for call in calls.split())
    ]


class _Names(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "*"


def _names(kind: str, stack: str, logical_id: str, physical_id: str, props: Properties) -> _Names:
    region, account = get_region(), get_account_id()
    given = props.get(provisioners._CUSTOM_NAME_REPLACEMENT.get(kind, {}).get("name", ""))
    given = given or props.get("LogGroupName") or props.get("AutoScalingGroupName")
    if kind == "AWS::Batch::JobDefinition":  # its physical id ends with the revision
        given = given or physical_id.rpartition("/")[2].partition(":")[0]
    name = given or physical_id.rpartition("/")[2].rpartition(":")[2] or f"{stack}-{logical_id}-NEW"
    allocations = {each["PublicIp"]: each["AllocationId"] for each in ec2._addresses.values()}
    own = {
        "region": region, "account": account, "ec2": f"arn:aws:ec2:{region}:{account}", "name": name,
        "id": physical_id or ("*" if kind.startswith("AWS::EC2") else name), "Path": props.get("Path", "/"),
        "allocation": allocations.get(physical_id, "*"),
    }  # fmt: skip
    return _Names({key: value for key, value in props.items() if isinstance(value, str)} | own)


def _passed(kind: str, props: Properties) -> list[tuple[str, str]]:
    """The ARNs of the roles that the resource hands over, and to which service."""
    resources = props.get("ComputeResources") or {}
    profile = props.get("IamInstanceProfile") if kind == "AWS::EC2::Instance" else resources.get("InstanceRole")
    names = props.get("Roles") or _roles_of(profile) if kind != "AWS::IAM::Role" else []
    roles = [(iam._roles.get(name, {}).get("Arn"), "ec2.amazonaws.com") for name in names]
    service = "batch.amazonaws.com" if kind.startswith("AWS::Batch") else "codebuild.amazonaws.com"
    roles += [(props.get("ServiceRole"), service), (resources.get("SpotIamFleetRole"), "spotfleet.amazonaws.com")]
    roles += [(role, "ecs-tasks.amazonaws.com") for role in _job_roles(props)]
    return [(role, service) for role, service in roles if role]


def _roles_of(profile: str | None) -> list[str]:
    found = iam._lookup_instance_profile(name=profile.rpartition("/")[2], arn="") if profile else None
    roles: list[Any] = (found or {}).get("Roles") or []
    return [each["RoleName"] if isinstance(each, dict) else each for each in roles]


def _job_roles(props: Properties) -> list[str]:
    ranges = (props.get("NodeProperties") or {}).get("NodeRangeProperties") or []
    containers = [props.get("ContainerProperties") or {}, *(each.get("Container") or {} for each in ranges)]
    return [each[key] for each in containers for key in ("JobRoleArn", "ExecutionRoleArn") if each.get(key)]


def _context(kind: str, arn: str, props: Properties) -> Properties:
    spec = provisioners._STACK_TAG_PROPERTY.get(kind)
    tags = provisioners._tag_map(props.get(spec[0])) if spec else {}
    if kind == "AWS::EC2::LaunchTemplate":
        tags = {
            tag["Key"]: tag["Value"]
            for each in props.get("TagSpecifications") or []
            if each["ResourceType"] == "launch-template"
            for tag in each["Tags"]
        }
    context = {f"aws:requesttag/{key}".lower(): value for key, value in tags.items()}
    context["aws:tagkeys"] = list(tags)
    found = tagging.resource_tags(arn) or {}
    context.update({f"aws:resourcetag/{key}".lower(): value for key, value in found.items()})
    if boundary := props.get("PermissionsBoundary"):
        context["iam:permissionsboundary"] = boundary
    return context


def _evaluate(role_arn: str, action: str, arn: str, context: Properties) -> None:
    if not role_may(role_arn, "AWSCloudFormation", action, arn, context):
        principal = f"arn:aws:sts::{get_account_id()}:assumed-role/{role_arn.rpartition('/')[2]}/AWSCloudFormation"
        raise ValueError(
            f'Resource handler returned message: "User: {principal} is not authorized to perform: {action} on '
            f'resource: {arn} because no identity-based policy allows the {action} action"'
        )
