"""The surroundings of a document: only those that are named are looked at."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Self

from pipeline.preflight.around.looking import Look, Seen
from pipeline.preflight.pod import Pod
from seglib.environment import CHECKPOINTS, TRACKING_URI
from seglib.errors import SegError
from seglib.plain_text import without_login

TIMEOUT_S = 5.0
_GRACE_S = 5.0  # for a busy machine


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What to look at; by default nothing."""

    cluster: bool = False  # by kubeconfig, or as a pod
    context: str = ""  # of kubeconfig
    namespace: str = "kubeflow"
    service_account: str = ""
    host: str = ""  # of Kubeflow Pipelines
    images: bool = False
    mlflow: str = ""  # http(s)://…
    mlflow_host: str = ""  # name and port under which pods reach it
    stores: tuple[str, ...] = ()  # s3://…
    timeout_s: float = TIMEOUT_S

    @classmethod
    def from_environment(
        cls, *, environment: Mapping[str, str] = os.environ, **given: object
    ) -> Self:
        """The given values; for the rest the variables that steps read, too."""
        mlflow = environment.get(TRACKING_URI, "")
        store = environment.get(CHECKPOINTS, "")
        found: dict[str, object] = {
            "host": environment.get("KFP_ENDPOINT", ""),
            "namespace": environment.get("KFP_NAMESPACE") or cls.namespace,
            "mlflow": mlflow if mlflow.startswith("http") else "",
            "stores": (store,) if store.startswith("s3://") else (),
        }
        return cls(**(found | {k: v for k, v in given.items() if v}))  # type: ignore[arg-type]

    def looks(self, pods: list[Pod]) -> list[Look]:
        """One look for each thing to look at."""
        self._import_slow_modules()
        patient_s = 2 * self.timeout_s + _GRACE_S  # two requests, one after the other
        found: list[Look] = []
        if self.cluster:
            see = partial(self._see_cluster, pods)
            found.append(Look(f"namespace {self.namespace}", see, 2 * patient_s))
        if self.host:
            name = f"Kubeflow Pipelines at {without_login(self.host)}"
            found.append(Look(name, self._see_kfp, patient_s))
        images = dict.fromkeys(pod.image for pod in pods) if self.images else ()
        for image in images:
            see = partial(self._see_image, image)
            found.append(Look(f"image {image}", see, 2 * patient_s))
        if self.mlflow:
            name = f"MLflow at {without_login(self.mlflow)}"
            found.append(Look(name, self._see_mlflow, patient_s))
        for store in self.stores:
            see = partial(self._see_store, store)
            found.append(Look(f"store {store}", see, self.timeout_s + _GRACE_S))
        return found

    def _import_slow_modules(self) -> None:
        """Keep imports out of the time limits of the looks."""
        if self.cluster:
            import kubernetes  # noqa: F401
        if self.host:
            import pipeline.kfp.client  # noqa: F401
        for store in self.stores:
            from seglib.storage import open_remote

            with suppress(SegError):  # which the look reports
                open_remote(store)

    def _see_cluster(self, pods: list[Pod]) -> Seen:
        from pipeline.preflight.around.cluster_state import ClusterState

        state = ClusterState(
            context=self.context, namespace=self.namespace, timeout_s=self.timeout_s
        )
        return state.see(pods, self.service_account)

    def _see_kfp(self) -> Seen:
        from pipeline.preflight.around.kfp_api import check_kfp

        return check_kfp(self.host, timeout_s=self.timeout_s)

    def _see_image(self, image: str) -> Seen:
        from pipeline.preflight.around.registry import check_image

        return check_image(image, timeout_s=self.timeout_s)

    def _see_mlflow(self) -> Seen:
        from pipeline.preflight.around.mlflow_server import check_mlflow

        host = self.mlflow_host
        return check_mlflow(self.mlflow, host=host, timeout_s=self.timeout_s)

    def _see_store(self, store: str) -> Seen:
        from pipeline.preflight.around.object_store import check_store

        return check_store(store)
