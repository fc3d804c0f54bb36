"""Windows, tiles, test-time augmentation and ensembles against the plain model."""

import dataclasses
import itertools
import re
import subprocess
import sys
import tracemalloc

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from seglib.data.image_io import read_mask, write_image
from seglib.data.pairs import Pair
from seglib.errors import SegError, UsageError
from seglib.evaluation.scoring import score_pairs
from seglib.inference.predictor import Predictor
from seglib.inference.windows import spans
from seglib.models import build_custom, build_model
from seglib.models.model import SegmentationModel

SIZE = (32, 48)
IMAGE = np.random.default_rng(0).integers(0, 256, (101, 150, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def pointwise():
    """A network whose answer at a pixel depends on that pixel alone."""
    return _pointwise(SIZE)


def _pointwise(size):
    image = keras.Input((None, None, 3), name="image")
    scaled = keras.layers.Rescaling(1 / 64)(image)
    keras.utils.set_random_seed(1)
    logits = keras.layers.Conv2D(5, 1)(scaled)
    return build_custom(image, logits, image_size=size)


@given(
    length=st.integers(1, 300),
    window=st.integers(1, 200),
    overlap=st.floats(0, 0.9),
)
@settings(max_examples=200)
def test_windows_cover_an_axis_and_their_weights_sum_to_one(length, window, overlap):
    found = spans(length, window, overlap)
    total = np.zeros(length)
    for span in found:
        assert span.before + (span.stop - span.start) + span.after == window
        total[span.start : span.stop] += span.weights
    assert total == pytest.approx(1, abs=1e-6)
    for one, two in itertools.pairwise(found):
        assert one.stop - two.start >= int(window * overlap)


@pytest.mark.parametrize("overlap", [0, 0.25, 0.7])
def test_tiles_of_a_pointwise_network_agree_with_the_whole_image(pointwise, overlap):
    whole = _pointwise(IMAGE.shape[:2])
    whole.network.set_weights(pointwise.network.get_weights())
    tiled = Predictor(pointwise, tile=True, overlap=overlap)
    answer = tiled.answer(IMAGE)
    assert (answer.prediction == whole.predict(IMAGE)).all()
    assert (tiled.predict(IMAGE) == answer.prediction).all()
    probabilities = whole.predict_probabilities(IMAGE)
    assert answer.probability == pytest.approx(probabilities.max(-1), abs=1e-5)
    logarithms = np.log(probabilities)
    assert answer.entropy == pytest.approx(
        -(probabilities * logarithms).sum(-1), abs=1e-5
    )


def test_the_memory_of_tiles_is_that_of_a_row_of_them():
    image = np.zeros((2000, 1200, 3), np.uint8)
    predictor = Predictor(_pointwise((96, 144)), tile=True)
    predictor.predict(image[:200])  # compiles
    tracemalloc.start()
    predictor.predict(image)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2000 * 1200 * 5 * 4 / 2  # half of the probabilities of all pixels


LARGE = (4500, 6000)
PEAK = """
import resource, sys
from seglib.cli.main import main
try:
    main()
finally:
    print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_a_u_net_predicts_27_megapixels_of_19_classes_in_two_gigabytes(tmp_path):
    """The probabilities of all pixels alone would take 2.1 GB."""
    model = build_model("unet", num_classes=19, image_size=(512, 512))
    folder = model.save(tmp_path / "model")
    coarse = np.random.default_rng(0).integers(0, 256, (45, 60, 3), np.uint8)
    photo = Image.fromarray(coarse).resize(LARGE[::-1], Image.Resampling.BILINEAR)
    photo.save(tmp_path / "photo.jpg")
    words = [folder, tmp_path / "photo.jpg", "--tile", "--out", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-c", PEAK, "predict", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert read_mask(tmp_path / "out" / "ids" / "photo.png").shape == LARGE
    (peak,) = re.findall(r"PEAK (\d+)", done.stdout)  # KiB
    assert int(peak) * 1024 < 2e9


def test_flips_do_not_change_a_pointwise_network(pointwise):
    plain = Predictor(pointwise, tile=True).answer(IMAGE)
    flipped = Predictor(pointwise, tile=True, tta="flip").answer(IMAGE)
    assert flipped.probability == pytest.approx(plain.probability, abs=1e-5)


def test_the_plain_prediction_is_the_models_own(pointwise):
    predictor = Predictor(pointwise, tile=False)
    assert predictor.batch_size(IMAGE.shape) > 1
    assert (predictor.predict(IMAGE) == pointwise.predict(IMAGE)).all()
    assert (predictor.answer(IMAGE).prediction == pointwise.predict(IMAGE)).all()


def test_a_flip_is_averaged_with_the_image_as_it_is():
    model = build_model("compact_small", num_classes=3, image_size=SIZE)
    mirrored = model.predict_probabilities(np.ascontiguousarray(IMAGE[:, ::-1]))
    mean = (model.predict_probabilities(IMAGE) + mirrored[:, ::-1]) / 2
    answer = Predictor(model, tta=["flip"], tile=False).answer(IMAGE)
    assert answer.probability == pytest.approx(mean.max(-1), abs=1e-5)


def test_an_ensemble_is_the_mean_of_its_models_probabilities():
    models = [
        build_model("compact_small", num_classes=3, image_size=size)
        for size in (SIZE, (64, 64))
    ]
    mean = sum(model.predict_probabilities(IMAGE) for model in models) / 2
    answer = Predictor(models, tile=False).answer(IMAGE)
    assert answer.probability == pytest.approx(mean.max(-1), abs=1e-5)
    assert (answer.prediction == mean.argmax(-1)).mean() > 0.999  # but for ties


def test_models_of_other_classes_are_no_ensemble(pointwise):
    names = ("a", "b", "c", "d", "e")
    contract = dataclasses.replace(pointwise.contract, class_names=names)
    other = SegmentationModel(pointwise.network, contract)
    with pytest.raises(UsageError, match=r"same classes\. Received: .*model 2: a, b"):
        Predictor([pointwise, other])


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (31, 49)])
@pytest.mark.parametrize(
    "options", [{}, {"tile": True}, {"tile": True, "tta": "flip,0.5,2"}, {"tta": "1.5"}]
)
def test_images_of_any_size_are_taken(pointwise, size, options):
    image = np.zeros((*size, 3), np.uint8)
    assert Predictor(pointwise, **options).predict(image).shape == size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlap": 1.0}, "`overlap` must be a share of a tile, 0 … 0.9"),
        ({"tta": "flop"}, "expects `flip` and scales from 0.25 to 4.0.*flop"),
        ({"tta": "flip,9"}, "Received: 9"),
        ({"tta": ["nan"]}, "Received: nan"),
    ],
)
def test_settings_out_of_their_range_are_refused(pointwise, options, message):
    with pytest.raises(UsageError, match=message):
        Predictor(pointwise, **options)


SIDES = st.integers(1, 90)


def test_an_image_of_any_size_and_mode_is_answered_alike_alone_and_in_a_batch(
    pointwise,
):
    @given(SIDES, SIDES, st.sampled_from(["RGB", "L", "RGBA", "P"]), st.integers(0, 9))
    @settings(max_examples=12, deadline=None)
    def check(height, width, mode, seed):
        rng = np.random.default_rng(seed)
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        picture = Image.fromarray(pixels).convert(mode)
        image = np.asarray(picture.convert("RGB"))
        ids = pointwise.predict(picture)
        assert (ids.shape, ids.dtype) == ((height, width), np.uint8)
        logits = pointwise.predict_logits(image)
        assert np.isfinite(logits).all()
        assert (ids == logits.argmax(-1)).all()
        both = pointwise.predict_batch(np.stack([image, image[::-1]]))
        assert (both[0] == ids).all()
        assert (Predictor(pointwise, tile=False).predict(image) == ids).all()

    check()


DTYPES = ["bool", "int8", "uint16", "int64", "float16", "float32", "float64", "U3"]


@given(
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 9), min_size=1, max_size=5),
)
def test_an_array_that_is_no_image_is_told(pointwise, dtype, shape):
    with pytest.raises(SegError, match=r"must be uint8 \(height, width, 3\)"):
        pointwise.predict(np.zeros(shape, dtype))
    if len(shape) != 3 or shape[2] != 3 or 0 in shape:
        with pytest.raises(SegError, match=r"must be uint8 \(height, width, 3\)"):
            pointwise.predict(np.zeros(shape, np.uint8))


def test_an_evaluation_depends_on_neither_order_nor_batches_at_any_size_and_dtype(
    pointwise, tmp_path
):
    classes = pointwise.contract.num_classes

    @given(
        st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=4),
        st.sampled_from([np.uint8, np.uint16]),
        st.integers(1, 3),
    )
    @settings(max_examples=8, deadline=None)
    def check(sizes, dtype, batch_size):
        rng = np.random.default_rng(len(sizes))
        pairs, expected = [], np.zeros((classes, classes), np.int64)
        for name, size in enumerate(sizes):
            image, mask = (tmp_path / f"{name}{end}.png" for end in ("", "_mask"))
            write_image(image, rng.integers(0, 256, (*size, 3), np.uint8))
            ids = rng.integers(0, classes, size).astype(dtype)
            write_image(mask, ids)
            pairs.append(Pair(str(name), image, mask))
            cells = ids.astype(int) * classes + pointwise.predict(image)
            counts = np.bincount(cells.ravel(), minlength=classes**2)
            expected += counts.reshape(classes, classes)
        for order in (pairs, pairs[::-1]):
            scored = list(score_pairs(pointwise, order, batch_size=batch_size))
            assert [one.stem for one in scored] == [pair.stem for pair in order]
            assert (sum(one.confusion for one in scored) == expected).all()

    check()
