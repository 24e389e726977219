"""What a spec may not become."""

from itertools import product

import pytest

from reconciler.cluster.updates import unchangeable
from tests.unit.batch_factories import cluster as batch
from tests.unit.factories import cluster
from tests.unit.slurm_factories import spec

KINDS = {"none": cluster(), "slurm": cluster(**spec()), "awsbatch": batch()}


@pytest.mark.parametrize(("old", "new"), list(product(KINDS, KINDS)))
def test_no_cluster_comes_to_have_slurm_or_loses_it(old: str, new: str) -> None:
    refused = old != new and "slurm" in (old, new)
    found = unchangeable(KINDS[old], KINDS[new])
    assert [(error.field, error.value) for error in found] == ([("spec.scheduler", f'"{new}"')] if refused else [])
    assert all(old in error.rule and "another name" in error.fix for error in found)


@pytest.mark.parametrize("new", KINDS)
def test_a_first_spec_may_be_anything(new: str) -> None:
    assert unchangeable(None, KINDS[new]) == ()
