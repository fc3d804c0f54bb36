"""The surroundings of a document: only those that are named are looked at."""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from pipeline.preflight.looking import Look
from pipeline.preflight.pods import Pod
from seglib.errors import SegError
from seglib.plain_text import without_login
from seglib.storage.remotes import open_remote

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
    mlflow: str = ""  # http(s)://…; a database is not looked at
    mlflow_host: str = ""  # name and port under which pods reach it
    stores: tuple[str, ...] = ()  # s3://…; a folder is not looked at
    timeout_s: float = 5.0

    def looks(self, pods: list[Pod]) -> list[Look]:
        """One look for each thing to look at.

        Modules are imported here, so that no look spends its time on that.
        """
        timeout = {"timeout_s": self.timeout_s}
        once_s, patient_s = self.timeout_s + _GRACE_S, 2 * self.timeout_s + _GRACE_S
        found: list[Look] = []
        if self.cluster:
            from pipeline.preflight.cluster_state import see_cluster

            see = partial(
                see_cluster,
                pods,
                context=self.context,
                namespace=self.namespace,
                service_account=self.service_account,
                **timeout,
            )
            found.append(Look(f"namespace {self.namespace}", see, 2 * patient_s))
        if self.host:
            from pipeline.preflight.servers import check_kfp

            name = f"Kubeflow Pipelines at {without_login(self.host)}"
            see_kfp = partial(check_kfp, self.host, **timeout)
            found.append(Look(name, see_kfp, patient_s))
        for image in dict.fromkeys(pod.image for pod in pods if self.images):
            from pipeline.preflight.image_registry import check_image

            see_image = partial(check_image, image, **timeout)
            found.append(Look(f"image {image}", see_image, 2 * patient_s))
        if self.mlflow.startswith("http"):
            from pipeline.preflight.servers import check_mlflow

            name = f"MLflow at {without_login(self.mlflow)}"
            see_it = partial(
                check_mlflow, self.mlflow, host=self.mlflow_host, **timeout
            )
            found.append(Look(name, see_it, patient_s))
        for store in (one for one in self.stores if one.startswith("s3://")):
            from pipeline.preflight.object_store import check_store

            with suppress(SegError):  # which the look reports
                open_remote(store)  # imports the store's client
            found.append(Look(f"store {store}", partial(check_store, store), once_s))
        return found
