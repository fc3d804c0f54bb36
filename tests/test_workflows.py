"""The workflows: pinned, with few permissions, and calling nothing but our commands."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from pipeline.__main__ import app

_PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
# Whoever may write, and what.
_WRITING = {
    ("pull-request.yml", "dataset"): {"pull-requests"},
    ("retrain.yml", "retrain"): {"statuses"},
    ("finalize.yml", "finalize"): {"contents", "statuses"},
    ("docs.yml", "publish"): {"pages", "id-token"},
}
_COMMAND = [".venv/bin/python", "-m", "pipeline"]


@pytest.fixture(scope="module")
def folder(repository: Path) -> Path:
    return repository / ".github" / "workflows"


@pytest.fixture(scope="module")
def workflows(folder: Path) -> dict[str, dict[str, Any]]:
    found = {
        path.name: yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in sorted(folder.iterdir())
    }
    names = {"docs.yml", "finalize.yml", "pull-request.yml", "retrain.yml"}
    assert set(found) == names
    return found


def _jobs(workflows: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for file, workflow in workflows.items():
        for name, job in workflow["jobs"].items():
            yield file, name, job


def _steps(workflows: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for file, name, job in _jobs(workflows):
        for step in job["steps"]:
            yield f"{file}, {name}", step


def test_every_action_is_pinned_by_its_commit_and_says_its_version(
    folder: Path,
) -> None:
    lines = [
        line.strip().removeprefix("- ")
        for path in folder.iterdir()
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(r"\s*(- )?uses:", line)
    ]
    assert len(lines) > 8
    assert not [line for line in lines if not _PINNED.fullmatch(line)]


def test_an_action_has_one_version_everywhere(workflows: dict[str, Any]) -> None:
    used = {step["uses"] for _, step in _steps(workflows) if "uses" in step}
    names = [one.partition("@")[0] for one in used]
    assert len(names) == len(set(names))


def test_a_job_may_write_only_what_it_writes(workflows: dict[str, Any]) -> None:
    for file, workflow in workflows.items():
        assert workflow["permissions"] == {}, file
    for file, name, job in _jobs(workflows):
        writes = {what for what, how in job["permissions"].items() if how == "write"}
        assert writes == _WRITING.get((file, name), set()), (file, name)
        assert set(job["permissions"].values()) <= {"read", "write"}


def test_every_job_ends_in_time_and_none_runs_beside_its_like(
    workflows: dict[str, Any],
) -> None:
    assert all(job["timeout-minutes"] <= 60 for _, _, job in _jobs(workflows))
    assert all("group" in w["concurrency"] for w in workflows.values())
    # A submission or a comment is not broken off; a check that is outdated is.
    cancels = {n: w["concurrency"]["cancel-in-progress"] for n, w in workflows.items()}
    assert cancels == {
        "docs.yml": False,
        "finalize.yml": False,
        "pull-request.yml": True,
        "retrain.yml": False,
    }


def test_no_script_contains_an_expression(workflows: dict[str, Any]) -> None:
    scripts = [step["run"] for _, step in _steps(workflows) if "run" in step]
    assert len(scripts) > 5
    assert not [script for script in scripts if "${{" in script]


def test_scripts_call_our_commands_alone(
    workflows: dict[str, Any], repository: Path
) -> None:
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE))
    commands = typer.main.get_group(app).commands
    for where, step in _steps(workflows):
        if "run" not in step:
            continue
        words = shlex.split(step["run"])
        if words[0] == "make":
            assert set(words[1:]) <= targets, where
            continue
        assert words[:3] == _COMMAND, where
        command = commands[words[3]]
        known = {option for one in command.params for option in one.opts}
        assert {w for w in words[4:] if w.startswith("-")} <= known, where


def test_what_a_command_is_told_by_the_environment_it_reads(
    workflows: dict[str, Any],
) -> None:
    commands = typer.main.get_group(app).commands
    told = 0
    for where, step in _steps(workflows):
        for name in step.get("env", {}):
            if not name.startswith(("RETRAIN_", "FINALIZE_", "SEGLIB_")):
                continue
            command = commands[shlex.split(step["run"])[3]]
            prefix = command.context_settings.get("auto_envvar_prefix", "")
            read = str([one.envvar for one in command.params])
            by_name = [f"{prefix}_{one.name}".upper() for one in command.params]
            assert name in read or name in by_name, f"{where}: {name}"
            told += 1
    assert told >= 8


def test_code_of_a_pull_request_meets_no_secret_of_ours(
    workflows: dict[str, Any],
) -> None:
    """Only where the branch is our own, whose authors may push to it anyway."""
    triggers = workflows["pull-request.yml"][True]  # YAML reads `on` as true
    assert set(triggers) == {"pull_request"}  # and not pull_request_target
    for name, job in workflows["pull-request.yml"]["jobs"].items():
        own = "head.repo.full_name == github.repository" in job.get("if", "")
        assert own or "secrets." not in str(job), name
        assert own or set(job["permissions"].values()) == {"read"}, name


def test_the_token_is_not_left_in_the_clone(workflows: dict[str, Any]) -> None:
    for where, step in _steps(workflows):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False, where


def test_commits_that_are_compared_are_fetched(workflows: dict[str, Any]) -> None:
    for file, name, job in _jobs(workflows):
        compares = any("retrain" in str(step.get("run")) for step in job["steps"])
        if compares or name == "finalize":
            assert job["steps"][0]["with"]["fetch-depth"] == 0, file


@pytest.mark.parametrize(
    "command",
    [
        ["zizmor", "--offline", "--no-progress", "--persona", "regular"],
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows"],
    ],
    ids=lambda command: command[0],
)
def test_tools_for_workflows_find_nothing(folder: Path, command: list[str]) -> None:
    program = Path(sys.executable).parent / command[0]
    if not program.exists():
        pytest.skip(f"{command[0]} is not installed. To run it: make test.")
    files = sorted(map(str, folder.glob("*.yml")))
    done = subprocess.run(
        [str(program), *command[1:], *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
