"""A deployed control plane under many hands at once; the trace of its logs is checked."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.world import Cluster, World, queue
from tests.races.trace import check

CLUSTERS, EDITS = 4, 3


def live(cluster: Cluster, goes: bool) -> None:
    """A cluster's user is in a hurry: edits follow each other while the last one is still being carried out."""
    cluster.put()
    for size in range(1, EDITS + 1):
        cluster.edit(queues=[queue(size=size)])
        cluster.wake()
    if goes:
        cluster.until("its stack", lambda: cluster.stack)
        cluster.delete()
        cluster.until_gone()
        return
    cluster.until("the last size", lambda: cluster.sizes() == (EDITS, EDITS, EDITS, EDITS))
    cluster.until_ready()


def test_no_two_passes_act_at_once_and_no_wake_up_is_lost(world: World) -> None:
    since = time.time()
    clusters = [Cluster(world, f"race-{uuid.uuid4().hex[:8]}") for _ in range(CLUSTERS)]
    with ThreadPoolExecutor(CLUSTERS) as users:
        lives = [users.submit(live, cluster, number % 2 == 0) for number, cluster in enumerate(clusters)]
        world.sweep()
        for each in lives:
            each.result()
    clusters[0].until_quiet()
    names = {cluster.name for cluster in clusters}
    lines = [*world.logs("wake", since), *world.logs("reconcile", since)]
    ours = [line for line in lines if line.get("cluster") in names]
    assert {line["cluster"] for line in ours if line["message"] == "pass" and line["fence"]} == names
    assert check(ours) == []
