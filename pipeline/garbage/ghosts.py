"""Ghosts: what runs in Kubernetes and is in none of KFP's lists."""

import calendar
import time
from collections.abc import Iterator
from functools import partial

from pipeline.garbage.items import Item
from pipeline.kfp.connection import Cluster
from pipeline.kfp.ghosts import Metadata, is_known, require_same, runs
from pipeline.kfp.kubernetes_api import (
    SCHEDULES,
    WORKFLOWS,
    Kubernetes,
    KubernetesError,
    Resource,
    kubernetes_of,
)

_GRACE_S = 3600.0  # KFP makes the object first, and its own row after that


def in_cluster(cluster: Cluster) -> Iterator[Item]:
    """The ghosts of a KFP.

    Raises:
        SegError: KFP or Kubernetes cannot be asked, or they do not belong together.
    """
    kubernetes = kubernetes_of(cluster)
    require_same(cluster, kubernetes)
    for resource, kind in ((WORKFLOWS, "workflow"), (SCHEDULES, "schedule")):
        for one in kubernetes.newest(resource):
            if not runs(resource, one) or is_known(cluster, resource, one):
                continue
            made_s = calendar.timegm(
                time.strptime(one["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ")
            )
            is_young = time.time() - made_s < _GRACE_S
            yield Item(
                kind=kind,
                name=str(one["name"]),
                size_bytes=0,
                modified_s=made_s,
                needed="KFP may yet list it" if is_young else "",
                free=partial(_delete, kubernetes, resource, one),
            )


def _delete(kubernetes: Kubernetes, resource: Resource, one: Metadata) -> bool:
    try:
        kubernetes.delete(resource, one["name"], uid=one["uid"])
    except KubernetesError as error:
        if error.status in (404, 409):  # it is gone, or another by now
            return False
        raise
    return True
