"""Submitting: one run for one image, dataset and configuration."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.waiting import HANG_S, wait_until
from pipeline.dag.document import Document, read_document
from pipeline.dag.inputs import Data, find_settings
from pipeline.kfp.connection import KfpServer, connect
from pipeline.kfp.endpoint import Endpoint
from pipeline.kfp.failures import ClusterError
from pipeline.kfp.order import (
    Order,
    check_pushed,
    document_of,
    find_version,
    make_order,
    tag_of,
)
from pipeline.kfp.runs import find_run, list_runs, run_of, terminate
from pipeline.kfp.submission import submit
from seglib.config import Config
from seglib.errors import SegError, UsageError
from tests.fakes.kfp_api import Fault, KfpApi
from tests.fakes.kubernetes_api import KubernetesApi
from tests.pipeline.kfp.conftest import DATA, IMAGE, QUICK

CREATE = "run_service_create_run"


@pytest.fixture
def earlier(cluster: KfpServer, order: Order, kubernetes: KubernetesApi) -> str:
    """The id of another run, by which Kubernetes is known to be the one below KFP."""
    return submit(cluster, replace(order, data=_other_data())).run.run_id


def test_a_run_is_started_with_all_that_it_needs(
    api: KfpApi, cluster: KfpServer, order: Order
) -> None:
    done = submit(cluster, order)
    assert done.new
    run = api.run()
    parameters = run["runtime_config"]["parameters"]
    assert parameters == {
        "data_md5": DATA.data_md5,
        "remote": DATA.remote,
        "code_version": "ab" * 8,  # of the image's digest
        **Config().flat(),
    }
    (experiment,) = api.experiments.values()
    assert experiment["display_name"] == "segmentation-training"
    assert run["experiment_id"] == experiment["experiment_id"]
    (version,) = api.pipeline_versions.values()
    assert version["name"] == f"segmentation-training-{order.document.digest[:12]}"
    reference = run["pipeline_version_reference"]
    assert reference["pipeline_version_id"] == version["pipeline_version_id"]
    assert done.url == f"{api.url}/#/runs/details/{run['run_id']}"


def test_the_run_is_named_by_commit_and_data_and_says_what_it_is(
    api: KfpApi, cluster: KfpServer, order: Order
) -> None:
    commit = "1234567890" * 4
    submit(cluster, replace(order, commit=commit))
    name, told = api.run()["display_name"], api.run()["description"]
    assert name == f"1234567-0123456-{order.key}"
    assert tag_of(name) == order.key
    assert told.splitlines() == [
        f"commit: {commit}",
        f"data: {DATA.data_md5}",
        f"config: {order.config_hash}",
        f"triple: {order.key}",
        f"image: {IMAGE}",
    ]
    dirty = replace(order, commit=f"{commit}-dirty", data=_other_data())
    assert submit(cluster, dirty).run.name.startswith("1234567-dirty-fedcba9-")


def test_the_key_is_of_image_digest_data_and_configuration(
    order: Order, document: Document, tmp_path: Path
) -> None:
    def of_image(image: str) -> Order:
        path = tmp_path / "other.yaml"
        path.write_text(document.text.replace(IMAGE, image))
        return replace(order, document=read_document(path))

    assert of_image(f"elsewhere:5000/{IMAGE}").key == order.key
    others = [
        of_image(IMAGE.replace("ab", "cd")),
        replace(order, data=_other_data()),
        replace(order, config=find_settings(None, ["epochs=3"])),
    ]
    assert len({order.key, *(other.key for other in others)}) == 4


@pytest.mark.parametrize("state", ["SUCCEEDED", "RUNNING", "PENDING", "PAUSED"])
def test_what_succeeded_or_is_under_way_is_not_run_again(
    api: KfpApi, cluster: KfpServer, order: Order, state: str
) -> None:
    first = submit(cluster, order)
    api.runs[first.run.run_id]["state"] = state
    second = submit(cluster, replace(order, commit="another"))
    assert not second.new
    assert second.run.run_id == first.run.run_id
    assert len(api.calls(CREATE)) == 1


@pytest.mark.parametrize("case", ["oom", "cancelled", "while it is stopped"])
def test_what_failed_or_was_stopped_is_run_again(
    api: KfpApi, cluster: KfpServer, order: Order, case: str
) -> None:
    first = submit(cluster, order).run.run_id
    if case == "while it is stopped":
        terminate(cluster, first)
    else:
        api.become(first, case)
    before = dict(api.runs[first])
    second = submit(cluster, order)
    assert second.new
    assert len(api.runs) == 2
    assert api.runs[first] == before


def test_a_forced_run_is_another_one_and_leaves_the_first_alone(
    api: KfpApi, cluster: KfpServer, order: Order
) -> None:
    first = submit(cluster, order)
    forced = submit(cluster, order, force=True)
    assert forced.new
    assert forced.run.tag.startswith(f"{order.key}-")
    assert {run["state"] for run in api.runs.values()} == {"PENDING"}
    api.become(first.run.run_id, "oom")
    api.become(forced.run.run_id, "succeeded")
    found = run_of(cluster, order.key)
    assert found
    assert found.run_id == forced.run.run_id


def test_a_run_is_found_among_more_than_a_page_of_others(
    api: KfpApi, cluster: KfpServer, order: Order
) -> None:
    key = order.key
    wanted = submit(cluster, order).run
    api.become(wanted.run_id, "succeeded")
    template = api.runs[wanted.run_id]
    for number in range(101):  # of the same key, all of them failed
        run_id = f"{number:08}-0000-4000-8000-000000000000"
        name = f"abcdefg-0123456-{key}-{number:08x}"
        run = {**template, "run_id": run_id, "display_name": name, "state": "FAILED"}
        api.runs[run_id] = run
    assert len(list(list_runs(cluster, part=key))) == 102
    found = run_of(cluster, order.key)
    assert found
    assert found.run_id == wanted.run_id


def test_a_run_that_was_only_called_alike_is_none_of_the_triple(
    api: KfpApi, cluster: KfpServer, order: Order
) -> None:
    run = submit(cluster, order).run
    api.runs[run.run_id]["display_name"] = f"Clone of {run.name} (2)"
    assert run_of(cluster, order.key) is None
    api.runs[run.run_id]["display_name"] = run.name
    api.runs[run.run_id]["recurring_run_id"] = "a schedule made it"
    assert run_of(cluster, order.key) is None


def test_pipeline_and_version_are_uploaded_once_for_one_content(
    api: KfpApi, cluster: KfpServer, order: Order, tmp_path: Path
) -> None:
    submit(cluster, order)
    submit(cluster, order, force=True)
    assert len(api.calls("upload_pipeline_version")) == 1
    changed = tmp_path / "changed.yaml"
    changed.write_text(order.document.text + "# changed\n")
    submit(cluster, replace(order, document=read_document(changed)), force=True)
    assert len(api.pipelines) == 1
    assert len(api.pipeline_versions) == 2


def test_two_submitters_at_once_give_one_run(
    api: KfpApi, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.kfp.submission._SETTLE_S", 1.2)
    lists, meet = "run_service_list_runs", threading.Barrier(2)
    api.faults.append(Fault(lists, status=200, times=2, meet=meet))  # both have looked
    endpoint = Endpoint(host=api.url, patience=QUICK)
    clusters = [connect(endpoint) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda cluster: submit(cluster, order), clusters))
    assert len(api.runs) == 2, "both created one"
    ages = {(run["created_at"], key): run["state"] for key, run in api.runs.items()}
    (_, oldest), stopped = sorted(ages)
    assert {one.run.run_id for one in done} == {oldest}, "the oldest goes on"
    assert api.runs[oldest]["state"] == "PENDING"
    assert ages[stopped] == "CANCELING"


@pytest.mark.parametrize("status", [0, 500, 503], ids=["dropped", "broken", "away"])
@pytest.mark.parametrize("after", [True, False], ids=["done", "not done"])
def test_a_creation_without_an_answer_gives_one_run(
    api: KfpApi,
    cluster: KfpServer,
    order: Order,
    earlier: str,
    status: int,
    after: bool,
) -> None:
    api.faults.append(Fault(CREATE, status=status, after=after))
    done = submit(cluster, order, force=True)
    assert api.runs.keys() == {earlier, done.run.run_id}
    assert len(api.calls(CREATE)) == (2 if after else 3)


def test_a_creation_that_takes_longer_than_we_wait_gives_one_run(
    api: KfpApi,
    cluster: KfpServer,
    order: Order,
    earlier: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create, held = cluster.runs.run_service_create_run, threading.Event()
    limits = [{"_request_timeout": (HANG_S, 0.1)}]  # of the first answer alone

    def impatient(**options: Any) -> Any:
        return create(**options | (limits.pop() if limits else {}))

    monkeypatch.setattr(cluster.runs, CREATE, impatient)
    api.faults.append(Fault(CREATE, status=200, held=held))
    submit(cluster, order)
    held.set()
    wait_until(lambda: len(api.runs) == 3)  # the slow one is done now, too
    submit(cluster, order)
    del api.runs[earlier]
    going = [run for run in api.runs.values() if run["state"] == "PENDING"]
    assert len(going) == 1


@pytest.mark.parametrize(
    "operation",
    [
        "experiment_service_create_experiment",
        "pipeline_service_create_pipeline",
        "upload_pipeline_version",
    ],
)
@pytest.mark.parametrize("after", [True, False], ids=["done", "not done"])
def test_a_submission_that_failed_on_its_way_goes_on_where_it_was(
    api: KfpApi, cluster: KfpServer, order: Order, operation: str, after: bool
) -> None:
    api.faults.append(Fault(operation, status=500, after=after))
    with pytest.raises(ClusterError, match="500"):
        submit(cluster, order)
    api.faults.append(Fault("run_service_list_runs", status=500, times=2))
    submit(cluster, order)
    kept = (api.runs, api.experiments, api.pipelines, api.pipeline_versions)
    assert [len(one) for one in kept] == [1, 1, 1, 1]


def test_a_busy_server_is_asked_again(
    api: KfpApi, cluster: KfpServer, order: Order
) -> None:
    headers = {"Retry-After": "0"}
    api.faults.append(Fault(CREATE, status=429, headers=headers, times=2))
    submit(cluster, order)
    assert len(api.calls(CREATE)) == 3
    assert len(api.runs) == 1


def test_a_server_that_stays_broken_is_told_with_its_own_words(
    api: KfpApi, cluster: KfpServer, order: Order, earlier: str
) -> None:
    api.faults.append(Fault(CREATE, times=9, message="the workflow's webhook is away"))
    with pytest.raises(ClusterError, match="create the run.*the workflow's webhook"):
        submit(cluster, order)
    assert api.runs.keys() == {earlier}


def test_equal_submissions_have_equal_cache_keys(
    api: KfpApi, cluster: KfpServer, order: Order
) -> None:
    """KFP's cache looks at parameters, image and command, not at a run's name."""
    runs = [submit(cluster, order, force=True).run for _ in range(2)]
    assert runs[0].name != runs[1].name
    sent = [json.loads(one.body) for one in api.calls(CREATE)]
    cached = ("runtime_config", "pipeline_version_reference")
    assert [sent[0][name] for name in cached] == [sent[1][name] for name in cached]
    text = json.dumps([sent[0][name] for name in cached])
    for own in (runs[0].run_id, runs[0].name, order.commit):
        assert own not in text


def test_an_image_without_digest_is_for_trials(
    api: KfpApi, cluster: KfpServer, document: Document, tmp_path: Path
) -> None:
    path = tmp_path / "tagged.yaml"
    path.write_text(document.text.replace(IMAGE, "registry.example/seglib:latest"))
    order = make_order(read_document(path), DATA, Config())
    with pytest.raises(UsageError, match="registry.example/seglib:latest.*--allow-tag"):
        submit(cluster, order)
    assert not api.runs
    submit(cluster, order, allow_tag=True)
    assert api.run()["runtime_config"]["parameters"]["code_version"] != "ab" * 8


def test_a_document_of_other_code_is_refused_before_anything_is_sent(
    api: KfpApi, cluster: KfpServer, document: Document, tmp_path: Path
) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(document.text.replace("learning_rate", "rate_of_learning"))
    order = make_order(read_document(path), DATA, Config())
    asked = len(api.sent)
    message = "unknown to it: .*learning_rate.*not given: none.*this checkout"
    with pytest.raises(SegError, match=message):
        submit(cluster, order)
    assert len(api.sent) == asked


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a compiled pipeline"),
        ("pipelineInfo: {name: x}\nroot: {}\n", "not a compiled pipeline"),
        ("{", "not valid YAML"),
    ],
)
def test_another_file_is_no_pipeline(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(text)
    with pytest.raises(SegError, match=message):
        read_document(path)
    with pytest.raises(SegError, match="cannot be read"):
        read_document(tmp_path / "none.yaml")


def test_the_manifest_of_a_pipeline_is_applied_and_not_submitted(
    tmp_path: Path, document: Document
) -> None:
    path = tmp_path / "manifest.yaml"
    version = {"kind": "PipelineVersion", "spec": {"pipelineSpec": document.spec}}
    path.write_text(yaml.safe_dump(version))
    with (
        pytest.raises(UsageError, match="is a Kubernetes manifest. Expected a file"),
        document_of(path),
    ):
        pass


def test_several_users_servers_get_the_namespace(order: Order) -> None:
    with KfpApi(multi_user=True) as api:
        endpoint = Endpoint(host=api.url, namespace="vision", patience=QUICK)
        submit(connect(endpoint), order)
        assert not submit(connect(endpoint), order).new
        (experiment,) = api.experiments.values()
    assert experiment["namespace"] == "vision"


def test_no_secret_is_in_anything_that_is_sent(
    document: Document, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    canaries = {
        "AWS_ACCESS_KEY_ID": "canary-key-id",
        "AWS_SECRET_ACCESS_KEY": "canary-secret",
        "AWS_SESSION_TOKEN": "canary-session",
        "MLFLOW_TRACKING_USERNAME": "canary-user",
        "MLFLOW_TRACKING_PASSWORD": "canary-password",
        "GITHUB_TOKEN": "canary-forge",
        "KFP_TOKEN": "canary-token",
    }
    for name, value in canaries.items():
        monkeypatch.setenv(name, value)
    with KfpApi(token="canary-token") as api:
        cluster = connect(Endpoint.from_environment(host=api.url))
        with document_of(None, image=IMAGE) as compiled:
            order = make_order(compiled, DATA, Config())
            said: list[str] = []
            submit(cluster, order, say=said.append)
            everything = compiled.text
    everything += "".join(said) + repr(cluster)
    for sent in api.sent:
        headers = {k: v for k, v in sent.headers.items() if k != "authorization"}
        everything += f"{sent.path}{sent.query}{sent.body}{headers}"
    assert len(everything) > 20_000
    assert "canary" not in everything
    assert {sent.headers["authorization"] for sent in api.sent} == {
        "Bearer canary-token"
    }


def test_a_version_of_the_data_is_the_pin_a_revision_or_a_hash(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    pinned = yaml.safe_load(Path("data.dvc").read_text())["outs"][0]["md5"]
    remote = "s3://data/dvc"
    assert find_version(remote=remote).data_md5 == pinned
    assert find_version("HEAD", remote=remote).data_md5 == pinned
    assert find_version(data_md5=DATA.data_md5, remote=remote).remote == remote
    with pytest.raises(SegError, match="git does not know it"):
        find_version("no-such-revision", remote=remote)
    with pytest.raises(SegError, match="pods cannot read.*--remote.*dvc remote add"):
        find_version()


def test_data_that_were_not_pushed_are_not_submitted(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    data = find_version(remote=str(repository / "dvc-remote"))
    check_pushed(data)
    (tmp_path / "remote" / "files" / "md5").mkdir(parents=True)
    other = replace(data, remote=str(tmp_path / "remote"))
    with pytest.raises(SegError, match="1 object.* missing.*dvc push"):
        check_pushed(other)


def test_a_run_is_found_by_id_name_part_and_as_the_latest(
    api: KfpApi, cluster: KfpServer, order: Order
) -> None:
    run = submit(cluster, order).run
    for name in (run.run_id, run.name, order.key, "latest"):
        assert find_run(cluster, name).run_id == run.run_id
    submit(cluster, order, force=True)
    assert find_run(cluster, run.name).run_id == run.run_id, "the exact name"
    with pytest.raises(
        SegError, match=f"(?s)2 runs are called.*by its id:\n.*{run.run_id}"
    ):
        find_run(cluster, "0123456-")
    with pytest.raises(SegError, match="No run 'nothing'.*python -m pipeline status"):
        find_run(cluster, "nothing")
    with pytest.raises(ClusterError, match="read the run.*not found"):
        find_run(cluster, "00000000-0000-0000-0000-000000000000")


def test_the_latest_run_is_that_of_this_pipeline(
    api: KfpApi, cluster: KfpServer, order: Order
) -> None:
    with pytest.raises(SegError, match="No runs of segmentation-training on"):
        find_run(cluster, "latest")
    run = submit(cluster, order).run
    reference = {"pipeline_id": "somebody's", "pipeline_version_id": "other"}
    later = {"run_id": "later", "created_at": "2099-01-01T00:00:00Z"}
    foreign = {**api.run(), **later, "pipeline_version_reference": reference}
    api.runs["later"] = foreign
    assert find_run(cluster, "latest").run_id == run.run_id
    del foreign["pipeline_version_reference"]  # of a spec that KFP does not keep
    assert find_run(cluster, "latest").run_id == run.run_id


def _other_data() -> Data:
    return Data(data_md5="fedcba9876543210" * 2 + ".dir", remote="s3://x/y", title="")
