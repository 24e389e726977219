"""What has to hold of a document, whatever it is: it is refused with its fields named, or rendered safely."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reconciler.cluster import Cluster, Invalid, from_item, parse
from reconciler.cluster.errors import field_path
from reconciler.render.shell import script
from reconciler.render.userdata import LIMIT
from tests.unit.render.support import all_user_data, rendered

LAST = re.compile(r"(\.|^)[A-Za-z_][A-Za-z0-9_-]*$|\[[^\]]*\]$")
PRELUDE = script("prelude")
PHASES = ("PRE", "POST")


def paths(value: Any, at: tuple[Any, ...] = (), depth: int = 0) -> Iterator[str]:
    """The path of every part of a document, as an error writes it."""
    yield field_path(at)
    pairs: Any = ()
    if isinstance(value, Mapping):
        pairs = ((key, part) for key, part in value.items() if isinstance(key, str))
    elif isinstance(value, list | tuple | set | frozenset):
        pairs = enumerate(value)
    if depth < 40:
        for key, part in pairs:
            yield from paths(part, (*at, key), depth + 1)


def check_refusal(document: Any, invalid: Invalid) -> None:
    """Every error names a field that is there or is missing from a map that is there, a rule and a way out."""
    known = set(paths(document))
    assert invalid.errors
    for error in invalid.errors:
        assert error.rule.strip(), error
        assert error.fix.strip(), error
        parent = LAST.sub("", error.field) or "document"
        assert error.field in known or parent in known, error


def check(item: Mapping[str, Any]) -> Cluster | None:
    """Parse an item, check what came of it, and give the cluster if it is one."""
    document = from_item(item)
    parsed = parse(document)
    if isinstance(parsed, Invalid):
        check_refusal(document, parsed)
        return None
    check_rendering(parsed)
    return parsed


def check_rendering(cluster: Cluster) -> None:
    """It renders, twice to the same bytes, and its user data is within EC2's limit."""
    first = rendered(cluster)
    assert first == rendered(cluster)
    for logical, data in all_user_data(json.loads(first.body)["Resources"]):
        assert len(data.encode("ascii")) < LIMIT, logical


def check_shell(cluster: Cluster) -> None:
    """Bash reads in the user data what the user wrote, obeys none of it, and can parse the whole."""
    bash = shutil.which("bash")
    base64 = shutil.which("base64")
    assert bash
    assert base64
    with tempfile.TemporaryDirectory() as directory:
        tools, room = Path(directory, "tools"), Path(directory, "room")
        tools.mkdir()
        room.mkdir()
        (tools / "base64").symlink_to(base64)
        for logical, data in all_user_data(json.loads(rendered(cluster).body)["Resources"]):
            whole = data.partition("#!/bin/bash\n")[2].rpartition("\n--=muster=--\n")[0]
            subprocess.run([bash, "-n"], input=whole, text=True, check=True, capture_output=True)
            block, found, _ = whole.partition(PRELUDE)
            assert found, logical
            done = subprocess.run(
                ["/usr/bin/env", "-i", f"PATH={tools}", bash, "-u"],
                input=block + READ_BACK,
                text=True,
                cwd=room,
                check=True,
                capture_output=True,
            )
            assert not done.stderr, done.stderr
            assert done.stdout.split("\0")[:-1] == expected(cluster), logical
            assert not list(room.iterdir()), "a user's text was obeyed"


READ_BACK = 'printf \'%s\\0\' "$CLUSTER" "$SCRATCH" "${PROXY-}"\n' + "".join(
    f'printf \'%s\\0\' "${{{phase}_URL-}}" "${{#{phase}_ARGS[@]}}"\n'
    f'for each in "${{{phase}_ARGS[@]}}"; do printf \'%s\\0\' "$each"; done\n'
    for phase in PHASES
)
# An array that the block does not set counts as an empty one.
READ_BACK = "".join(f"[[ -v {phase}_URL ]] || {phase}_ARGS=()\n" for phase in PHASES) + READ_BACK


def expected(cluster: Cluster) -> list[str]:
    """What bash is to print: each text of the user's as it stands in the spec."""
    spec = cluster.spec
    said = [cluster.metadata.name, spec.scratch.mount_dir, spec.proxy or ""]
    for entry in (spec.bootstrap.pre_install, spec.bootstrap.post_install):
        said += [entry.url, str(len(entry.args)), *entry.args] if entry else ["", "0"]
    return said
