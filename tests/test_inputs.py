"""Several input images a sample: a photograph and, here, the depth of its pixels."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from seglib.cli.main import app
from seglib.config import AugmentConfig, ExportConfig, TrainConfig
from seglib.data.image_io import read_image, read_mask, write_image
from seglib.data.manifest import open_dataset
from seglib.data.pairs import read_pair
from seglib.data.shards import ShardSource
from seglib.data.verification.loading import load_dataset
from seglib.data.verification.verifier import verify
from seglib.data.views import RandomView
from seglib.errors import DatasetError, SegError, UsageError
from seglib.exports.exported import FORMATS, ExportedModel
from seglib.models import ENCODERS, build_custom, build_model
from seglib.models.contract import Contract
from seglib.models.encoders.encoder import CAFFE
from seglib.models.model import load_model
from seglib.steps.augment import augment
from seglib.steps.evaluate import evaluate
from seglib.steps.export import export
from seglib.steps.predict import predict
from seglib.steps.train import train
from seglib.steps.verify import write_verification

SIZE = (48, 64)
RGBD = {"image": 3, "depth": 1}


@pytest.fixture
def root(tmp_path):
    """Noise, in whose depth alone a near box can be seen."""
    draw = np.random.default_rng(0)
    for split, count in {"train": 12, "val": 4}.items():
        for index in range(count):
            mask = np.zeros(SIZE, np.uint8)
            row, column = draw.integers(2, 20), draw.integers(2, 30)
            mask[row : row + 24, column : column + 30] = 1
            image = draw.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
            depth = (200 - 120 * mask + draw.integers(0, 30, SIZE)).astype(np.uint8)
            for folder, pixels in (
                ("images", image),
                ("depth", depth[..., None]),
                ("segmentation", mask),
            ):
                path = tmp_path / "data" / f"{split}_{folder}" / f"{index}.png"
                write_image(path, pixels)
    description = tmp_path / "data" / "dataset.yaml"
    description.write_text("class_names: [far, near]\ninputs: {depth: 1}\n")
    return tmp_path / "data"


def _model(**options):
    return build_model("compact_small", num_classes=2, image_size=SIZE, **options)


def _sample(root, index=0):
    return [root / f"val_{name}" / f"{index}.png" for name in ("images", "depth")]


def test_the_further_input_is_what_is_learnt_from(root, tmp_path):
    data = load_dataset(root)
    config = TrainConfig(epochs=25, batch_size=4, learning_rate=0.01, min_scale=0.9)
    model = _model(others=data.others)
    train(model, data, config=config, out=tmp_path / "model")
    assert evaluate(model, data, out=tmp_path / "evaluation").miou > 0.85
    assert "near" in (tmp_path / "evaluation" / "report.html").read_text()
    again = load_model(tmp_path / "model")
    assert again.contract.inputs == RGBD
    truth = read_mask(root / "val_segmentation" / "0.png")
    assert (again.predict(_sample(root)) == truth).mean() > 0.9
    # With the same depth everywhere the box, a quarter of the image, is not seen.
    image = read_image(_sample(root)[0])
    blind = again.predict([image, np.full((*SIZE, 1), 150, np.uint8)]) > 0
    assert (blind & (truth > 0)).sum() < 0.35 * (blind | (truth > 0)).sum()


def test_verification_opens_every_input(root, tmp_path):
    verification = verify(root)
    verification.raise_if_bad()
    write_verification(verification, tmp_path / "verified")
    report = (tmp_path / "verified" / "report.html").read_text()
    assert "All 48 files were opened" in report
    document = json.loads((tmp_path / "verified" / "manifest.json").read_text())
    assert document["others"] == {"depth": 1}
    first = document["splits"]["train"][0]["others"]["depth"]
    assert first["path"] == "train_depth/0.png"
    assert len(first["md5"]) == 32

    data = open_dataset(tmp_path / "verified")
    assert data.others == {"depth": 1}
    image, _ = read_pair(data.pairs("val")[0], RGBD)
    depth = read_image(root / "val_depth" / "0.png", channels=1)
    assert (image[..., 3:] == depth).all()

    (root / "train_depth" / "0.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"train_depth/0.png: 0 bytes, was"):
        open_dataset(tmp_path / "verified")


def test_verification_names_what_is_wrong_with_an_input(root):
    depth = root / "train_depth"
    (depth / "0.png").unlink()
    (depth / "1.png").rename(depth / "lonely.png")
    (depth / "2.png").write_bytes((depth / "3.png").read_bytes()[:100])
    write_image(depth / "4.png", np.zeros((20, 30, 1), np.uint8))
    write_image(depth / "5.png", np.full((*SIZE, 1), 9000, np.uint16))
    verification = verify(root)
    found = {problem.path.name: problem for problem in verification.problems}
    assert "image without depth; expected train_depth/0.*" in found["0.png"].reason
    assert found["0.png"].remedy == "Add the depth, or remove the image."
    assert "depth without image" in found["lonely.png"].reason
    assert found["2.png"].kind == "damaged-file"
    assert "the input is 20×30, its image 48×64" in found["4.png"].reason
    assert [w.kind for w in verification.warnings] == ["sixteen-bits"]
    assert {facts.stem for facts in verification.pairs["train"]}.isdisjoint("0124")


def test_a_whole_folder_that_is_missing_is_one_problem(root):
    for path in (root / "val_depth").iterdir():
        path.unlink()
    (root / "val_depth").rmdir()
    problems = verify(root).problems
    assert [str(problem.path) for problem in problems] == [str(root / "val_depth")]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("[depth]", "such as {depth: 1}"),
        ("{Depth: 1}", "small letters"),
        ("{segmentation: 1}", "has a meaning already"),
        ("{depth: 2}", r"1 \(grey\), 3 \(RGB\) or 4"),
        ("{depth: true}", r"1 \(grey\), 3 \(RGB\) or 4"),
    ],
)
def test_a_wrong_declaration_is_refused(root, inputs, message):
    (root / "dataset.yaml").write_text(f"inputs: {inputs}\n")
    with pytest.raises(DatasetError, match=message):
        load_dataset(root)


def test_a_dataset_that_lacks_an_input_is_refused(root, tmp_path):
    model = _model(others={"depth": 1})
    (root / "dataset.yaml").write_text("class_names: [far, near]\n")
    data = load_dataset(root)
    for use in (train, evaluate):
        with pytest.raises(
            DatasetError, match=r"no `depth`(.|\n)*`inputs: {depth: 1}`"
        ):
            use(model, data, out=tmp_path / "out")
    (root / "dataset.yaml").write_text("num_classes: 2\ninputs: {depth: 3}\n")
    with pytest.raises(DatasetError, match=r"depth \(1 channel\)(.|\n)*depth \(3"):
        train(model, load_dataset(root))


def test_augmentation_moves_all_inputs_and_tints_the_image_alone(root, tmp_path):
    for split in ("train", "val"):  # a depth that is the image's red
        for path in (root / f"{split}_images").iterdir():
            red = read_image(path)[..., :1]
            write_image(root / f"{split}_depth" / path.name, red)
    data = load_dataset(root)
    depths = [read_pair(pair, RGBD)[0][..., 3] for pair in data.pairs("train")]
    for policy in ("geometric", "photometric"):
        settings = AugmentConfig(policy=policy, copies=3)
        augment(data, tmp_path / policy, config=settings)
        source = ShardSource(str(tmp_path / policy), inputs=RGBD)
        images = [source[index][0] for index in range(len(source))]
        tinted = [not np.array_equal(x[..., 0], x[..., 3]) for x in images]
        moved = [not any(np.array_equal(x[..., 3], d) for d in depths) for x in images]
        assert (any(tinted), any(moved)) == (
            policy == "photometric",
            policy == "geometric",
        )
    with pytest.raises(SegError, match="hold image .3 channels., depth"):
        ShardSource(str(tmp_path / "geometric"), inputs={"image": 3})


@pytest.mark.parametrize("channels", [1, 3, 4, 7, 9])
def test_a_view_takes_any_number_of_channels(channels):
    draw = np.random.default_rng(0)
    image = draw.integers(0, 256, (60, 80, channels)).astype(np.uint8)
    mask = draw.integers(0, 3, (60, 80)).astype(np.uint8)
    config = TrainConfig(min_scale=0.4, max_scale=0.6, crop_height=48, crop_width=48)
    view = RandomView((60, 80), 255, config, colours=min(3, channels))
    out, ids = view.random_map((image, mask), draw)
    assert out.shape == (48, 48, channels)
    assert ids.shape == (48, 48)


def test_a_view_leaves_the_further_inputs_their_values():
    image = np.full((40, 40, 4), 77, np.uint8)
    config = TrainConfig(min_scale=1, max_scale=1, color_jitter=0.5)
    view = RandomView((40, 40), 255, config)
    out, _ = view.random_map((image, image[..., 0]), np.random.default_rng(1))
    assert (out[..., 3] == 77).all()
    assert (out[..., :3] != 77).any()


def test_prediction_pairs_files_by_their_stems(root, tmp_path):
    model = _model(others={"depth": 1})
    model.save(tmp_path / "model")
    folders = [str(root / "val_images"), "--input", f"depth={root / 'val_depth'}"]
    command = ["predict", str(tmp_path / "model"), *folders, "--save", "ids,overlay"]
    out = tmp_path / "out"
    done = CliRunner().invoke(app, [*command, "--out", str(out)])
    assert done.exit_code == 0, done.output
    ids = read_mask(out / "ids" / "1.png")
    assert (ids == model.predict(_sample(root, 1))).all()
    assert read_image(out / "overlay" / "1.png").shape == (*SIZE, 3)

    (root / "val_depth" / "1.png").unlink()
    kept = predict(
        model, root / "val_images", tmp_path / "b", others={"depth": root / "val_depth"}
    )
    assert len(kept.written) == 3
    assert "no file 1.* in" in kept.problems[0]


def test_prediction_without_the_input_says_which(root, tmp_path):
    model = _model(others={"depth": 1})
    with pytest.raises(UsageError, match="depth .1 channel.(.|\n)*NAME=FOLDER"):
        predict(model, root / "val_images", tmp_path / "out")
    with pytest.raises(SegError, match="a list of 2. Received: 1"):
        model.predict(root / "val_images" / "0.png")
    image, depth = (np.zeros((*SIZE, c), np.uint8) for c in (3, 1))
    with pytest.raises(SegError, match="`depth` must be uint8"):
        model.predict([image, image])
    with pytest.raises(SegError, match="of one size"):
        model.predict([image, depth[1:]])
    joined = np.concatenate([image, depth], -1)
    assert (model.predict([image, depth[..., 0]]) == model.predict(joined)).all()


def test_every_format_takes_the_joined_inputs(root, tmp_path):
    inputs, outputs = _two_streams()
    model = build_custom(inputs, outputs)
    config = ExportConfig(export_formats=",".join(FORMATS), max_miou_loss=0.2)
    export(model, tmp_path / "export", config=config, data=load_dataset(root))
    contract = Contract.from_json((tmp_path / "export" / "contract.json").read_text())
    assert contract.inputs == RGBD
    expected = model.predict(_sample(root))
    for name, each in FORMATS.items():
        found = ExportedModel.open(tmp_path / "export", name).predict(_sample(root))
        least = 0.8 if each.is_rounded else 0.999
        assert (found == expected).mean() > least, name


def _two_streams():
    image, depth = keras.Input((*SIZE, 3)), keras.Input((*SIZE, 1), name="depth")
    streams = [
        keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x / 255)
        for x in (image, depth)
    ]
    return [image, depth], keras.layers.Conv2D(2, 1)(keras.layers.Add()(streams))


def test_a_network_of_ones_own_may_have_several_inputs(root, tmp_path):
    inputs, outputs = _two_streams()
    model = build_custom(inputs, outputs)
    assert model.contract.inputs == RGBD
    files = _sample(root)
    image, depth = read_image(files[0]), read_image(files[1], channels=1)
    bare = keras.Model(inputs, outputs).predict_on_batch([image[None], depth[None]])
    logits = model.predict_logits([image, depth])
    np.testing.assert_allclose(logits, bare[0], atol=1e-5)

    data = load_dataset(root)
    config = TrainConfig(epochs=15, batch_size=4, learning_rate=0.03)
    history = train(model, data, config=config, out=tmp_path / "model")
    assert history[-1]["val_miou"] > 0.8
    again = load_model(tmp_path / "model")
    assert (again.predict(_sample(root)) == model.predict(_sample(root))).all()


def test_inputs_of_different_sizes_are_refused():
    image, depth = keras.Input((32, 32, 3)), keras.Input((16, 16, 1), name="depth")
    outputs = keras.layers.Conv2D(2, 1)(image)
    with pytest.raises(UsageError, match="must all be of one size"):
        build_custom([image, depth], outputs)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_pretrained_weights_are_blind_to_the_further_inputs(monkeypatch, order):
    """At first the network answers as one of the image alone."""
    weights = build_model("fcn_8", num_classes=2, image_size=SIZE).network
    weights = weights.get_layer("encoder").get_weights()
    encoder = replace(
        ENCODERS["plain"],
        normalization=replace(CAFFE, channel_order=order),
        load=lambda model, _source: model.set_weights(weights),
    )
    monkeypatch.setitem(ENCODERS, "plain", encoder)
    draw = np.random.default_rng(0)
    image = draw.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    answers = []
    for others in ({}, {"depth": 1}):
        model = build_model(
            "fcn_8",
            num_classes=2,
            image_size=SIZE,
            encoder="plain",
            weights="imagenet",
            others=others,
        )
        network = model.network
        joined = np.concatenate(
            [image, *(draw.integers(0, 256, (*SIZE, 1)) for _ in others)], -1
        )
        normalized = network.get_layer("normalize")(joined[None])
        answers.append(network.get_layer("encoder")(normalized))
    for name, expected in answers[0].items():
        np.testing.assert_allclose(answers[1][name], expected, atol=1e-3, rtol=1e-4)


def test_grey_images_cannot_take_pretrained_weights():
    with pytest.raises(UsageError, match=r"grey files are then read as RGB"):
        build_model(
            "compact",
            num_classes=2,
            image_size=SIZE,
            encoder="efficientnet_lite0",
            weights="imagenet",
            channels=1,
            others={"depth": 3},
        )


def test_contracts_of_one_input_are_still_read():
    contract = _model().contract
    values = json.loads(contract.to_json())
    values |= {"format_version": 2, "channels": values.pop("inputs")["image"]}
    assert Contract.from_json(json.dumps(values)) == contract
