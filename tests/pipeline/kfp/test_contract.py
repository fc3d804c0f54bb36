"""The server of these tests refuses what the package kfp-server-api does not have."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from kfp_server_api import V2beta1Experiment

from benchmarks.waiting import HANG_S
from pipeline.dag.document import Document
from pipeline.kfp.connection import KfpServer
from tests.fakes.kfp_api import KfpApi
from tests.fakes.kfp_contract import check_spec


def test_what_the_specification_does_not_have_is_refused() -> None:
    with KfpApi() as api:
        runs = f"{api.url}/apis/v2beta1/runs"
        assert _post(runs, {"display_nme": "x"}) == 400
        assert _post(runs, {"display_name": "x", "run_id": "y"}) == 400
        assert _post(runs, {"display_name": 5}) == 400
        assert _post(f"{runs}?experiment=1", {"display_name": "x"}) == 400
        assert _post(f"{api.url}/apis/v2beta1/jobs", {}) == 404
        assert [text.partition(": ")[2] for text in api.violations] == [
            "body.display_nme: V2beta1Run has no such field",
            "body.run_id: only the server fills it",
            "body.display_name: expected str. Received: 5",
            "unknown query parameter experiment",
        ]
        assert not api.runs


def test_a_specification_with_an_unknown_field_is_refused(document: Document) -> None:
    check_spec([dict(document.spec)])
    with pytest.raises(ValueError, match="no field named"):
        check_spec([{**document.spec, "unknownField": 1}])
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {
        "exec-a": {"secretsAsEnv": []}}}}}}  # fmt: skip
    with pytest.raises(ValueError, match="no field named"):
        check_spec([platform])


def test_lists_have_pages_and_refuse_the_token_of_another_list(
    api: KfpApi, cluster: KfpServer
) -> None:
    experiments = cluster.experiments
    for number in range(25):
        wanted = V2beta1Experiment(display_name=f"e{number}")
        experiments.experiment_service_create_experiment(experiment=wanted)
    listing = experiments.experiment_service_list_experiments
    first = listing(page_size=10)
    assert (len(first.experiments), first.total_size) == (10, 25)
    token = first.next_page_token
    assert len(listing(page_size=10, page_token=token).experiments) == 10
    with pytest.raises(Exception, match="page token of another list"):
        listing(page_token=token, sort_by="display_name")


def _post(url: str, body: Any) -> int:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=HANG_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return int(error.code)
