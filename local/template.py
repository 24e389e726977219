"""The control plane's template as CloudFormation reads it: in YAML, with its own short forms.

The readers of SAM do this as well, and with it change PyYAML's loader for the whole process they run in.
"""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from samtranslator.yaml_helper import intrinsics_multi_constructor

TEMPLATE = Path(__file__).resolve().parent.parent / "template.yaml"


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader; `!Sub x` is what `Fn::Sub: x` is."""


Loader.add_multi_constructor("!", intrinsics_multi_constructor)


@cache
def read_template() -> dict[str, Any]:
    """The control plane's template. Who changes it copies it before."""
    return yaml.load(TEMPLATE.read_text(), Loader)  # noqa: S506 - a safe one
