"""What a sweep tries, and the document that tries it."""

import json
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from typer.testing import CliRunner

from pipeline.__main__ import app
from pipeline.dag.sweep import plan_sweep
from seglib.errors import UsageError

IMAGE = f"registry.example/seglib@sha256:{'b2' * 32}"


def test_all_combinations_are_tried_and_the_rest_is_shared() -> None:
    changes = ["learning_rate=0.001, 0.003", "architecture=unet,compact", "epochs=5"]
    config, sweep = plan_sweep(None, changes)
    assert config.train.epochs == 5
    assert sweep.trials == (
        {"learning_rate": 0.001, "architecture": "unet"},
        {"learning_rate": 0.001, "architecture": "compact"},
        {"learning_rate": 0.003, "architecture": "unet"},
        {"learning_rate": 0.003, "architecture": "compact"},
    )
    first = '{"architecture": "unet", "learning_rate": 0.001}'
    assert sweep.parameters["trials"][0] == first
    assert sweep.parameters["swept"] == "architecture,learning_rate"


def test_values_keep_their_type_and_equal_ones_are_one() -> None:
    _, sweep = plan_sweep(None, ["batch_size=4,8,8", "flip=true,false"])
    assert json.loads(sweep.parameters["trials"][0]) == {"batch_size": 4, "flip": True}
    assert len(sweep.trials) == 4


def test_names_of_classes_are_no_values_to_try() -> None:
    config, _ = plan_sweep(None, ["class_names=sky,road", "epochs=1,2"])
    assert config.data.class_names == "sky,road"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["epochs=3"], "Nothing to try"),
        (["learning_rat=1,2"], "Did you mean `learning_rate`?"),
        (["policy=street,none"], "`policy` cannot be tried with several values"),
        (["epochs=1,many"], "`train.epochs` must be of type int"),
        (["image_height=48,64"], "`image_height` and `image_width` go together"),
    ],
)
def test_what_cannot_be_tried_is_refused_before_anything_runs(
    changes: list[str], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        plan_sweep(None, changes)
    assert message in str(caught.value)


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    path = tmp_path_factory.mktemp("sweep") / "sweep.yaml"
    command = ["sweep", "--set", "learning_rate=0.001,0.003", "--set", "epochs=7"]
    command += ["--parallel", "3", "-o", str(path), "--image", IMAGE, "--gpus", "1"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    return list(yaml.load_all(path.read_text(), yaml.CSafeLoader))


def test_a_sweeps_document_repeats_the_training_and_nothing_else(
    documents: list[dict[str, Any]],
) -> None:
    spec, platform = documents
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    assert spec["pipelineInfo"]["name"] == "segmentation-sweep"
    body = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    assert body.keys() == {
        *("verify-data", "augment-data", "for-loop-2", "select-model"),
        *("evaluate-model", "gate-model", "condition-3"),
    }
    loop = body["for-loop-2"]
    assert loop["iteratorPolicy"]["parallelismLimit"] == 3
    # To older servers a loop with a name of its own has no outputs.
    assert loop["taskInfo"]["name"] == "for-loop-2"
    inside = spec["components"]["comp-for-loop-2"]["dag"]["tasks"]
    assert list(inside) == ["train-model"]
    chosen = body["evaluate-model"]["inputs"]["artifacts"]["model"]
    assert chosen["taskOutputArtifact"]["producerTask"] == "select-model"
    assert body["select-model"]["cachingOptions"] == {}
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert len(pods) == 8
    assert pods["exec-train-model"]["activeDeadlineSeconds"] == "86400"


def test_a_sweeps_document_can_be_submitted_with_other_trials(
    documents: list[dict[str, Any]],
) -> None:
    parameters = documents[0]["root"]["inputDefinitions"]["parameters"]
    assert parameters["trials"]["defaultValue"] == [
        '{"learning_rate": 0.001}',
        '{"learning_rate": 0.003}',
    ]
    assert parameters["swept"]["defaultValue"] == "learning_rate"
    assert parameters["epochs"]["defaultValue"] == 7
    assert all(parameter["description"] for parameter in parameters.values())
