"""Recurring runs, made to be as a file says."""

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from pipeline import __main__ as command_line
from pipeline.dag.document import Document
from pipeline.dag.inputs import find_settings
from pipeline.kfp.connection import KfpServer, connect
from pipeline.kfp.endpoint import Endpoint
from pipeline.kfp.failures import ClusterError
from pipeline.kfp.order import Order
from pipeline.kfp.schedule_file import Schedule, read_schedules
from pipeline.kfp.schedules import (
    Act,
    Change,
    Wanted,
    apply,
    existing_schedules,
    plan,
)
from seglib.errors import UsageError
from tests.fakes.kfp_api import Fault, KfpApi
from tests.pipeline.kfp.conftest import DATA, QUICK

CREATE = "recurring_run_service_create_recurring_run"
CHANGES = (CREATE, "recurring_run_service_delete_recurring_run",
           "recurring_run_service_enable_recurring_run",
           "recurring_run_service_disable_recurring_run")  # fmt: skip
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def wanted(order: Order) -> Callable[..., Wanted]:
    def make(name: str = "nightly", **settings: Any) -> Wanted:
        default = {} if "every" in settings else {"cron": "0 3 * * *"}
        entry = Schedule(**(default | settings))
        return Wanted(
            group="streets", name=name, schedule=entry, order=order, experiment=""
        )

    return make


@pytest.fixture
def reconcile(cluster: KfpServer) -> Callable[..., list[Change]]:
    def run(*wanted: Wanted) -> list[Change]:
        changes = plan(wanted, existing_schedules(cluster, "streets"))
        apply(cluster, changes)
        return changes

    return run


def test_a_schedule_is_made_and_then_left_alone(
    api: KfpApi, wanted: Callable[..., Wanted], reconcile: Any
) -> None:
    assert [c.act for c in reconcile(wanted())] == [Act.create]
    (made,) = api.recurring_runs.values()
    assert made["display_name"] == "streets-nightly"
    assert made["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert made["runtime_config"]["parameters"]["data_md5"] == DATA.data_md5
    assert (made["max_concurrency"], made["no_catchup"]) == ("1", True)
    assert made["status"] == "ENABLED"
    asked = _changes(api)
    assert [c.act for c in reconcile(wanted())] == [Act.keep]
    assert _changes(api) == asked


def test_what_changes_is_made_anew_and_the_old_one_deleted_after(
    api: KfpApi, wanted: Callable[..., Wanted], reconcile: Any
) -> None:
    reconcile(wanted(), wanted("weekly", cron="0 4 * * 1"))
    first = {one["display_name"]: key for key, one in api.recurring_runs.items()}
    changes = reconcile(wanted(cron="30 5 * * *"), wanted("weekly", cron="0 4 * * 1"))
    assert [(c.name, c.act) for c in changes] == [
        ("nightly", Act.renew),
        ("weekly", Act.keep),
    ]
    assert changes[0].why == "runs at 30 5 * * *"
    now = {one["display_name"]: key for key, one in api.recurring_runs.items()}
    assert now["streets-weekly"] == first["streets-weekly"]
    assert now["streets-nightly"] != first["streets-nightly"]
    assert _changes(api)[-2:] == list(CHANGES[:2]), "made first, deleted then"


def test_changed_settings_are_named(
    wanted: Callable[..., Wanted], reconcile: Any, order: Order
) -> None:
    reconcile(wanted())
    config = find_settings(None, ["epochs=7"])
    other = replace(wanted(), order=replace(order, config=config))
    (change,) = reconcile(other)
    assert change.act is Act.renew
    assert change.why == f"epochs: {order.config.train.epochs} → 7"


def test_enabling_and_disabling_make_nothing_anew(
    api: KfpApi, wanted: Callable[..., Wanted], reconcile: Any
) -> None:
    reconcile(wanted())
    (made,) = api.recurring_runs.values()
    assert [c.act for c in reconcile(wanted(enabled=False))] == [Act.disable]
    assert made["status"] == "DISABLED"
    assert [c.act for c in reconcile(wanted(enabled=False))] == [Act.keep]
    assert [c.act for c in reconcile(wanted())] == [Act.enable]
    assert made["status"] == "ENABLED"
    assert len(api.calls(CREATE)) == 1


def test_what_is_not_in_the_file_is_deleted_and_others_are_not_touched(
    api: KfpApi, wanted: Callable[..., Wanted], reconcile: Any
) -> None:
    reconcile(wanted(), wanted("weekly", every="7d"))
    template = next(iter(api.recurring_runs.values()))
    foreign = [
        {**template, "display_name": "streets-by-hand", "description": "somebody's"},
        {**template, "display_name": "streets-2-nightly",
         "description": "schedule: streets-2/nightly\ncontent: 0"},
    ]  # fmt: skip
    for number, one in enumerate(foreign):
        api.recurring_runs[f"f{number}"] = {**one, "recurring_run_id": f"f{number}"}
    changes = reconcile(wanted("weekly", every="7d"))
    acts = {(c.name, c.act) for c in changes}
    assert acts == {("weekly", Act.keep), ("nightly", Act.delete)}
    assert len(api.recurring_runs) == 3
    reconcile()
    assert set(api.recurring_runs) == {"f0", "f1"}


def test_a_creation_that_was_done_though_the_answer_is_500_is_not_doubled(
    api: KfpApi, wanted: Callable[..., Wanted], reconcile: Any, kubernetes: object
) -> None:
    api.faults.append(Fault(CREATE, after=True))
    reconcile(wanted())
    assert len(api.recurring_runs) == 1
    api.faults.append(Fault(CREATE, status=0))
    reconcile(wanted(cron="1 1 * * *"))
    assert len(api.recurring_runs) == 1


def test_an_interrupted_change_is_gone_on_with(
    api: KfpApi, wanted: Callable[..., Wanted], reconcile: Any
) -> None:
    reconcile(wanted())
    delete = "recurring_run_service_delete_recurring_run"
    api.faults.append(Fault(delete, status=403))
    with pytest.raises(ClusterError, match="not allowed to renew nightly"):
        reconcile(wanted(cron="1 1 * * *"))
    assert len(api.recurring_runs) == 2
    acts = [c.act for c in reconcile(wanted(cron="1 1 * * *"))]
    assert acts == [Act.keep, Act.delete]
    (left,) = api.recurring_runs.values()
    assert left["trigger"] == {"cron_schedule": {"cron": "0 1 1 * * *"}}


def test_two_at_once_leave_one_of_each(
    api: KfpApi, wanted: Callable[..., Wanted]
) -> None:
    lists = "recurring_run_service_list_recurring_runs"
    meet = threading.Barrier(2)
    api.faults.append(Fault(lists, status=200, times=2, meet=meet))
    endpoint = Endpoint(host=api.url, patience=QUICK)
    clusters = [connect(endpoint) for _ in range(2)]

    def run(cluster: KfpServer) -> None:
        apply(cluster, plan([wanted()], existing_schedules(cluster, "streets")))

    with ThreadPoolExecutor() as pool:
        list(pool.map(run, clusters))
    run(clusters[0])
    assert len(api.recurring_runs) == 1


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, "either `cron` or `every`"),
        ({"cron": "0 3 * * *", "every": "1d"}, "either `cron` or `every`"),
        ({"cron": "daily"}, "`cron` must be of 5 or 6 fields"),
        ({"every": "soon"}, "`every` must be a number and s, m, h or d"),
        ({"every": "1d", "start": "tomorrow"}, "`start` must be a time such as"),
        (
            {"every": "1d", "max_concurrency": 11},
            "`schedules.a.max_concurrency` must be ≥ 1 and ≤ 10",
        ),
        ({"every": "1d", "confg": "x"}, "Did you mean `config`"),
        ({"every": 5}, "`schedules.a.every` must be of type str"),
    ],
)
def test_a_wrong_schedule_is_named_with_its_place(
    tmp_path: Path, entry: dict[str, Any], message: str
) -> None:
    file = tmp_path / "schedules.yaml"
    file.write_text(yaml.safe_dump({"name": "x", "schedules": {"a": entry}}))
    with pytest.raises(UsageError, match=message) as caught:
        read_schedules(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_times_are_utc_where_they_do_not_say() -> None:
    entry = Schedule(every="90m", start="2026-11-23T03:00:00", end="2027-01-01")
    trigger = entry.trigger["periodic_schedule"]
    assert trigger["interval_second"] == "5400"
    assert trigger["start_time"].isoformat() == "2026-11-23T03:00:00+00:00"
    assert trigger["end_time"].isoformat() == "2027-01-01T00:00:00+00:00"
    assert Schedule(cron="5 0 3 * * *").trigger["cron_schedule"]["cron"][:2] == "5 "


def test_the_command_shows_the_plan_and_does_it_once(
    api: KfpApi,
    document: Document,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "schedules.yaml"
    entry = {"cron": "0 3 * * *", "config": "fast.yaml", "settings": ["epochs=2"],
             "data_md5": DATA.data_md5, "remote": DATA.remote}  # fmt: skip
    (tmp_path / "fast.yaml").write_text("train: {epochs: 9, batch_size: 2}\n")
    file.write_text(yaml.safe_dump({"name": "x", "schedules": {"nightly": entry}}))
    words = ["schedule", str(file), "--pipeline", str(document.path), "--host", api.url]

    def run(*more: str) -> str:
        monkeypatch.setattr(sys, "argv", ["pipeline", *words, "--no-push-check", *more])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        assert not ended.value.code
        return capsys.readouterr().out

    out = run("--dry-run")
    assert out.startswith("+ nightly ")
    assert out.endswith("1 change(s), not made: --dry-run\n")
    assert not api.recurring_runs
    assert not api.pipelines, "a dry run makes nothing"
    assert run().endswith("1 change(s)\n")
    (made,) = api.recurring_runs.values()
    parameters = made["runtime_config"]["parameters"]
    assert (parameters["epochs"], parameters["batch_size"]) == (2, 2)
    assert made["service_account"] == "pipeline-runner"
    out = run()
    assert out.startswith("= nightly ")
    assert out.endswith("0 change(s)\n")
    file.write_text("name: x\n")
    assert run().startswith("- nightly ")
    assert not api.recurring_runs


def test_an_image_without_digest_is_scheduled_for_trials_only(
    api: KfpApi, tmp_path: Path
) -> None:
    file = tmp_path / "schedules.yaml"
    entry = {"every": "1d", "data_md5": DATA.data_md5, "remote": DATA.remote}
    file.write_text(yaml.safe_dump({"name": "x", "schedules": {"nightly": entry}}))
    words = ["schedule", str(file), "--image", "registry.example/seglib:trial"]
    words += ["--host", api.url, "--no-push-check"]
    refused = CliRunner().invoke(command_line.app, words)
    assert isinstance(refused.exception, UsageError)
    assert "For a trial: --allow-tag." in str(refused.exception)
    assert not api.sent
    done = CliRunner().invoke(command_line.app, [*words, "--allow-tag"])
    assert done.exit_code == 0, done.output
    (made,) = api.recurring_runs.values()
    assert made["description"].endswith("image: registry.example/seglib:trial")


def test_the_example_is_right(repository: Path) -> None:
    found = read_schedules(repository / "configs" / "schedules.yaml")
    assert set(found.schedules) == {"nightly", "weekly-long"}
    for entry in found.schedules.values():
        assert (repository / "configs" / entry.config).is_file()


def _changes(api: KfpApi) -> list[str]:
    return [sent.operation for sent in api.sent if sent.operation in CHANGES]
