"""What the record keeps of an accepted spec reads back as the same spec, whatever the spec names."""

from pathlib import Path

import pytest
import yaml

from reconciler.cluster import Cluster, parse, spec_hash
from reconciler.loop import accepted, accepted_cluster
from reconciler.record import Record

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_accepted_spec_reads_back_as_itself(path: Path) -> None:
    cluster = parse(yaml.safe_load(path.read_text()))
    assert isinstance(cluster, Cluster)
    record = Record("demo", "uid").remember(accepted=accepted(Record("demo", "uid"), cluster, spec_hash(cluster)))
    again = accepted_cluster(record)
    assert again is not None
    assert again.spec == cluster.spec
    assert again.metadata == cluster.metadata
