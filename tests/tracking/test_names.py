"""Names of users in the characters and lengths that MLflow takes, by its own checks."""

import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name, _validate_model_name

from seglib.tracking.names import dataset_name, key

IMAGE_KEY = re.compile(r"^[a-zA-Z0-9_\-./ ]+$")  # as MlflowClient.log_image has it
names = st.text(max_size=12) | st.text("./: _é道😀'\"\n", max_size=4)


@settings(deadline=None)
@given(names)
@example("x" * 300)
@example("..")
@example("")
@example("\udcff")
def test_mlflow_takes_every_name(name: str) -> None:
    metric = f"iou/{key(name)}"
    _validate_metric_name(metric)
    assert len(metric) <= 250
    assert IMAGE_KEY.match(f"overlays/{key(name, only_ascii=True)}")
    model = dataset_name({"remote": None, "root": f"/data/{name}"})
    _validate_model_name(model)
    assert len(model) <= 255
    assert not {"'", '"'} & set(model), "it is quoted when it is searched for"


@settings(deadline=None)
@given(names, names)
@example("road (wet)", "road [wet]")
@example("дорога", "тротуар")
@example("道路", "道")
@example("😀", "😃")
@example("Streets", "streets")
@example("x" * 300, "x" * 299)
@example("a/b", "a_b")
@example(".", "..")
def test_distinct_names_stay_distinct(one: str, other: str) -> None:
    same = unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)
    assert (key(one) == key(other)) == same
    assert (key(one, only_ascii=True) == key(other, only_ascii=True)) == same


@pytest.mark.parametrize(
    "name", ["road", "street sign", "v1.2-b_c", "дорога", "道路", "été", "x" * 240]
)
def test_a_valid_name_is_not_changed(name: str) -> None:
    assert key(name) == name
    assert dataset_name({"remote": f"s3://bucket/{name}", "root": ""}) == name
