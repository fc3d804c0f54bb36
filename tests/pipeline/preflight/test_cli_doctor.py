"""The command: statuses, JSON, explanations; its page of codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.__main__ import app
from pipeline.preflight.findings import codes, table
from seglib.errors import UsageError
from tests.fakes.servers import free_port
from tests.pipeline.preflight.compiled import Compiled

RUN = CliRunner()


def test_the_exit_status_says_whether_there_is_an_error(
    tmp_path: Path, ours: Compiled
) -> None:
    path = str(ours.write(tmp_path / "p.yaml"))
    done = RUN.invoke(app, ["doctor", path, "--strict"])
    assert done.exit_code == 0
    assert "Nothing found. Checked document segmentation-training" in done.output
    del ours.pods["exec-train-model"]["activeDeadlineSeconds"]
    ours.write(tmp_path / "p.yaml")
    assert RUN.invoke(app, ["doctor", path]).exit_code == 0
    assert RUN.invoke(app, ["doctor", path, "--strict"]).exit_code == 1
    ignored = ["doctor", path, "--strict", "--ignore", "p163"]
    assert RUN.invoke(app, ignored).exit_code == 0
    ours.container("train-model")["image"] = "seglib"
    ours.write(tmp_path / "p.yaml")
    done = RUN.invoke(app, ["doctor", path])
    assert done.exit_code == 1
    assert "1 error, 1 warning." in done.output
    assert done.output.index("P120 error") < done.output.index("P163 warning")
    assert "→ Name it as REPOSITORY@sha256:" in done.output


def test_json_has_every_finding_with_its_remedy(tmp_path: Path, ours: Compiled) -> None:
    ours.container("train-model")["image"] = "seglib:new"
    path = ours.write(tmp_path / "p.yaml")
    report = json.loads(RUN.invoke(app, ["doctor", str(path), "--json"]).output)
    assert (report["errors"], report["warnings"]) == (1, 0)
    (finding,) = report["findings"]
    assert finding == {
        "code": "P120",
        "severity": "error",
        "title": codes()["P120"].title,
        "where": "executors exec-train-model",
        "what": "seglib:new has a tag",
        "remedy": codes()["P120"].remedy,
    }


def test_what_is_looked_at_is_what_the_environment_names_or_what_is_asked_for(
    tmp_path: Path, ours: Compiled
) -> None:
    path = str(ours.write(tmp_path / "p.yaml"))
    away, other = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    env = {"KFP_ENDPOINT": away, "MLFLOW_TRACKING_URI": away, "KFP_NAMESPACE": ""}
    words = ["doctor", path, "--json", "--host", other]
    report = json.loads(RUN.invoke(app, words, env=env).output)
    kfp, mlflow = f"Kubeflow Pipelines at {other}", f"MLflow at {away}"
    assert report["checked"][1:] == [kfp, mlflow]
    alone = json.loads(RUN.invoke(app, [*words, "--offline"], env=env).output)
    assert len(alone["checked"]) == 1


def test_a_code_is_explained() -> None:
    done = RUN.invoke(app, ["doctor", "--explain", "p120"])
    assert done.exit_code == 0
    assert done.output.startswith("P120, error: an image that is not pinned by digest")
    assert codes()["P120"].remedy in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--explain", "P999"], "Unknown code: `P999`. Expected one of: P101, "),
        (["p.yaml", "--ignore", "P1200"], "Did you mean `P120`"),
        ([], "No document to examine"),
        (["/none/p.yaml"], "/none/p.yaml: cannot be read"),
    ],
)
def test_wrong_use_says_what_is_expected(arguments: list[str], message: str) -> None:
    done = RUN.invoke(app, ["doctor", *arguments])
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)


def test_the_page_of_codes_is_the_one_that_the_code_gives(repository: Path) -> None:
    page = (repository / "docs" / "preflight.md").read_text(encoding="utf-8")
    assert table() in page, "python -m pipeline doctor --codes"
    assert RUN.invoke(app, ["doctor", "--codes"]).output == table()
