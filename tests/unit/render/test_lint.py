"""cfn-lint, which knows the schemas of all resource types, over the matrix of options."""

import json

import pytest
from cfnlint.api import ManualArgs, lint

from tests.unit.render.support import MATRIX, cluster, rendered

IGNORED = {
    # Zones are pinned on purpose: to read a zone from the head node would replace the volumes with it.
    "W3010",
}


@pytest.mark.parametrize("option", sorted(MATRIX))
def test_the_template_has_no_faults(option: str):
    body = rendered(cluster(**MATRIX[option])).body
    found = lint(body, config=ManualArgs(regions=["us-east-1"], ignore_checks=sorted(IGNORED)))
    assert [str(match) for match in found] == []


def test_the_linter_sees_faults():
    template = json.loads(rendered(cluster()).body)
    template["Resources"]["HeadNode"]["Properties"]["NoSuchProperty"] = 1
    assert lint(json.dumps(template), config=ManualArgs(regions=["us-east-1"]))
