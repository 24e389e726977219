"""Documents from files: YAML or JSON, one or several in a file, or a list as `get -o yaml` prints it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from cli.failures import Failure
from cli.packing import Source
from cli.sources import addressed, archive_key, found
from reconciler.cluster import Invalid, parse

STDIN = "-"
LISTS = ("List", "ClusterList")
# What `get -o yaml` adds to what the user wrote. It is the operator's, so a file may hold it and it is left out.
STATUS = "status"
SHOWN_METADATA = ("creationTimestamp", "deletionTimestamp", "generation", "uid")


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader; but of a name given twice it says so instead of dropping the first value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The map of a node. Raises ConstructorError when a key repeats."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file. `source` names it in messages; `name` is the cluster's.

    `folder` is where its paths start; `packed` the sources of images that it gives as directories, by their place.
    """

    source: str
    content: dict[str, Any]
    folder: Path = Path()
    packed: Mapping[int, Source] = field(default_factory=dict[int, Source])

    @property
    def name(self) -> str:
        """The cluster's name; only a document that was checked is sure to have one."""
        return str(self.content["metadata"]["name"])

    def in_bucket(self, bucket: str) -> Document:
        """The document as the resource has it: with archives in the artifacts bucket in place of directories."""
        addresses = {place: f"s3://{bucket}/{archive_key(self.name, each)}" for place, each in self.packed.items()}
        return replace(self, content=addressed(self.content, addresses))


def read(paths: Iterable[str]) -> list[Document]:
    """The documents of files, every one of them checked. Raises Failure with all that is wrong in any of them."""
    documents: list[Document] = []
    wrong: list[str] = []
    for document in (document for path in paths for document in _documents(path)):
        packed, unpacked = found(document.content, document.folder)
        documents.append(replace(document, packed=packed))
        wrong += problems(replace(document, content=addressed(document.content, {})))
        wrong += [f"{document.source}: {line}" for line in unpacked]
    if wrong:
        raise Failure(*wrong)
    return documents


def names(paths: Iterable[str]) -> list[str]:
    """The names of the clusters in files, whether their specs are right or not. Raises Failure where one is missing."""
    return [_name(document) for path in paths for document in _documents(path)]


def problems(document: Document) -> list[str]:
    """What is wrong with a document, a line each: where, what, the rule and the way out."""
    parsed = parse(document.content)
    return [f"{document.source}: {error}" for error in parsed.errors] if isinstance(parsed, Invalid) else []


def _name(document: Document) -> str:
    metadata = document.content.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not name:
        raise Failure(f"{document.source}: metadata.name: (missing): required; name the cluster")
    return name


def _documents(path: str) -> list[Document]:
    shown, folder = ("standard input", Path()) if path == STDIN else (path, Path(path).parent)
    items = [item for content in _contents(_text(path), shown) for item in _unlisted(content)]
    if not items:
        raise Failure(f"{shown}: there is no document in it")
    several = len(items) > 1
    return [
        Document(f"{shown}, document {number}" if several else shown, _written(content, shown), folder)
        for number, content in enumerate(items, 1)
    ]


def _text(path: str) -> str:
    try:
        return sys.stdin.read() if path == STDIN else Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Failure(f"{path}: not text in UTF-8") from error


def _contents(text: str, shown: str) -> list[Any]:
    """JSON first: YAML would refuse its tabs."""
    try:
        return [json.loads(text)]
    except (ValueError, RecursionError):
        pass
    try:
        return [content for content in yaml.load_all(text, Loader) if content is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise Failure(f"{shown}{where}: {error.problem or 'not YAML'}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Failure(f"{shown}: not YAML: {' '.join(str(error).split())}") from error


def _unlisted(content: Any) -> Iterator[Any]:
    if isinstance(content, dict) and content.get("kind") in LISTS and isinstance(content.get("items"), list):
        yield from content["items"]
    else:
        yield content


def _written(content: Any, shown: str) -> dict[str, Any]:
    """The document without what the operator would have added."""
    if not isinstance(content, dict):
        raise Failure(f"{shown}: a document is a map with metadata and spec, not {type(content).__name__}")
    written = {key: value for key, value in content.items() if key != STATUS}
    if isinstance(written.get("metadata"), dict):
        written["metadata"] = {k: v for k, v in written["metadata"].items() if k not in SHOWN_METADATA}
    return written
