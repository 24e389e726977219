"""The kinds of text a spec may hold.

Each kind is a pattern and, for the reader of an error, the rule in plain words and an example. A pattern
holds only what pydantic (Rust), Python and JSON Schema (ECMA) regular expressions read alike. Whatever
reaches user data, a policy, a tag or a shell has a kind here that admits neither control characters nor,
wherever AWS can do without them, characters that mean something to a shell.
"""

from typing import Annotated, NamedTuple

from pydantic import Field

from reconciler.cluster.base import Distinct, Items


class Kind(NamedTuple):
    """One kind of text: its pattern, the rule in plain words, an example that keeps it."""

    pattern: str
    rule: str
    example: str


CLUSTER_NAME = Kind(
    r"^[a-z](?:[a-z0-9-]{0,58}[a-z0-9])?$",
    "1 to 60 lower-case letters, digits and hyphens; it starts with a letter and does not end with a hyphen",
    "weather-7",
)
SHORT_NAME = Kind(
    r"^[a-z](?:[a-z0-9-]{0,28}[a-z0-9])?$",
    "1 to 30 lower-case letters, digits and hyphens; it starts with a letter and does not end with a hyphen",
    "compute",
)
AMI_ID = Kind(
    r"^ami-(?:[0-9a-f]{8}|[0-9a-f]{17})$",
    "ami- and 8 or 17 hexadecimal digits",
    "ami-0123456789abcdef0",
)
VPC_ID = Kind(
    r"^vpc-(?:[0-9a-f]{8}|[0-9a-f]{17})$",
    "vpc- and 8 or 17 hexadecimal digits",
    "vpc-0123456789abcdef0",
)
SUBNET_ID = Kind(
    r"^subnet-(?:[0-9a-f]{8}|[0-9a-f]{17})$",
    "subnet- and 8 or 17 hexadecimal digits",
    "subnet-0123456789abcdef0",
)
SECURITY_GROUP_ID = Kind(
    r"^sg-(?:[0-9a-f]{8}|[0-9a-f]{17})$",
    "sg- and 8 or 17 hexadecimal digits",
    "sg-0123456789abcdef0",
)
VOLUME_ID = Kind(
    r"^vol-(?:[0-9a-f]{8}|[0-9a-f]{17})$",
    "vol- and 8 or 17 hexadecimal digits",
    "vol-0123456789abcdef0",
)
SNAPSHOT_ID = Kind(
    r"^snap-(?:[0-9a-f]{8}|[0-9a-f]{17})$",
    "snap- and 8 or 17 hexadecimal digits",
    "snap-0123456789abcdef0",
)
EFS_ID = Kind(
    r"^fs-(?:[0-9a-f]{8}|[0-9a-f]{17})$",
    "fs- and 8 or 17 hexadecimal digits",
    "fs-0123456789abcdef0",
)
FSX_ID = Kind(
    r"^fs-[0-9a-f]{17}$",
    "fs- and 17 hexadecimal digits",
    "fs-0123456789abcdef0",
)
FSX_MOUNT_NAME = Kind(
    r"^[A-Za-z0-9_-]{1,8}$",
    "1 to 8 letters, digits and _ -",
    "abcdefgh",
)
BACKUP_ID = Kind(
    r"^backup-[0-9a-f]{8,}$",
    "backup- and at least 8 hexadecimal digits",
    "backup-0123456789abcdef0",
)
INSTANCE_TYPE = Kind(
    r"^[a-z][a-z0-9-]{0,23}\.[a-z0-9][a-z0-9-]{1,19}$",
    "an EC2 instance type: family, a dot, size",
    "c7g.4xlarge",
)
KEY_NAME = Kind(
    r"^[A-Za-z0-9][A-Za-z0-9 ._@+-]{0,254}$",
    "1 to 255 letters, digits, spaces and . _ @ + -; it starts with a letter or digit",
    "ops-2026",
)
PLACEMENT_GROUP = Kind(
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$",
    "dynamic, or the name of an existing placement group: 1 to 255 letters, digits and . _ -",
    "dynamic",
)
KMS_KEY = Kind(
    r"^(?:arn:aws[a-z-]{0,20}:kms:[a-z0-9-]{1,30}:[0-9]{12}:(?:key|alias)/[A-Za-z0-9/_-]{1,250}"
    r"|alias/[A-Za-z0-9/_-]{1,250}|mrk-[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$",
    "a KMS key's id, ARN, or alias/name",
    "1234abcd-12ab-34cd-56ef-1234567890ab",
)
IPV4_CIDR = Kind(
    r"^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
    r"/(?:3[0-2]|[12]?[0-9])$",
    "an IPv4 range in CIDR form: address, slash, prefix length 0 to 32",
    "203.0.113.0/24",
)
MOUNT_DIR = Kind(
    r"^/[A-Za-z0-9_][A-Za-z0-9._-]{0,62}(?:/[A-Za-z0-9_][A-Za-z0-9._-]{0,62}){0,7}$",
    "an absolute path of at most 8 parts; each has 1 to 63 letters, digits and . _ - and does not start with . or -",
    "/shared/home",
)
S3_ARN = Kind(
    r"^arn:aws[a-z-]{0,20}:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[A-Za-z0-9/_.=+@-]{0,512}\*?)?$",
    "the ARN of a bucket, or of a prefix in it (letters, digits and / _ . = + @ -) that may end with *",
    "arn:aws:s3:::my-data/results/*",
)
S3_URI = Kind(
    r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[A-Za-z0-9/_.=+@-]{0,800})?$",
    "s3://bucket or s3://bucket/prefix with letters, digits and / _ . = + @ -",
    "s3://my-data/input",
)
POLICY_ARN = Kind(
    r"^arn:aws[a-z-]{0,20}:iam::(?:aws|[0-9]{12}):policy/[A-Za-z0-9+=,.@_/-]{1,512}$",
    "the ARN of an IAM policy",
    "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
)
SCRIPT_URL = Kind(
    r"^(?:https://[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})(?::[0-9]{1,5})?|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])"
    r"/[A-Za-z0-9/._~?&=%+:@,-]{1,1000}$",
    "an https:// or s3:// address of a file, with letters, digits and / . _ ~ ? & = % + : @ , - only",
    "s3://my-scripts/setup.sh",
)
PROXY_URL = Kind(
    r"^https?://[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}):[0-9]{1,5}/?$",
    "http:// or https://, a host, a colon and a port; no user name or password",
    "http://proxy.example.com:3128",
)
ARGUMENT = Kind(
    "^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]*$",
    "printable text: no line breaks, tabs or other control characters",
    "--fast",
)
TAG_KEY = Kind(
    r"^[A-Za-z0-9_.:/=+@-][A-Za-z0-9 _.:/=+@-]{0,127}$",
    "1 to 128 letters, digits, spaces and _ . : / = + @ -; it does not start with a space",
    "CostCenter",
)
TAG_VALUE = Kind(
    r"^[A-Za-z0-9 _.:/=+@-]{1,256}$",
    "1 to 256 letters, digits, spaces and _ . : / = + @ -",
    "physics 42",
)
LABEL_KEY = Kind(
    r"^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$",
    "1 to 63 letters, digits and . _ -, starting and ending with a letter or digit; a DNS name and / may precede",
    "example.com/team",
)
LABEL_VALUE = Kind(
    r"^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$",
    "up to 63 letters, digits and . _ -, starting and ending with a letter or digit",
    "physics",
)
ANNOTATION = Kind(
    "^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f]*$",
    "text without control characters but tabs and line breaks",
    "seen by ops on Monday",
)
CONSENT = Kind(
    r"^(?:headNode|(?:queues|sharedStorage)/[a-z](?:[a-z0-9-]{0,28}[a-z0-9])?)$",
    "headNode, queues/NAME or sharedStorage/NAME",
    "sharedStorage/home",
)
WEEKLY_TIME = Kind(
    r"^[1-7]:(?:[01][0-9]|2[0-3]):[0-5][0-9]$",
    "day:HH:MM in UTC, the day from 1 (Monday) to 7 (Sunday)",
    "7:03:00",
)
DAILY_TIME = Kind(
    r"^(?:[01][0-9]|2[0-3]):[0-5][0-9]$",
    "HH:MM in UTC",
    "03:00",
)

BATCH_INSTANCE_TYPE = Kind(
    r"^(?:optimal|default_x86_64|default_arm64|[a-z][a-z0-9-]{0,23}(?:\.[a-z0-9][a-z0-9-]{1,19})?)$",
    "an EC2 instance type, a family of them, or optimal, default_x86_64, default_arm64",
    "c7i",
)
DOCKERFILE = Kind(
    "^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f]+$",
    "the text of a Dockerfile, without control characters but tabs and line breaks",
    "FROM public.ecr.aws/amazonlinux/amazonlinux:2023",
)
ENVIRONMENT_NAME = Kind(
    r"^[A-Za-z_][A-Za-z0-9_]{0,127}$",
    "1 to 128 letters, digits and _; it does not start with a digit",
    "OMP_NUM_THREADS",
)
IMAGE_URI = Kind(
    r"^[a-z0-9][a-z0-9.-]{0,127}(?::[0-9]{1,5})?(?:/[a-z0-9]+(?:[._-]{1,2}[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(?:@sha256:[0-9a-f]{64})?$",
    "a container image: registry and repository, then :tag or @sha256:digest",
    "public.ecr.aws/amazonlinux/amazonlinux:2023",
)
EXIT_CODE_PATTERN = Kind(
    r"^(?:[0-9]{1,511}\*?|\*)$",
    "digits, perhaps with * at the end, or * alone",
    "137",
)
RETRY_PATTERN = Kind(
    r"^(?:[A-Za-z0-9. :]{1,511}\*?|\*)$",
    "1 to 511 letters, digits, spaces, . and :, perhaps with * at the end, or * alone",
    "Host EC2*",
)
S3_OBJECT = Kind(
    r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[A-Za-z0-9/_.=+@-]{1,800}$",
    "s3://bucket/key with letters, digits and / _ . = + @ -",
    "s3://my-sources/images/blast.zip",
)
SECRET_ARN = Kind(
    r"^arn:aws[a-z-]{0,20}:(?:secretsmanager:[a-z0-9-]{1,30}:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]{1,512}(?::[A-Za-z0-9_.-]*){0,3}"
    r"|ssm:[a-z0-9-]{1,30}:[0-9]{12}:parameter/[A-Za-z0-9/_.-]{1,1011})$",
    "the ARN of a Secrets Manager secret or of an SSM parameter",
    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:licence-AbCdEf",
)
SHARE_NAME = Kind(
    r"^[A-Za-z0-9]{1,254}\*?$",
    "1 to 255 letters and digits, perhaps with * at the end",
    "physics",
)

KINDS = {kind.pattern: kind for kind in list(globals().values()) if isinstance(kind, Kind)}

ClusterName = Annotated[str, Field(pattern=CLUSTER_NAME.pattern, max_length=60)]
ShortName = Annotated[str, Field(pattern=SHORT_NAME.pattern, max_length=30)]
AmiId = Annotated[str, Field(pattern=AMI_ID.pattern, max_length=21)]
VpcId = Annotated[str, Field(pattern=VPC_ID.pattern, max_length=21)]
SubnetId = Annotated[str, Field(pattern=SUBNET_ID.pattern, max_length=24)]
SubnetIds = Annotated[Items[SubnetId], Distinct(1, 16)]
SecurityGroupId = Annotated[str, Field(pattern=SECURITY_GROUP_ID.pattern, max_length=20)]
VolumeId = Annotated[str, Field(pattern=VOLUME_ID.pattern, max_length=21)]
SnapshotId = Annotated[str, Field(pattern=SNAPSHOT_ID.pattern, max_length=22)]
EfsId = Annotated[str, Field(pattern=EFS_ID.pattern, max_length=20)]
FsxId = Annotated[str, Field(pattern=FSX_ID.pattern, max_length=20)]
FsxMountName = Annotated[str, Field(pattern=FSX_MOUNT_NAME.pattern, max_length=8)]
BackupId = Annotated[str, Field(pattern=BACKUP_ID.pattern, max_length=128)]
InstanceType = Annotated[str, Field(pattern=INSTANCE_TYPE.pattern, max_length=45)]
KeyName = Annotated[str, Field(pattern=KEY_NAME.pattern, max_length=255)]
PlacementGroup = Annotated[str, Field(pattern=PLACEMENT_GROUP.pattern, max_length=255)]
KmsKey = Annotated[str, Field(pattern=KMS_KEY.pattern, max_length=330)]
Ipv4Cidr = Annotated[str, Field(pattern=IPV4_CIDR.pattern, max_length=18)]
MountDir = Annotated[str, Field(pattern=MOUNT_DIR.pattern, max_length=128)]
S3Arn = Annotated[str, Field(pattern=S3_ARN.pattern, max_length=600)]
S3Uri = Annotated[str, Field(pattern=S3_URI.pattern, max_length=900)]
PolicyArn = Annotated[str, Field(pattern=POLICY_ARN.pattern, max_length=570)]
ScriptUrl = Annotated[str, Field(pattern=SCRIPT_URL.pattern, max_length=1024)]
ProxyUrl = Annotated[str, Field(pattern=PROXY_URL.pattern, max_length=256)]
Argument = Annotated[str, Field(pattern=ARGUMENT.pattern, max_length=2048)]
TagKey = Annotated[str, Field(pattern=TAG_KEY.pattern, max_length=128)]
TagValue = Annotated[str, Field(pattern=TAG_VALUE.pattern, max_length=256)]
LabelKey = Annotated[str, Field(pattern=LABEL_KEY.pattern, max_length=317)]
LabelValue = Annotated[str, Field(pattern=LABEL_VALUE.pattern, max_length=63)]
Annotation = Annotated[str, Field(pattern=ANNOTATION.pattern, max_length=16384)]
Consent = Annotated[str, Field(pattern=CONSENT.pattern, max_length=45)]
WeeklyTime = Annotated[str, Field(pattern=WEEKLY_TIME.pattern, max_length=7)]
BatchInstanceType = Annotated[str, Field(pattern=BATCH_INSTANCE_TYPE.pattern, max_length=45)]
Dockerfile = Annotated[str, Field(pattern=DOCKERFILE.pattern, max_length=16384)]
EnvironmentName = Annotated[str, Field(pattern=ENVIRONMENT_NAME.pattern, max_length=128)]
EnvironmentValue = Annotated[str, Field(pattern=ARGUMENT.pattern, max_length=2048)]
ImageUri = Annotated[str, Field(pattern=IMAGE_URI.pattern, max_length=512)]
ExitCodePattern = Annotated[str, Field(pattern=EXIT_CODE_PATTERN.pattern, max_length=512)]
RetryPattern = Annotated[str, Field(pattern=RETRY_PATTERN.pattern, max_length=512)]
S3Object = Annotated[str, Field(pattern=S3_OBJECT.pattern, max_length=900)]
SecretArn = Annotated[str, Field(pattern=SECRET_ARN.pattern, max_length=1100)]
ShareName = Annotated[str, Field(pattern=SHARE_NAME.pattern, max_length=255)]
DailyTime = Annotated[str, Field(pattern=DAILY_TIME.pattern, max_length=5)]
