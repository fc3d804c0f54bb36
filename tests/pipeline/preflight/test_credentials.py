"""A secret is found wherever it stands, and never shown."""

import copy
import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from pipeline.preflight.checks.credentials import find_credentials, hide
from pipeline.preflight.checks.secret_names import names_a_secret
from pipeline.preflight.checkup import examine
from pipeline.preflight.report import show
from tests.pipeline.preflight.compiled import Compiled

Place = Callable[[Compiled, str], None]
# Long enough that no word of a message has it inside.
VALUES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]),
    min_size=8,
    max_size=60,
).filter(lambda text: len(set(text)) > 5)
LETTERS = st.text(string.ascii_letters + string.digits + "!$%&*+-_=~", min_size=8)


def _env(name: str) -> Place:
    def put(compiled: Compiled, value: str) -> None:
        entry = {"name": name, "value": value}
        compiled.container("train-model").setdefault("env", []).append(entry)

    return put


def _default(name: str) -> Place:
    def put(compiled: Compiled, value: str) -> None:
        declared = compiled.pipeline["root"]["inputDefinitions"]["parameters"]
        declared[name] = {"parameterType": "STRING", "defaultValue": value}

    return put


def _component_default(compiled: Compiled, value: str) -> None:
    component = compiled.pipeline["components"]["comp-gate-model"]
    component["inputDefinitions"]["parameters"]["api_key"] = {
        "parameterType": "STRING",
        "defaultValue": value,
        "isOptional": True,
    }


def _constant(compiled: Compiled, value: str) -> None:
    body = compiled.pipeline["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    body["gate-model"]["inputs"]["parameters"]["auth_token"] = {
        "runtimeValue": {"constant": value}
    }


def _in_a_dict(compiled: Compiled, value: str) -> None:
    declared = compiled.pipeline["root"]["inputDefinitions"]["parameters"]
    declared["database"] = {
        "parameterType": "STRUCT",
        "defaultValue": {"server": {"password": value}},
    }


def _next_argument(compiled: Compiled, value: str) -> None:
    compiled.container("train-model")["args"] += ["--db-password", value]


def _argument(compiled: Compiled, value: str) -> None:
    compiled.container("train-model")["args"].append(f"--client-secret={value}")


def _annotation(compiled: Compiled, value: str) -> None:
    pod = compiled.pods["exec-train-model"]
    pod["podMetadata"] = {"annotations": {"example.org/password": value}}


def _url(compiled: Compiled, value: str) -> None:
    text = f"postgresql://me:{quote(value, safe='')}@db.example:5432/x"
    compiled.container("train-model")["command"][-1] += f"# {text}\n"


def _key(compiled: Compiled, value: str) -> None:
    key = f"-----BEGIN PRIVATE KEY-----\n{value}\n-----END PRIVATE KEY-----\n"
    compiled.container("train-model")["args"].append(key)


SECRET_NAMES = [
    "MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID",
    "AWS_SESSION_TOKEN", "HF_TOKEN", "apiKey", "PGPASSWORD",
    "secretValue", "DB_PASS", "azure_storage_account_key",
]  # fmt: skip
PLACES: dict[str, Place] = {
    **{f"env {name}": _env(name) for name in SECRET_NAMES},
    **{f"parameter {name}": _default(name) for name in SECRET_NAMES},
    "a component's default": _component_default,
    "a constant": _constant,
    "a dict": _in_a_dict,
    "an option's value": _next_argument,
    "an option": _argument,
    "an annotation": _annotation,
    "a URL": _url,
    "a private key": _key,
}


@settings(max_examples=60)
@given(place=st.sampled_from(sorted(PLACES)), value=VALUES)
@example(place="env HF_TOKEN", value="{{$.inputs.parameters")
@example(place="an option", value="a=b=c d\te")
@example(place="a URL", value="with@and:and/")
def test_whatever_stands_in_the_place_of_a_secret_is_found_and_not_shown(
    compiled: Compiled, place: str, value: str
) -> None:
    broken = copy.deepcopy(compiled)
    PLACES[place](broken, value)
    credentials = find_credentials((broken.pipeline, broken.platform))
    assert len(credentials.findings) == 1
    shown = repr(credentials.findings)
    assert value not in shown
    assert quote(value, safe="") not in shown


@pytest.mark.parametrize("place", sorted(PLACES))
def test_neither_form_of_the_output_has_the_value(
    tmp_path: Path, ours: Compiled, place: str
) -> None:
    value = "correct-horse-battery"
    PLACES[place](ours, value)
    # Another finding would like to quote it: an image that is not pinned.
    ours.container("gate-model")["image"] = f"registry.example/{value}:latest"
    path = ours.write(tmp_path / "p.yaml")
    diagnosis = examine(path)
    assert {finding.code for finding in diagnosis.findings} & {
        "P110", "P111", "P113"
    }  # fmt: skip
    console = Console(record=True, width=500, file=(tmp_path / "out").open("w"))
    show(diagnosis, console)
    console.file.close()
    text = console.export_text() + json.dumps(diagnosis.to_json())
    if place != "a private key":  # of which the value is a part
        assert value not in text
    assert "battery-" not in text


@settings(max_examples=40)
@given(name=st.sampled_from(SECRET_NAMES), value=LETTERS)
def test_a_value_in_a_shell_script_is_found(
    compiled: Compiled, name: str, value: str
) -> None:
    broken = copy.deepcopy(compiled)
    broken.container("train-model")["command"][-1] += f'\n{name}="x{value}x"\n'
    assert [f.code for f in find_credentials((broken.pipeline,)).findings] == ["P110"]


@pytest.mark.parametrize(
    "text",
    [
        'password = os.environ["DB_PASSWORD"]',
        'connect(password=password, token=settings.token)',
        'def login(user: str, password: str = "", token: Optional[str] = None):',
        'SECRET = "MLFLOW_TRACKING_PASSWORD"',
        'url = f"postgres://{user}:{password}@{host}/db"',
        'export DB_PASSWORD=$(cat /run/secrets/db) TOKEN="${TOKEN}"',
        "http://registry:5000/image@sha256:abc",
        "s3://bucket/prefix and https://example.org/a:b",
        'max_tokens = 512; tokenizer = "bert-base"; secret_name = "seglib-s3"',
    ],
)  # fmt: skip
def test_code_that_takes_secrets_from_elsewhere_is_left_alone(
    ours: Compiled, text: str
) -> None:
    ours.container("train-model")["command"][-1] += f"\n{text}\n"
    assert find_credentials((ours.pipeline,)).findings == ()


@pytest.mark.parametrize(
    "value",
    ["", "  ", "$(DB_PASSWORD)", "{{$.inputs.parameters['p']}}"],
)
def test_a_reference_is_no_secret(ours: Compiled, value: str) -> None:
    _env("DB_PASSWORD")(ours, value)
    assert find_credentials((ours.pipeline,)).findings == ()


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
    assert bool(find_credentials((ours.pipeline,)).findings) == found


@pytest.mark.parametrize(
    "name",
    [
        "secret_name", "token_file", "password_path", "max_tokens", "tokenizer",
        "key", "primary_key", "sort_key", "compass", "data_md5", "passes",
        "AWS_SHARED_CREDENTIALS_FILE", "run_id", "secretKeyRef",
        "pad_token", "eos_token", "first_pass", "access_id", "value", "",
    ],
)  # fmt: skip
def test_names_around_secrets_are_no_names_of_secrets(name: str) -> None:
    assert not names_a_secret(name)


def test_a_value_is_hidden_in_whatever_is_said() -> None:
    values: Any = {"hunter22", "hunter2222"}
    assert hide("it says hunter2222 and hunter22", values) == "it says ••• and •••"
