"""cfn-lint over the matrix of options, and over options each two of which meet on and off."""

import json
from itertools import combinations, product

import pytest

from tests.unit.render import batches
from tests.unit.render.linting import check_lint, faults_of
from tests.unit.render.options import OPTIONS, PAIRWISE, rows
from tests.unit.render.support import MATRIX, cluster, rendered

SPECS = MATRIX | {f"pairwise: {name}": spec for name, spec in PAIRWISE.items()}


@pytest.mark.parametrize("option", sorted(SPECS))
def test_the_template_has_no_faults(option: str) -> None:
    check_lint(cluster(**SPECS[option]))


@pytest.mark.parametrize("option", sorted(batches.MATRIX))
def test_the_template_of_batch_has_no_faults(option: str) -> None:
    assert faults_of(batches.body(**batches.MATRIX[option])) == []


def test_each_two_options_meet_on_and_off() -> None:
    met = {(a, b, a in row, b in row) for a, b in combinations(OPTIONS, 2) for row in rows().values()}
    assert met == {(a, b, *on) for a, b in combinations(OPTIONS, 2) for on in product((True, False), repeat=2)}


def test_the_linter_sees_faults() -> None:
    template = json.loads(rendered(cluster()).body)
    template["Resources"]["HeadNode"]["Properties"]["NoSuchProperty"] = 1
    assert faults_of(json.dumps(template))
