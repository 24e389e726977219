"""The kinds of text: what they hold, and that no text goes without one."""

import re
from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from reconciler.cluster import text
from reconciler.cluster.schema import json_schema
from reconciler.cluster.text import KINDS, Kind

# Of control characters and of what means something to a shell, a policy or a template.
HOSTILE = [*map(chr, range(0x20)), *"\x7f\x85\xa0\u2028\u202e\ufeff", *"$`\"'\\;|<>(){}[]!^#*&?~", "${x}", "é", "😀"]

PROSE = "\t\n\r\x85\xa0\u2028\u202e\ufeff$`\"'\\;|<>(){}[]!^#*&?~${x}é😀"
# Where a kind lets some of these pass: addresses need them, and they are quoted where a shell sees them.
LET_PASS = {
    text.SCRIPT_URL: "&?~",
    text.ARGUMENT: "\xa0\u202e\ufeff$`\"'\\;|<>(){}[]!^#*&?~${x}é😀",
    text.ANNOTATION: PROSE,
    text.DOCKERFILE: PROSE,
}
# What can end with a star, and whose example does not.
OPEN_ENDED = {text.SHARE_NAME, text.EXIT_CODE_PATTERN}


def holds(kind: Kind, value: str) -> bool:
    try:
        TypeAdapter(Annotated[str, Field(pattern=kind.pattern)]).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.example)
def test_kind_holds_its_example_and_nothing_hostile(kind: Kind) -> None:
    held = [text for text in HOSTILE if holds(kind, kind.example + text) or holds(kind, text + kind.example)]

    assert holds(kind, kind.example)
    # A star may end an ARN of keys or a pattern, and does not come from elsewhere.
    assert "".join(held).replace("*", "") == LET_PASS.get(kind, "").replace("*", "")
    assert ("*" in held) == (kind in {text.ARGUMENT, text.ANNOTATION, text.DOCKERFILE, *OPEN_ENDED})


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.example)
def test_kind_means_the_same_in_python(kind: Kind) -> None:
    """Editors and jsonschema read the patterns with engines of their own."""
    for tail in ["", *HOSTILE]:
        value = tail + kind.example
        assert bool(re.search(kind.pattern, value)) == holds(kind, value), repr(value)


def string_schemas(node: Any, path: str = "") -> dict[str, dict[str, Any]]:
    if isinstance(node, list):
        return {k: v for n, child in enumerate(node) for k, v in string_schemas(child, f"{path}/{n}").items()}
    if not isinstance(node, dict):
        return {}
    here = {path: node} if node.get("type") == "string" else {}
    return here | {k: v for name, child in node.items() for k, v in string_schemas(child, f"{path}/{name}").items()}


def test_every_text_has_a_kind_and_a_bound() -> None:
    found = string_schemas(json_schema())

    assert len(found) > 40
    for path, schema in found.items():
        if not {"enum", "const"} & schema.keys():
            assert schema["pattern"] in KINDS, path
            assert schema["maxLength"] <= 16384, path


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (text.CLUSTER_NAME, ["a", "a1", "a-b", "a" * 60], ["", "A", "1a", "-a", "a-", "a_b", "a.b", "a" * 61]),
        (text.SHORT_NAME, ["a", "a--b", "a" * 30], ["", "a-", "a" * 31]),
        (text.AMI_ID, ["ami-01234567"], ["ami-0123456", "ami-012345678", "AMI-01234567", "ami-0123456g"]),
        (text.INSTANCE_TYPE, ["u-6tb1.metal", "m7i.metal-24xl", "p6e-gb200.36xlarge"], ["c7i", "c7i.", ".large"]),
        (
            text.IPV4_CIDR,
            ["0.0.0.0/0", "255.255.255.255/32"],
            ["10.0.0.0", "10.0.0.0/33", "256.0.0.0/8", "010.0.0.0/8", "::/0"],
        ),
        (
            text.MOUNT_DIR,
            ["/a", "/a/b.c/d-e_f"],
            ["", "/", "a", "/a/", "//a", "/a//b", "/..", "/a/../etc", "/.ssh", "/-x", "/a b", "/a" * 9],
        ),
        (
            text.S3_ARN,
            ["arn:aws:s3:::abc", "arn:aws-cn:s3:::abc/*", "arn:aws:s3:::abc/a=1/b*"],
            ["*", "arn:aws:s3:::*", "arn:aws:s3:::abc/*/x", "arn:aws:s3:::abc/${aws:x}", "arn:aws:s3:::ab"],
        ),
        (text.S3_URI, ["s3://abc", "s3://abc/", "s3://abc/d/e"], ["s3://ab", "s3://ABC", "s3://abc/*"]),
        (
            text.SCRIPT_URL,
            ["s3://abc/x", "https://h:8443/x?X-Amz-Signature=ab%2F&y=1"],
            ["http://h/x", "s3://abc", "https://u:p@h/x", "https://h/x'y", "https://h/$(x)", "file:///etc/passwd"],
        ),
        (
            text.PROXY_URL,
            ["http://h:80", "https://h.x:3128/"],
            ["http://h", "http://u@h:80", "socks://h:1", "http://h:80/x"],
        ),
        (
            text.POLICY_ARN,
            ["arn:aws:iam::aws:policy/X", "arn:aws-us-gov:iam::123456789012:policy/a/b"],
            [
                "arn:aws:iam::123:policy/X",
                "arn:aws:iam::aws:role/X",
                "arn:aws:iam::*:policy/X",
                "arn:aws:iam::aws:policy/*",
            ],
        ),
        (
            text.KMS_KEY,
            ["alias/a", "arn:aws:kms:eu-west-1:123456789012:key/mrk-01", "mrk-" + "0" * 32],
            ["alias/", "key", "arn:aws:kms:*:123456789012:key/x"],
        ),
        (
            text.CONSENT,
            ["headNode", "queues/a-b", "sharedStorage/home"],
            ["queues", "queues/", "queues/A", "*", "head"],
        ),
        (text.WEEKLY_TIME, ["1:00:00", "7:23:59"], ["0:00:00", "8:00:00", "1:24:00", "1:00:60"]),
        (text.DAILY_TIME, ["00:00", "23:59"], ["24:00", "0:00", "00:60"]),
        (text.LABEL_KEY, ["a", "example.com/a_b.c"], ["", "/a", "a/", "-a", "A.com/x", "a/b/c"]),
        (text.LABEL_VALUE, ["", "a", "A_1.2-b"], ["-a", "a-", "a b"]),
        (text.TAG_KEY, ["a", "a:b/c d"], ["", " a", "a" * 129]),
        (text.TAG_VALUE, ["a", " "], ["", "a" * 257]),
        (text.BACKUP_ID, ["backup-01234567"], ["backup-0123456", "backup-X1234567"]),
        (text.FSX_MOUNT_NAME, ["fsx", "a_b-c"], ["", "a/b", "a" * 9]),
        (text.KEY_NAME, ["a", "me@host key+1"], ["", " a", "a" * 256]),
        (text.PLACEMENT_GROUP, ["dynamic", "a.b_c-d"], ["", "-a", "a" * 256]),
        (
            text.BATCH_INSTANCE_TYPE,
            ["optimal", "default_x86_64", "default_arm64", "c7g", "p6e-gb200", "c7i.large"],
            ["", "default_x86", "C7i", "c7i.", "c7i_x", ".large", "c7i large"],
        ),
        (text.DOCKERFILE, ["FROM a\n\tRUN b\r\n", "é"], ["", "FROM a\0", "\x1b[0m"]),
        (text.ENVIRONMENT_NAME, ["A", "_", "a_1", "A" * 128], ["", "1A", "A-B", "A=B", "A B", "A" * 129]),
        (
            text.IMAGE_URI,
            [
                "busybox",
                "library/busybox:1.36",
                "public.ecr.aws/a/b_c/d-e:v1",
                "localhost:5000/a@sha256:" + "0" * 64,
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com/a:b@sha256:" + "f" * 64,
            ],
            ["", "Busybox", "a/B", "https://a/b", "a//b", "a/b:", "a/b@sha256:0", "a b", "a/b:-x", "a/${b}"],
        ),
        (
            text.RETRY_PATTERN,
            ["Host EC2*", "*", "Task failed: a.b 1", "a" * 511 + "*"],
            ["", "a*b", "**", "a_b", "a\tb", "a" * 512],
        ),
        (text.EXIT_CODE_PATTERN, ["1", "13*", "*", "1" * 511], ["", "a", "-1", "1*3", "**", " 1"]),
        (
            text.S3_OBJECT,
            ["s3://abc/d", "s3://abc/d/e.zip"],
            [
                "s3://abc",
                "s3://abc/",
                "s3://ab/d",
                "s3://abc/*",
                "https://abc/d",
                "s3://abc/a b",
                "s3://abc/" + "a" * 801,
            ],
        ),
        (
            text.SECRET_ARN,
            [
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf",
                "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:a/b-AbCdEf:key:AWSCURRENT:",
                "arn:aws:ssm:eu-west-1:123456789012:parameter/a/b",
            ],
            [
                "licence",
                "arn:aws:secretsmanager:*:123456789012:secret:a",
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:*",
                "arn:aws:ssm:eu-west-1:123456789012:parameter/*",
                "arn:aws:ssm:eu-west-1:12:parameter/a",
                "arn:aws:iam::123456789012:role/a",
            ],
        ),
        (text.SHARE_NAME, ["a", "A1*", "a" * 254 + "*"], ["", "*", "a-b", "a*b", "a" * 256]),
    ],
    ids=lambda value: value.example if isinstance(value, Kind) else "",
)
def test_edges_of_kind(kind: Kind, good: list[str], bad: list[str]) -> None:
    assert [value for value in good if not holds(kind, value)] == []
    assert [value for value in bad if holds(kind, value)] == []
