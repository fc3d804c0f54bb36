"""What is chosen for which dataset."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seglib.config import Config
from seglib.data.dataset import Dataset, default_class_names, default_palette
from seglib.data.pairs import Pair
from seglib.data.verification.objects import Objects, measure_objects
from seglib.planning.fingerprint import Fingerprint
from seglib.planning.rules import Machine, choose

CPU, GPU = (Machine(device, has_weights=True) for device in ("cpu", "gpu"))


@pytest.fixture
def facts() -> Callable[..., Fingerprint]:
    """Facts as of CamVid, with some of them changed."""

    def build(
        *,
        sizes=((360, 480),),
        class_pixels=((3000, 900, 100),),
        names=(),
        stored=((3, 8),),
        channels=3,
        images=367,
        objects=None,
    ):
        counts = np.array(class_pixels)
        number = counts.shape[1]
        dataset = Dataset(
            root=Path("streets"),
            splits={"train": (Pair("a", Path("a.png"), Path("a.png")),) * images},
            num_classes=number,
            class_names=names or default_class_names(number),
            palette=default_palette(number),
            ignore_index=None,
        )
        return Fingerprint(
            dataset=dataset,
            opened={"train": len(counts)},
            sizes=np.array(sizes),
            class_pixels=counts,
            void_pixels=0,
            channels=channels,
            stored=frozenset(stored),
            objects=objects or {},
        )

    return build


@pytest.mark.parametrize(
    ("recipe", "sizes", "class_pixels", "minutes"),
    [
        ("camvid-cpu", ((360, 480),), ((3296, 30),), 20),
        ("sample", ((240, 320),), ((2970, 115),), 10),
    ],
)
def test_the_plan_of_a_recipes_data_is_the_recipe(
    facts, repository, recipe, sizes, class_pixels, minutes
):
    """So far as the recipes agree: the sample's zoom is one of its own."""
    data = facts(sizes=sizes, class_pixels=class_pixels)
    planned, _ = choose(data, CPU, minutes)
    wanted = Config.load(repository / "configs" / f"{recipe}.yaml")
    for name in ("architecture", "encoder", "weights"):
        assert getattr(planned.model, name) == getattr(wanted.model, name)
    for name in (
        *("crop_height", "crop_width", "batch_size", "learning_rate"),
        *("class_weight_power", "precision", "loss"),
    ):
        assert getattr(planned.train, name) == getattr(wanted.train, name), name


@pytest.mark.parametrize(
    ("size", "image", "view"),
    [
        ((16, 16), (64, 64), (64, 64)),
        ((24, 96), (64, 256), (64, 256)),
        ((128, 200), (128, 200), (128, 200)),
        # 24 megapixels become 448 · 640 = 286,720 pixels: each side times 0.1093.
        ((4000, 6000), (448, 640), (320, 448)),
    ],
)
def test_tiny_images_are_enlarged_and_huge_ones_reduced(facts, size, image, view):
    planned, _ = choose(facts(sizes=(size,)), CPU, 20)
    assert (planned.model.image_height, planned.model.image_width) == image
    assert (planned.train.crop_height, planned.train.crop_width) == view


def with_poles(*, width: int) -> dict[int, Objects]:
    """Objects of a field of class 0 and of one pole of class 1."""
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 20 : 20 + width] = 1
    return measure_objects(mask)


@pytest.mark.parametrize(
    ("width", "image"),
    [
        # Of 2000×3000, 448·640 pixels are 0.2186 of each side: 437×656, rounded to 32.
        (16, (448, 640)),
        # Poles of 4 pixels take 2 at half of each side: a cell of `compact`'s scores.
        # But no side becomes longer than twice 0.2186.
        (4, (864, 1312)),
    ],
)
def test_images_with_thin_objects_are_reduced_less(facts, width, image):
    huge = facts(sizes=((2000, 3000),), objects=with_poles(width=width))
    planned, choices = choose(huge, CPU, 20)
    assert (planned.model.image_height, planned.model.image_width) == image
    told = next(c.reason for c in choices if c.name == "image_height")
    assert ("class_1 is 4 pixels thick" in told) == (width == 4)


def test_thin_objects_take_the_network_with_the_finest_scores(facts):
    thick, thin = (facts(objects=with_poles(width=width)) for width in (4, 2))
    assert choose(thick, CPU, 2)[0].model.architecture == "fpn"
    assert choose(thin, CPU, 2)[0].model.architecture == "compact"


def test_the_size_is_the_median_of_differing_sizes(facts):
    planned, _ = choose(facts(sizes=((200, 300), (300, 200), (320, 310))), CPU, 20)
    assert (planned.model.image_height, planned.model.image_width) == (300, 300)


def test_a_gpu_sees_whole_images_in_larger_batches(facts):
    planned, _ = choose(facts(), GPU, 20)
    assert (planned.train.crop_height, planned.train.crop_width) == (360, 480)
    assert planned.train.batch_size == 16
    assert planned.train.precision == "auto"


@pytest.mark.parametrize(("images", "batch"), [(1, 4), (20, 16), (500, 32)])
def test_small_views_come_in_larger_batches_but_no_image_twice(facts, images, batch):
    planned, _ = choose(facts(sizes=((64, 64),), images=images), CPU, 20)
    assert planned.train.batch_size == batch


def test_without_installed_weights_the_network_learns_from_scratch(facts):
    planned, _ = choose(facts(), Machine("cpu", has_weights=False), 20)
    assert (planned.model.encoder, planned.model.weights) == ("", "")
    assert planned.train.learning_rate == 0.003


@pytest.mark.parametrize(
    ("stored", "has_weights", "channels"),
    [((1, 16), True, 3), ((1, 8), False, 1), ((3, 8), True, 3)],
)
def test_grey_files_are_read_as_colours_for_pretrained_weights(
    facts, stored, has_weights, channels
):
    machine = Machine("cpu", has_weights=has_weights)
    planned, _ = choose(facts(stored=(stored,)), machine, 20)
    assert planned.model.channels == channels


@pytest.mark.parametrize(
    ("class_pixels", "power"),
    [((100, 120), 0.0), ((100, 300), 0.25), ((100, 1000), 0.5), ((100, 0), 0.0)],
)
def test_the_weights_follow_the_imbalance(facts, class_pixels, power):
    planned, _ = choose(facts(class_pixels=(class_pixels,)), CPU, 20)
    assert planned.train.class_weight_power == power


def test_a_class_in_few_images_is_shown_more_often(facts):
    rare = [(100, 100, 0)] * 19 + [(100, 80, 20)]
    planned, choices = choose(facts(class_pixels=rare), CPU, 20)
    assert planned.train.rare_class_views > 0
    (reason,) = (c.reason for c in choices if c.name == "rare_class_views")
    assert reason.startswith("class_2 is in 5.0% of the images")


def test_a_class_with_few_pixels_gets_a_loss_of_overlaps(facts):
    planned, _ = choose(facts(class_pixels=((9995, 5),)), CPU, 20)
    assert planned.train.loss == "cross_entropy + dice"


def test_images_are_not_mirrored_where_classes_have_sides(facts):
    names = ("background", "left_kidney", "right_kidney")
    assert not choose(facts(names=names), CPU, 20)[0].train.flip
    assert choose(facts(), CPU, 20)[0].train.flip
