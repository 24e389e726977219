"""The agent runs on the Python of the instances' systems, which is older than ours."""

import ast
import sys
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parents[3] / "node").rglob("*.py"))
# Names that Python 3.9 lacks, by where they are.
LATER = {
    "typing": {"Self", "TypeAlias", "ParamSpec", "assert_never", "override", "NotRequired", "Required", "Never"},
    "enum": {"StrEnum"},
    "datetime": {"UTC"},
    "itertools": {"pairwise", "batched"},
    "dataclasses": {"KW_ONLY"},
}
ALLOWED = {"boto3", "botocore", "node"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_source_is_that_of_python_3_9(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    later = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in LATER.get(node.module or "", ())
    ]
    assert later == []
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    assert [call.lineno for call in calls if call.func.id == "zip" and call.keywords] == [], "strict is newer"
    slots = [word for call in calls if call.func.id == "dataclass" for word in call.keywords if word.arg != "frozen"]
    assert slots == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_annotations_are_not_evaluated(path: Path) -> None:
    """`X | Y` of types is a mistake there at run time."""
    tree = ast.parse(path.read_text())
    named = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    assert len(tree.body) == 1 or [alias.name for each in named for alias in each.names] == ["annotations"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_only_the_system_s_packages_are_imported(path: Path) -> None:
    tree = ast.parse(path.read_text())
    typed = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if id(node) not in typed
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert names <= ALLOWED | set(sys.stdlib_module_names) | {"__future__"}
