"""What pods need, read from YAML: the defaults, what a file changes, and mistakes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.dag.cluster_config import (
    STEPS,
    Cache,
    ClusterConfig,
    Security,
    StepResources,
    Toleration,
)
from seglib.errors import UsageError

Load = Callable[[str], ClusterConfig]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str) -> ClusterConfig:
        path = tmp_path / "cluster.yaml"
        path.write_text(text, encoding="utf-8")
        return ClusterConfig.load(path)

    return load


def test_the_file_that_is_shipped_says_the_defaults_and_all_of_them(
    repository: Path,
) -> None:
    path = repository / "configs" / "cluster.yaml"
    assert ClusterConfig.load(path) == ClusterConfig()
    text = path.read_text(encoding="utf-8")
    for settings in (ClusterConfig, StepResources, Security, Cache):
        for name in settings.__dataclass_fields__:
            assert f"\n{name}:" in text or f"  {name}:" in text, name


def test_the_file_is_read_where_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ClusterConfig.load() == ClusterConfig()
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/cluster.yaml").write_text("namespace: vision")
    assert ClusterConfig.load().namespace == "vision"


def test_a_step_takes_its_own_word_then_ours_then_that_of_defaults(load: Load) -> None:
    steps = load(
        "defaults: {memory_limit: 6Gi, cpu_limit: 3}\n"
        "steps: {train: {memory_limit: 32Gi, gpus: 2}}"
    ).steps
    assert steps["verify"].memory_limit == "6Gi"
    assert (steps["train"].memory_limit, steps["train"].gpus) == ("32Gi", 2)
    assert steps["verify"].cpu_limit == "3"
    assert steps["train"].cpu_limit == ClusterConfig().steps["train"].cpu_limit == "8"
    assert tuple(steps) == STEPS


def test_lists_and_mappings_replace_those_of_defaults(load: Load) -> None:
    config = load(
        "defaults: {node_selector: {disk: ssd}, tolerations: [{key: spot}]}\n"
        "steps:\n"
        "  train:\n"
        "    node_selector: {accelerator: l4}\n"
        "    tolerations: [{operator: Exists, effect: NoSchedule}]\n"
        "secrets: []"
    )
    train = config.steps["train"]
    assert train.node_selector == {"accelerator": "l4"}
    assert train.tolerations == (Toleration(operator="Exists", effect="NoSchedule"),)
    assert config.steps["gate"].node_selector == {"disk": "ssd"}
    assert config.secrets == ()


def test_variables_have_their_keys_name_or_another(load: Load) -> None:
    config = load("secrets: [{name: s, keys: [A], variables: {B: b.txt}}]")
    assert config.secrets[0].environment == {"A": "A", "B": "b.txt"}


def test_an_option_of_the_command_line_changes_one_step() -> None:
    config = ClusterConfig().with_step("train", gpus=1)
    assert config.steps["train"] == replace(ClusterConfig().steps["train"], gpus=1)
    assert config.steps["gate"] == ClusterConfig().steps["gate"]
    with pytest.raises(UsageError, match="step train: `gpus` must be ≥ 0"):
        config.with_step("train", gpus=-1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stpes: {}", "Unknown key: `stpes`. Did you mean `steps`?"),
        ("- train", "expected keys such as `steps:`"),
        ("steps: [train]", "`steps` must be a section"),
        ("steps: {trian: {}}", "Unknown step: `trian`. Did you mean `train`?"),
        ("steps: {train: 3}", "`steps.train` must be a section. Received: 3"),
        ("steps: {train: {gpu: 1}}", "`steps.train`: `gpu`. Did you mean `gpus`?"),
        ("defaults: {memory: 1Gi}", "`memory`. Did you mean `memory_"),
        ("steps: {train: {gpus: one}}", "`steps.train.gpus` must be of type int"),
        ("steps: {train: {gpus: true}}", "`steps.train.gpus` must be of type int"),
        ("steps: {train: {gpus: -1}}", "`steps.train.gpus` must be ≥ 0"),
        ("steps: {train: {gpu_type: a b}}", "such as nvidia.com/gpu"),
        ("steps: {gate: {timeout: 3600}}", "steps.gate: `timeout` must be a duration"),
        ("steps: {gate: {timeout: 0s}}", "`timeout` must be more than 0"),
        ("steps: {gate: {retry_delay: soon}}", "`retry_delay` must be a duration"),
        ("steps: {gate: {retries: -1}}", "`steps.gate.retries` must be ≥ 0"),
        ("steps: {gate: {cpu_limit: two}}", "steps.gate: `cpu_limit` must be cores"),
        ("steps: {gate: {shm: 8Gi}}", "`shm` must be at most `memory_limit`, 4Gi"),
        ("defaults: {memory_limit: 8GB}", "defaults: `memory_limit` must be a quan"),
        ("defaults: {memory_limit: 8GB}", 'Did you mean "8Gi"?'),
        ("defaults: {cpu_limit: 500m}", "`cpu_request` must be at most `cpu_limit`"),
        ("defaults: {ephemeral_storage: 1TB}", 'Did you mean "1Ti"?'),
        ("defaults: {node_selector: {gpu: yes}}", 'Put it in quotes: "true"'),
        ("defaults: {node_selector: {a: b/c}}", "a node's `label: value`"),
        ("defaults: {node_selector: [a]}", "must be of type mapping"),
        ("defaults: {tolerations: {}}", "`defaults.tolerations` must be of type list"),
        (
            "defaults: {tolerations: [{key: a, effect: NoShedule}]}",
            "defaults.tolerations[0]: Unknown effect: `NoShedule`. Did you mean `NoSch",
        ),
        ("defaults: {tolerations: [{effect: NoSchedule}]}", "needs a `key`"),
        (
            "defaults: {tolerations: [{key: a, operator: Exists, value: b}]}",
            "the operator Exists has no `value`",
        ),
        ("defaults: {tolerations: [{keys: a}]}", "Did you mean `key`?"),
        ("namespace: Kube_Flow", "`namespace` must be the name of a Kubernetes obj"),
        ("service_account: ''", "`service_account` must be the name"),
        ("image_pull_policy: IfNotPresnt", "Did you mean `IfNotPresent`?"),
        ("image_pull_secrets: registry", "`image_pull_secrets` must be of type list"),
        ("image_pull_secrets: [a/b]", "`image_pull_secrets` must be the name"),
        ("cache: {claim: my_claim}", "cache: `claim` must be the name"),
        ("cache: {mount_path: cache}", "cache: `mount_path` must be an absolute path"),
        ("security: {run_as_user: 0}", "`run_as_user` must be > 0 with run_as_non_"),
        ("security: {run_as_group: -1}", "`security.run_as_group` must be ≥ 0"),
        ("environment: {A-B: x}", "`environment` must be names of variables"),
        (
            "environment: {A: 1}",
            "`environment.A` must be of type str. Received: 1. Put",
        ),
        ("environment: {SEGLIB_CACHE: /a}", "`SEGLIB_CACHE` has two origins"),
        ("environment: {AWS_ENDPOINT_URL: http://a}", "`AWS_ENDPOINT_URL` has two"),
        ("secrets: [{keys: [A]}]", "secrets[0]: `name` must be the name"),
    ],
)
def test_a_mistake_names_file_and_key(load: Load, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(text)
    assert "cluster.yaml: " in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "environment: {AWS_SECRET_ACCESS_KEY: c4n4ry/value}",
        "environment: {DB: 'postgresql://seglib:c4n4ry@host/db'}",
        "environment: {GITHUB_TOKEN: c4n4ry}",
        "secrets: [{name: s, variables: {AWS_SECRET_ACCESS_KEY: c4n4ry/+=}}]",
        "secrets: [{name: s, keys: [c4n4ry/+=]}]",
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_and_not_repeated(
    load: Load, text: str
) -> None:
    with pytest.raises(UsageError, match="cluster.yaml") as caught:
        load(text)
    assert "c4n4ry" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none.yaml: cannot be read"):
        ClusterConfig.load(tmp_path / "none.yaml")
