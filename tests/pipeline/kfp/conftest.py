"""A compiled pipeline, and a Kubeflow Pipelines API on loopback to submit it to."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.dag.cluster_config import ClusterConfig
from pipeline.dag.compile import compile_pipeline
from pipeline.dag.document import Document, read_document
from pipeline.dag.inputs import Data
from pipeline.http import Patience
from pipeline.kfp.connection import KfpServer, connect
from pipeline.kfp.endpoint import Endpoint
from pipeline.kfp.order import Order, make_order
from seglib.config import Config
from tests.fakes.kfp_api import KfpApi
from tests.fakes.kubernetes_api import KubernetesApi

IMAGE = f"registry.example/seglib@sha256:{'ab' * 32}"
DATA = Data(data_md5="0123456789" * 3 + "01.dir", remote="s3://data/dvc", title="")
QUICK = Patience(tries=5, pause_s=0.01, longest_s=0.02)


@pytest.fixture(autouse=True)
def own_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a cluster nor credentials of whoever runs the tests, and no rivals."""
    monkeypatch.setattr("pipeline.kfp.submission._SETTLE_S", 0.0)
    for name in list(os.environ):
        if name.startswith(("KFP_", "KF_PIPELINES_", "KUBE")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compile_pipeline(path, image=IMAGE, cluster=ClusterConfig())
    return read_document(path)


@pytest.fixture
def order(document: Document) -> Order:
    return make_order(document, DATA, Config())


@pytest.fixture
def api() -> Iterator[KfpApi]:
    with KfpApi() as api:
        yield api


@pytest.fixture
def kubernetes(
    api: KfpApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KubernetesApi]:
    """The Kubernetes API below KFP's, which a kubeconfig leads to."""
    with KubernetesApi(api) as below:
        below.use(monkeypatch, tmp_path)
        yield below


@pytest.fixture
def cluster(api: KfpApi) -> KfpServer:
    return connect(Endpoint(host=api.url, patience=QUICK))
