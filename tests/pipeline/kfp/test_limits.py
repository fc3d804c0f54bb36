"""What is sent fits into the tables of Kubeflow Pipelines."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.ci.run_report import described
from pipeline.dag.document import Document, read_document
from pipeline.dag.inputs import find_settings
from pipeline.kfp.connection import KfpServer
from pipeline.kfp.objects import fitted
from pipeline.kfp.order import Order
from pipeline.kfp.schedule_file import Schedule
from pipeline.kfp.schedules import Wanted, apply, existing_schedules, plan
from pipeline.kfp.submission import submit
from seglib.errors import SegError
from tests.fakes.kfp_api import KfpApi
from tests.pipeline.kfp.conftest import IMAGE

DIGEST = "sha256:" + "ab" * 32
REGISTRIES = [
    f"{host}/machine-learning/segmentation/seglib@{DIGEST}"
    for host in (
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
        "europe-west3-docker.pkg.dev/a-project-of-ours-4711",
        f"registry.example:5000{'/long-name' * 24}",
    )
]
COMMIT = "0123456789" * 4 + "-dirty"


@pytest.fixture
def ordered(document: Document, order: Order, tmp_path: Path) -> Callable[[str], Order]:
    """An order of a pipeline that is compiled for another image."""

    def make(image: str) -> Order:
        path = tmp_path / "pipeline.yaml"
        path.write_text(document.text.replace(IMAGE, image))
        return replace(order, document=read_document(path), commit=COMMIT)

    return make


@pytest.mark.parametrize("image", REGISTRIES)
def test_a_run_of_an_image_with_a_long_name_is_made_and_listed(
    api: KfpApi, cluster: KfpServer, ordered: Callable[[str], Order], image: str
) -> None:
    order = ordered(image)
    done = submit(cluster, order)
    assert not api.ghosts
    assert described(done.run) == {
        **order.facts,
        "image": described(done.run)["image"],
    }
    assert described(done.run)["image"].endswith(f"seglib@{DIGEST}")
    assert not submit(cluster, order).new, "the same run is found"


@pytest.mark.parametrize("image", REGISTRIES)
def test_a_schedule_with_the_longest_names_is_made_and_found(
    api: KfpApi, cluster: KfpServer, ordered: Callable[[str], Order], image: str
) -> None:
    wanted = Wanted(
        group="g" * 40,
        name="n" * 40,
        schedule=Schedule(every="1d"),
        order=ordered(image),
        experiment="",
    )
    apply(cluster, plan([wanted], []))
    assert not api.ghosts
    (made,) = existing_schedules(cluster, wanted.group)
    assert (made.name, made.content) == (wanted.name, wanted.content)
    (body,) = api.recurring_runs.values()
    assert body["description"].endswith(DIGEST)


def test_a_text_that_is_too_long_is_cut_at_the_front_of_the_last_value() -> None:
    lines = {"a": "1", "b": "abcdef"}
    assert fitted(lines, width=14) == "a: 1\nb: abcdef"
    assert fitted(lines, width=13) == "a: 1\nb: ...ef"


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        ("x" * 256, "experiment's display name to have at most 255.*Received: 256"),
        ("ä" * 256, "at most 255 characters.*Received: 256 characters"),
        ("streets 🚗", r"experiment's display name without the character U\+1F697"),
    ],
)
def test_an_experiments_name_that_does_not_fit_is_refused(
    api: KfpApi, cluster: KfpServer, order: Order, experiment: str, message: str
) -> None:
    with pytest.raises(SegError, match=message):
        submit(cluster, order, experiment=experiment)
    assert not api.experiments
    assert not api.pipelines


def test_a_pipelines_name_that_makes_too_long_a_versions_name_is_refused(
    api: KfpApi, cluster: KfpServer, document: Document, order: Order, tmp_path: Path
) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text(
        document.text.replace("name: segmentation-training", f"name: {'p' * 120}")
    )
    with pytest.raises(SegError, match="version's name .* at most 127.*Received: 133"):
        submit(cluster, replace(order, document=read_document(path)))
    assert not api.pipelines


def test_characters_are_counted_and_not_bytes(
    api: KfpApi, cluster: KfpServer, order: Order
) -> None:
    submit(cluster, order, experiment="道" * 255)
    (made,) = api.experiments.values()
    assert made["display_name"] == "道" * 255


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("ä" * 40_000, "at most 65,535 bytes together.*class_names has 80,002"),
        ("road,🚗", r"`class_names` without the character U\+1F697"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(
    api: KfpApi, cluster: KfpServer, order: Order, classes: str, message: str
) -> None:
    order = replace(order, config=find_settings(None, [f"class_names={classes}"]))
    with pytest.raises(SegError, match=message):
        submit(cluster, order)
    assert not api.runs
    assert not api.ghosts
