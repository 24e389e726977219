"""The simulation of sizes: that its scheduler places jobs where the real one was seen to, and that it adds up."""

import math
import random
from collections.abc import Mapping, Sequence

import pytest

from bench.elastic import (
    IDLE_TIME,
    PEERS_IDLE_TIME,
    SIZINGS,
    Cluster,
    Job,
    Moment,
    Node,
    live,
    plot,
    scaling,
    told,
    trace,
)
from reconciler.demand import Shape

ONE = Shape(1, 100)


def node(number: int, used: int) -> Node:
    return Node(number, 0, 0, Shape(4 - used, 2000 - 100 * used), [0.0] * min(used, 1))


@pytest.mark.parametrize(
    ("used", "weights", "chosen"),
    [
        ((1, 3, 4, 2, 4, 0), {}, 4),
        ((0, 3, 1, 0, 2, 0), {}, 2),
        ((1, 1, 4, 0, 4, 3), {}, 6),
        ((0, 0, 4, 0, 0, 2), {}, 1),
        ((1, 3, 4, 2, 4, 0), {1: 9, 2: 8, 3: 7, 4: 6, 5: 5, 6: 4}, 6),
        ((1, 1, 4, 0, 4, 3), {1: 5, 2: 5, 3: 5, 4: 5, 5: 5, 6: 1}, 6),
    ],
)
def test_a_job_of_one_vcpu_goes_where_slurm_put_it(
    used: Sequence[int], weights: Mapping[int, int], chosen: int
) -> None:
    """Six hosts of four vCPUs, so many of each in use: seen with Slurm 22.05."""
    cluster = Cluster((), random.Random(1), weight=lambda node: weights.get(node.number, 1))
    able = [node(number, count) for number, count in enumerate(used, 1) if count < 4]
    assert [each.number for each in cluster.place(able, 1)] == [chosen]


def test_what_is_paid_beyond_the_need_and_what_lacks() -> None:
    moments = [Moment(0, 2, 0, 4), Moment(10, 4, 4, 4), Moment(20, 4, 3, 1), Moment(30, 0, 0, 0)]
    assert scaling(moments) == pytest.approx((30 / 90, 40 / 90))


@pytest.mark.parametrize("name", SIZINGS)
def test_a_job_is_run_and_its_node_goes(name: str) -> None:
    cluster = live([Job(100, 300, ONE)], SIZINGS[name], 1)
    assert cluster.launches == 1
    assert 57 < cluster.waits[0] < 122 + 60 + 30
    assert 300 + 57 + IDLE_TIME < cluster.node_seconds < 300 + 122 + 30 + PEERS_IDLE_TIME + 2 * 60
    assert math.isclose(cluster.paid["used"], 300 / 16)


@pytest.mark.parametrize("name", SIZINGS)
def test_the_jobs_of_a_trace_are_all_run_whoever_sizes(name: str) -> None:
    jobs = trace(9, users=1)
    cluster = live(jobs, SIZINGS[name], 1)
    work = sum(job.seconds * job.each.cpus * job.nodes for job in jobs) / 16
    assert math.isclose(cluster.paid["used"], work, rel_tol=1e-6)
    assert cluster.node_seconds > work
    assert plot(dict.fromkeys(SIZINGS, told(cluster))).endswith("</svg>\n")
