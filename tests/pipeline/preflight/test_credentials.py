"""A credential is found wherever a user can put one, and never shown."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from pipeline.dag.credentials import names_credential
from pipeline.dag.document import Document
from pipeline.preflight.checkup import examine
from pipeline.preflight.credentials import find_credentials, hide
from pipeline.preflight.findings import Finding
from pipeline.preflight.report import show
from tests.pipeline.preflight.compiled import Compiled

Place = Callable[[Compiled, Any], None]
# Long enough that no word of a message has it inside.
VALUES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]),
    min_size=8,
    max_size=60,
).filter(lambda text: len(set(text)) > 5)


def _env(name: str, form: str = "{}") -> Place:
    def put(compiled: Compiled, value: str) -> None:
        entry = {"name": name, "value": form.format(value)}
        compiled.container("train-model").setdefault("env", []).append(entry)

    return put


def _default(name: str) -> Place:
    def put(compiled: Compiled, value: Any) -> None:
        declared = compiled.pipeline["root"]["inputDefinitions"]["parameters"]
        declared[name] = {"parameterType": "STRING", "defaultValue": value}

    return put


def _annotation(compiled: Compiled, value: str) -> None:
    pod = compiled.pods["exec-train-model"]
    pod["podMetadata"] = {"annotations": {"example.org/password": value}}


SECRET_NAMES = [
    "MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID",
    "AWS_SESSION_TOKEN", "HF_TOKEN", "apiKey", "PGPASSWORD",
    "secretValue", "DB_PASS", "azure_storage_account_key",
]  # fmt: skip
_KEY = "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n"
PLACES: dict[str, Place] = {
    **{f"env {name}": _env(name) for name in SECRET_NAMES},
    **{f"parameter {name}": _default(name) for name in SECRET_NAMES},
    "a trial": lambda c, v: _default("trials")(c, [json.dumps({"api_key": v})]),
    "an annotation": _annotation,
    "a URL": lambda c, v: _env("DATABASE", "postgresql://me:{}@db.example:5432/x")(
        c, quote(v, safe="")
    ),
    "a private key": _env("IDENTITY", _KEY),
}


def _credentials(compiled: Compiled) -> list[Finding]:
    document = Document(Path("p.yaml"), "", compiled.pipeline, compiled.platform)
    return find_credentials(document)[0]


@settings(max_examples=60)
@given(place=st.sampled_from(sorted(PLACES)), value=VALUES)
@example(place="env HF_TOKEN", value="{{$.inputs.parameters")
@example(place="a URL", value="with@and:and/")
def test_whatever_stands_in_the_place_of_a_secret_is_found_and_not_shown(
    place: str, value: str
) -> None:
    pipeline = {"root": {"inputDefinitions": {"parameters": {}}}}
    pipeline["deploymentSpec"] = {"executors": {"exec-train-model": {"container": {}}}}
    pods = {"deploymentSpec": {"executors": {"exec-train-model": {}}}}
    small = Compiled(pipeline, {"platforms": {"kubernetes": pods}})
    PLACES[place](small, value)
    (finding,) = _credentials(small)
    assert value not in repr(finding)
    assert quote(value, safe="") not in repr(finding)


@pytest.mark.parametrize(
    "place", ["a trial", "a URL", "an annotation", "env HF_TOKEN", "parameter apiKey"]
)
def test_neither_form_of_the_output_has_the_value(
    tmp_path: Path, ours: Compiled, place: str
) -> None:
    value = "correct-horse-battery"
    PLACES[place](ours, value)
    # Another finding would quote it: an image that is not pinned.
    ours.container("gate-model")["image"] = f"registry.example/{value}:latest"
    diagnosis = examine(ours.write(tmp_path / "p.yaml"))
    assert {finding.code for finding in diagnosis.findings} & {"P110", "P111"}
    console = Console(record=True, width=500, file=(tmp_path / "out").open("w"))
    show(diagnosis, console)
    console.file.close()
    assert value not in console.export_text() + json.dumps(diagnosis.to_json())


@pytest.mark.parametrize(
    "value",
    ["", "  ", "$(DB_PASSWORD)", "{{$.inputs.parameters['p']}}"],
)
def test_a_reference_is_no_secret(ours: Compiled, value: str) -> None:
    _env("DB_PASSWORD")(ours, value)
    assert not _credentials(ours)


_SAYS = "The name of the Kubernetes Secret with the server's login."


@pytest.mark.parametrize(
    ("value", "description", "found"),
    [
        ("server-login", _SAYS, False),
        ("login.s3", "Name of a Secret in the namespace", False),
        ("server-login", "The secret of the server", True),
        ("server-login", "", True),
        ("Hunter2!hunter2", _SAYS, True),
        ("hf_" + "a1B2" * 9, _SAYS, True),
    ],
)
def test_the_name_of_a_kubernetes_secret_is_no_credential(
    ours: Compiled, value: str, description: str, found: bool
) -> None:
    declared = ours.pipeline["root"]["inputDefinitions"]["parameters"]
    declared["server_secret"] = {
        "parameterType": "STRING",
        "defaultValue": value,
        "description": description,
    }
    assert bool(_credentials(ours)) == found


def test_names_around_secrets_are_no_names_of_secrets() -> None:
    names = (
        "secret_name token_file password_path max_tokens tokenizer compass data_md5 "
        "passes AWS_SHARED_CREDENTIALS_FILE run_id secretKeyRef monkey value"
    )
    assert not [name for name in ("", *names.split()) if names_credential(name)]


def test_a_value_is_hidden_in_every_text() -> None:
    values = {"hunter22", "hunter2222"}
    assert hide("it says hunter2222 and hunter22", values) == "it says ••• and •••"
