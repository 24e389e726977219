"""What an example or a test needs to find in an account before it can make a cluster."""

from dataclasses import dataclass

from botocore.exceptions import ClientError

from local.aws import LocalAws

KEY_NAME = "muster"
OS_PARAMETERS = {
    "alinux2023": "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}",
    "ubuntu2204": "/aws/service/canonical/ubuntu/server/22.04/stable/current/{}/hvm/ebs-gp2/ami-id",
    "ubuntu2404": "/aws/service/canonical/ubuntu/server/24.04/stable/current/{}/hvm/ebs-gp3/ami-id",
}


@dataclass(frozen=True)
class Network:
    """A VPC with two subnets in different Availability Zones, and a key pair."""

    vpc_id: str
    subnet_ids: tuple[str, str]
    key_name: str


def network(aws: LocalAws) -> Network:
    """The default VPC's first two subnets and the key pair `KEY_NAME`, made if there is none."""
    ec2 = aws.client("ec2")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    found = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    first, second, *_ = sorted(found, key=lambda each: each["AvailabilityZone"])
    try:
        ec2.create_key_pair(KeyName=KEY_NAME)
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidKeyPair.Duplicate":  # pyright: ignore[reportTypedDictNotRequiredAccess]
            raise
    return Network(vpc, (first["SubnetId"], second["SubnetId"]), KEY_NAME)


def image(aws: LocalAws, os: str = "alinux2023", architecture: str = "x86_64") -> str:
    """The AMI id of the newest public image of one of Muster's operating systems."""
    name = architecture if os == "alinux2023" else {"x86_64": "amd64", "arm64": "arm64"}[architecture]
    parameter = OS_PARAMETERS[os].format(name)
    answer = aws.client("ssm").get_parameter(Name=parameter)
    return answer["Parameter"]["Value"]
