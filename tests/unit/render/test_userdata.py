"""User data as a text: what it is made of, how large it gets, and that none of it is read as shell but ours."""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cluster import Cluster, Invalid, parse
from reconciler.cluster.rules.general import MAX_ARGUMENTS, MAX_ARGUMENTS_WITH_SLURM
from reconciler.render import Site, render, userdata
from reconciler.render.userdata import LIMIT, PARTS
from tests.unit.render import batches
from tests.unit.render.node import parts, shell_script
from tests.unit.render.support import (
    MATRIX,
    NETWORK,
    QUEUE,
    QUEUE_URL,
    SITE,
    SLURM,
    all_user_data,
    cluster,
    document,
    pins,
)

# The longest names that AWS has: of a bucket (63), a region, a DNS suffix, a table (255).
FAR_SITE = replace(SITE, artifacts_bucket="b" * 63, region="ap-northeast-99", partition="aws-cn", state_table="t" * 255)
OSES = ["alinux2023", "ubuntu2204", "ubuntu2404"]
SHELLCHECK = Path(sys.executable).with_name("shellcheck")
# The parts that are for the instances of AWS Batch alone, and who has all of them.
OF_BATCH = ("batch", "batch_shared", "batch_nfs", "batch_lustre", "batch_scratch")
SCRATCH = {"jobDefinitions": [{"name": "run", "image": "app", "scratch": True}]}
# The assignments end where our own text begins.
FIRST_LINE = "set -Eeuo pipefail\n"


def texts(of: Cluster, site: Site = SITE) -> dict[str, str]:
    return dict(all_user_data(json.loads(render(of, site, pins(of)).body)["Resources"]))


def test_the_first_part_has_cloud_init_run_the_second_at_every_boot():
    for text in texts(cluster()).values():
        config, script = parts(text)
        assert config.get_content_type() == "text/cloud-config"
        payload = config.get_payload()
        assert isinstance(payload, str)
        assert payload.lstrip().startswith("#cloud-config\n")
        assert yaml.safe_load(payload) == {"cloud_final_modules": [["scripts-user", "always"]]}
        assert script.get_content_type() == "text/x-shellscript"
        assert shell_script(text).startswith("#!/bin/bash\n")


def test_every_script_has_its_place():
    """A file in `scripts` that nothing includes is dead, and one that is included twice is a mistake."""
    there = {path.stem for path in Path(userdata.__file__).with_name("scripts").glob("*.sh")}
    assert [name for name, _ in PARTS if [name for name, _ in PARTS].count(name) > 1] == []
    assert {name for name, _ in PARTS} | set(OF_BATCH) == there


# Size


def longest_directory(number: int) -> str:
    return f"/{'d' * 60}{number:02d}/{'e' * 63}"


# Volumes count: 5 of them singly, 11 with those of arrays.
KINDS: list[dict[str, Any]] = [
    *[{"ebs": {}}] * 5,
    *[{"raid": {"level": 0, "volumes": 3}}] * 2,
    {"efs": {}},
    *[{"fsxLustre": {"storageCapacity": 1200}}] * 12,
]
# The most of each kind that may be given of so many bytes.
ARGUMENTS: dict[str, Callable[[int], list[str]]] = {
    "beyond ASCII": lambda most: ["é" * (most // 2 - 2)],
    "plain": lambda most: ["x" * most],
    "quotes": lambda most: ["'" * ((most - 2) // 5)],
    "many": lambda most: ["é"] + ["é" * 9] * (most // 23),
}


@pytest.mark.parametrize("kind", ARGUMENTS)
@pytest.mark.parametrize("system", [*({"image": {"os": os}} for os in OSES), SLURM], ids=[*OSES, "slurm"])
def test_the_longest_user_data_fits(system: dict[str, Any], kind: str):
    arguments = ARGUMENTS[kind](MAX_ARGUMENTS_WITH_SLURM if system == SLURM else MAX_ARGUMENTS)
    url = f"https://example.com/{'a' * 998}&?"
    of = cluster(
        "c" * 60,
        **system,
        queues=[{**QUEUE, "name": "q" * 30, "disableHyperthreading": True}],
        sharedStorage=[
            {"name": f"s{number}", "mountDir": longest_directory(number), **kind} for number, kind in enumerate(KINDS)
        ],
        scratch={"mountDir": longest_directory(99)},
        proxy=f"http://{'p' * 240}:65535",
        bootstrap={
            "preInstall": {"url": url, "args": arguments[:64]},
            "postInstall": {"url": url, "args": arguments[64:]},
        },
    )
    sizes = {name: len(text.encode()) for name, text in texts(of, FAR_SITE).items()}
    assert max(sizes.values()) < LIMIT, sizes


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """Specs with all that reaches user data, at all lengths; some are longer than the rules allow."""
    kinds = draw(st.permutations(KINDS))[: draw(st.integers(0, len(KINDS)))]
    lengths = draw(st.lists(st.integers(1, 62), min_size=len(kinds), max_size=len(kinds)))
    shared = [
        {"name": f"s{number}", "mountDir": f"/{'d' * length}{number}", **kind}
        for number, (kind, length) in enumerate(zip(kinds, lengths, strict=True))
    ]
    text = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), max_size=300)
    scripts = st.fixed_dictionaries(
        {
            "url": st.integers(1, 1000).map(lambda length: f"s3://bucket/{'k' * length}"),
            "args": st.lists(text, max_size=64),
        }
    )
    phases = draw(st.fixed_dictionaries({}, optional={"preInstall": scripts, "postInstall": scripts}))
    system = draw(st.sampled_from([SLURM, *({"image": {"os": os}} for os in OSES)]))
    return document(**system, sharedStorage=shared, bootstrap=phases)


@given(specs())
def test_whatever_the_rules_allow_fits(spec: dict[str, Any]):
    of = parse(spec)
    if isinstance(of, Invalid):
        return
    for text in texts(of, FAR_SITE).values():
        assert len(text.encode()) < LIMIT
        assert text.isascii()


# Quoting


def evaluated(script: str, names: list[str]) -> list[list[str]]:
    """What the variables hold once a shell has read the assignments: of each the list of its words."""
    printing = "".join(f'printf \'%s\\0\' "${{#{name}[@]}}" "${{{name}[@]}}"\n' for name in names)
    head, separator, _ = script.partition(FIRST_LINE)
    assert separator
    done = subprocess.run(["bash", "-c", head + printing], capture_output=True, check=True, cwd="/")
    words = iter(done.stdout.decode().split("\0"))
    return [list(itertools.islice(words, int(next(words)))) for _ in names]


arguments = st.lists(
    st.text(st.sampled_from("ab '\"\\$`;&|<>(){}[]*?!~#%^=-é€𝄞"))
    | st.sampled_from(["$(id)", "`id`", "${PATH}", "--", ""]),
    max_size=12,
)


@given(pre=arguments, post=arguments)
def test_arguments_reach_the_script_as_they_were_written(pre: list[str], post: list[str]):
    url = "https://example.com/x.sh?a=1&b=$2"
    of = parse(
        document(
            bootstrap={
                "preInstall": {"url": url.replace("$", ""), "args": pre},
                "postInstall": {"url": "s3://bucket/x.sh", "args": post},
            }
        )
    )
    assert not isinstance(of, Invalid)
    script = shell_script(texts(of)["HeadNode"])
    assert evaluated(script, ["PRE_URL", "PRE_ARGS", "POST_ARGS"]) == [[url.replace("$", "")], pre, post]


def test_every_string_of_the_user_is_read_back_from_the_assignments():
    of = cluster(
        "canary-cluster",
        queues=[{**QUEUE, "name": "canary-queue"}],
        network=NETWORK,
        scratch={"mountDir": "/canary-scratch"},
        proxy="http://canary.example.com:3128",
        sharedStorage=[
            {"name": "a", "mountDir": "/canary/ebs", "ebs": {}},
            {"name": "b", "mountDir": "/canary/raid", "raid": {"level": 1}},
            {"name": "c", "mountDir": "/canary/efs", "efs": {}},
            {
                "name": "d",
                "mountDir": "/canary/lustre",
                "fsxLustre": {"fileSystemId": "fs-0aaaaaaaaaaaaaaaa", "mountName": "canary"},
            },
        ],
        bootstrap={"preInstall": {"url": "s3://canary/x.sh", "args": ["canary; $(canary)"]}},
    )
    scripts = {name: shell_script(text) for name, text in texts(of).items()}
    for script in scripts.values():
        assert "canary" not in script.partition(FIRST_LINE)[2]
    names = ["CLUSTER", "SCRATCH", "PROXY", "PRE_URL", "PRE_ARGS", "EBS", "RAIDS", "EFS", "LUSTRE"]
    volume, system = "vol-0123456789abcdef0", "fs-0123456789abcdef0"
    assert dict(zip(names, evaluated(scripts["HeadNode"], names), strict=True)) == {
        "CLUSTER": ["canary-cluster"],
        "SCRATCH": ["/canary-scratch"],
        "PROXY": ["http://canary.example.com:3128"],
        "PRE_URL": ["s3://canary/x.sh"],
        "PRE_ARGS": ["canary; $(canary)"],
        "EBS": [f"/canary/ebs new {volume}"],
        "RAIDS": [f"1 /canary/raid {volume} {volume}"],
        "EFS": [f"/canary/efs new {system}"],
        "LUSTRE": ["/canary/lustre kept fs-0aaaaaaaaaaaaaaaa canary"],
    }
    compute = scripts["LaunchTemplateCanaryDashqueue"]
    assert evaluated(compute, ["GROUP", "HEAD", "IMPORTS"]) == [
        ["muster-canary-cluster.canary-queue"],
        ["255.255.255.255"],
        ["/canary/ebs", "/canary/raid"],
    ]


def test_the_names_of_a_slurm_cluster_are_read_back_too():
    of = cluster("canary-cluster", **SLURM, queues=[{**QUEUE, "name": "canary-queue"}])
    text = shell_script(texts(of)["LaunchTemplateCanaryDashqueue"])
    assert "canary" not in text.partition(FIRST_LINE)[2]
    daemon, agent, digest, (place,) = evaluated(text, ["DAEMON", "AGENT", "DIGEST", "PLACE"])
    assert (daemon, agent, digest) == (["slurmd"], ["s3://artifacts/clusters/canary-cluster/agent"], [SITE.agent])
    assert json.loads(place) == {
        "cluster": "canary-cluster",
        "region": SITE.region,
        "table": SITE.state_table,
        "queueUrl": QUEUE_URL,
        "logGroup": "/muster/canary-cluster",
        "queue": "canary-queue",
        "group": "muster-canary-cluster.canary-queue",
        "head": "255.255.255.255",
    }


def test_every_string_of_the_user_is_read_back_on_an_instance_of_batch():
    of = batches.cluster(
        "canary-cluster",
        SCRATCH,
        headNode=batches.HEAD_NODE,
        scratch={"mountDir": "/canary-scratch"},
        sharedStorage=[
            {"name": "a", "mountDir": "/canary/ebs", "ebs": {}},
            {
                "name": "d",
                "mountDir": "/canary/lustre",
                "fsxLustre": {"fileSystemId": "fs-0aaaaaaaaaaaaaaaa", "mountName": "canary"},
            },
        ],
    )
    (text,) = [shell_script(text) for name, text in texts(of).items() if name.startswith("Launch")]
    assert "canary" not in text.partition(FIRST_LINE)[2]
    assert evaluated(text, ["DIRECTORIES", "MOUNTS", "SCRATCH"]) == [
        ["/canary/ebs", "/canary/lustre"],
        [
            "255.255.255.255:/canary/ebs /canary/ebs nfs4 hard,noatime",
            "fs-0aaaaaaaaaaaaaaaa.fsx.us-east-1.amazonaws.com@tcp:/canary /canary/lustre lustre noatime,flock",
        ],
        ["/canary-scratch"],
    ]


# The scripts themselves

# SC2016: `$` in single quotes is what the user wrote. SC2329: each system has functions that a node may not need.
NOT_OURS = "SC2016,SC2329"


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The scripts of all kinds of nodes over the matrix of options and all systems."""
    folder = tmp_path_factory.mktemp("scripts")
    paths = []
    for option, os in itertools.product(sorted(MATRIX), OSES):
        if MATRIX[option].get("scheduler") == "slurm" and os != SLURM["image"]["os"]:
            continue
        spec = {**MATRIX[option], "image": {**MATRIX[option].get("image", {}), "os": os}}
        for name, text in texts(cluster(**spec)).items():
            path = folder / f"{option}-{os}-{name}.sh"
            path.write_text(shell_script(text))
            paths.append(path)
    for option, more in itertools.product(("head-node", "lustre-without-head-node"), ({}, SCRATCH)):
        spec = {**batches.MATRIX[option]}
        spec["batch"] = {**spec["batch"], **more}
        for name, text in texts(batches.cluster(**spec)).items():
            path = folder / f"batch-{option}-{len(more)}-{name}.sh"
            path.write_text(shell_script(text))
            paths.append(path)
    return paths


def test_bash_can_read_every_script(scripts: list[Path]):
    for path in scripts:
        done = subprocess.run(["bash", "-n", path], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), path.name


def test_shellcheck_finds_nothing(scripts: list[Path]):
    done = subprocess.run(
        [SHELLCHECK, "--shell=bash", "--severity=style", f"--exclude={NOT_OURS}", *scripts],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_shellcheck_is_at_work(tmp_path: Path):
    bad = tmp_path / "bad.sh"
    bad.write_text("#!/bin/bash\nrm $1\n")
    done = subprocess.run([SHELLCHECK, bad], capture_output=True, check=False)
    assert b"SC2086" in done.stdout
