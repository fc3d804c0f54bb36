"""Submitting, against a server that keeps to kfp-server-api's contract."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cluster.connection import Cluster, Endpoint, Patience, connect
from pipeline.cluster.document import Document, read_document
from pipeline.cluster.order import Order, make_order
from pipeline.cluster.submission import submit
from pipeline.inputs import Data
from seglib.config import Config
from tests.pipeline.kfp_api import KfpApi

DIGEST = "sha256:" + "ab" * 32
IMAGE = f"registry.example/seglib@{DIGEST}"
DATA = Data(data_md5="0123456789" * 3 + "01.dir", remote="s3://data/dvc", title="")
QUICK = Patience(first_s=0.01, longest_s=0.02, total_s=0.1)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Document:
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    command = [sys.executable, "-m", "pipeline", "compile", "-o", str(path)]
    subprocess.run([*command, "--image", IMAGE], cwd=repository, check=True)
    return read_document(path)


@pytest.fixture
def order(document: Document) -> Order:
    return make_order(document, DATA, Config())


@pytest.fixture
def api() -> Iterator[KfpApi]:
    with KfpApi() as api:
        yield api
    assert not api.violations


@pytest.fixture
def cluster(api: KfpApi) -> Cluster:
    return connect(Endpoint(host=api.url, patience=QUICK))


def test_a_run_is_started_with_all_that_it_needs(
    api: KfpApi, cluster: Cluster, order: Order
) -> None:
    done = submit(cluster, order)
    assert done.new
    run = api.run()
    assert run["runtime_config"]["parameters"]["data_md5"] == DATA.data_md5
    assert run["runtime_config"]["parameters"]["code_version"] == "ab" * 8
    (experiment,) = api.experiments.values()
    assert experiment["display_name"] == "segmentation-training"
    assert done.url == f"{api.url}/#/runs/details/{run['run_id']}"


def test_the_same_triple_is_not_run_again(
    api: KfpApi, cluster: Cluster, order: Order
) -> None:
    first = submit(cluster, order)
    second = submit(cluster, order)
    assert not second.new
    assert second.run.run_id == first.run.run_id
    assert len(api.runs) == 1
    forced = submit(cluster, order, force=True)
    assert forced.new
    assert len(api.runs) == 2
    assert len(api.pipeline_versions) == 1
