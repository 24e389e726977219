"""How a container gets from its start to the user's script: a few lines of POSIX shell, given as its command.

Nothing of the user's is ever part of these lines: names, folders and arguments are positional parameters.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Below the job's prefix: what goes into the working directory, and what starts the job.
INPUT, RUN = "input/", "run/"
SCRIPT, EXECUTABLES, VARIABLES = "script", "executables", "variables"

# Copies what is below an s3:// address to a folder, for images without the AWS CLI.
COPY = """
import os, sys, boto3
region, url, folder = sys.argv[1:]
bucket, _, prefix = url[5:].partition("/")
bucket = boto3.resource("s3", region_name=region).Bucket(bucket)
for found in bucket.objects.filter(Prefix=prefix):
    path = os.path.join(folder, found.key[len(prefix):])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    bucket.download_file(found.key, path)
"""

# $1 working directory, $2 its parent if it is to be a new one, $3 region, $4 "files" if there are any, $5 "script" if
# that is what runs; then the arguments, or the command with them. `exec` makes it the process that Batch signals.
LINES = f"""
set -eu
work=$1 parent=$2 region=$3 files=$4 script=$5
shift 5
say() {{ echo "muster: $*" >&2; exit 1; }}
fetch() {{
  if command -v aws >/dev/null; then aws --region "$region" s3 cp --recursive --only-show-errors "$1" "$2"
  elif python3 -c 'import boto3' 2>/dev/null; then python3 -c {shlex.quote(COPY.strip())} "$region" "$1" "$2"
  else say 'the image has neither aws nor python3 with boto3, so it cannot fetch the files of the job: add one'
  fi || say "cannot fetch $1"
}}
: "${{work:=${{parent:-${{HOME:-/tmp}}}}/job-$AWS_BATCH_JOB_ID}}"
mkdir -p -- "$work"
cd -- "$work"
if [ "$files" ]; then
  run=$(mktemp -d)
  fetch "$MUSTER_JOB_S3_URL/{RUN}" "$run"
  fetch "$MUSTER_JOB_S3_URL/{INPUT}" .
  while IFS= read -r name; do chmod +x "./$name"; done < "$run/{EXECUTABLES}"
  if [ -e "$run/{VARIABLES}" ]; then . "$run/{VARIABLES}"; fi
fi
if [ "$script" ]; then
  chmod +x "$run/{SCRIPT}"
  set -- "$run/{SCRIPT}" "$@"
fi
exec "$@"
""".strip()


@dataclass(frozen=True, slots=True)
class Start:
    """What the bootstrap is told. `work` is the working directory; without one a new one is made below `parent`."""

    region: str
    work: str = ""
    parent: str = ""
    files: bool = False
    script: bool = False

    @property
    def needed(self) -> bool:
        """Whether there is anything to do before the command."""
        return bool(self.work or self.parent or self.files)


def command(start: Start, words: Sequence[str]) -> list[str]:
    """The command of a container that does what `start` says and then runs the words."""
    flags = ["files" if start.files else "", "script" if start.script else ""]
    return ["/bin/sh", "-c", LINES, "muster", start.work, start.parent, start.region, *flags, *words]


def exports(values: Mapping[str, str]) -> str:
    """Variables as the bootstrap reads them."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
