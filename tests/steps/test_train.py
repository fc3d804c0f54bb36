import json
import math
import re
from dataclasses import replace

import keras
import numpy as np
import pytest
import yaml

from seglib.config import AugmentConfig, Config, TrainConfig
from seglib.data.dataset import with_splits
from seglib.data.image_io import write_image
from seglib.data.pairs import Pair
from seglib.errors import SegError, UsageError
from seglib.evaluation.metrics import Scores
from seglib.evaluation.scoring import score_pairs
from seglib.models import build_model
from seglib.models.model import load_model
from seglib.steps.augment import augment
from seglib.steps.train import train
from seglib.training.best_epoch import BestEpoch
from seglib.training.checkpoints import Checkpoints
from seglib.training.step import compiled_step
from tests.steps.small_network import build


def _val_miou(model, dataset):
    images = score_pairs(model, dataset.pairs("val"))
    return Scores(np.sum([image.confusion for image in images], axis=0)).miou


def test_training_learns(trained):
    assert trained.history[-1]["loss"] < 0.7 * trained.history[0]["loss"]
    assert max(row["val_miou"] for row in trained.history) > 0.2


def test_the_history_has_a_row_an_epoch_and_is_told_as_it_comes(trained):
    assert [row["epoch"] for row in trained.history] == list(range(1, 31))
    assert trained.epochs == trained.history
    written = json.loads((trained.folder / "history.json").read_text())
    assert written == trained.history
    lines = (trained.folder / "history.csv").read_text().splitlines()
    assert lines[0].split(",") == list(trained.history[0])
    assert [float(x) for x in lines[1].split(",")] == [*trained.history[0].values()]
    # Cosine decay to 1 % of the peak.
    assert trained.history[-1]["learning_rate"] == pytest.approx(3e-5, rel=0.01)


def test_the_best_epoch_is_what_is_kept(trained, tiny_dataset):
    best = max(row["val_miou"] for row in trained.history)
    for model in (trained.model, load_model(trained.folder)):
        assert _val_miou(model, tiny_dataset) == pytest.approx(best, abs=1e-9)


def test_the_artifact_carries_its_contract_and_curves(trained, tiny_dataset):
    contract = load_model(trained.folder).contract
    assert contract.class_names == tiny_dataset.class_names
    assert contract.ignore_index == 255
    assert contract.image_size == (96, 128)
    assert (trained.folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not trained.folder.with_name("model.unfinished").exists()


def test_the_artifact_shows_what_training_saw_and_its_settings(trained):
    page = (trained.folder / "views.html").read_text()
    assert page.count("<img") == 4 * (1 + 3)  # images as they are, and their views
    assert "a window of 96×128 pixels" in page
    assert "Half of the views are mirrored left to right." in page
    assert "change by up to ±20%" in page
    settings = yaml.safe_load((trained.folder / "settings.yaml").read_text())
    assert settings["train"]["epochs"] == 30
    assert Config.load(trained.folder / "settings.yaml").train.epochs == 30


def test_equal_seeds_train_equal_models(tiny_dataset, tiny_root):
    histories = []
    for data in (tiny_dataset, tiny_root):  # a folder is a dataset, too
        config = TrainConfig(epochs=1, batch_size=4, train_seed=3)
        histories.append(train(build(5), data, config=config))
    first, second = (history[0] for history in histories)
    assert first["loss"] == pytest.approx(second["loss"], rel=1e-4)


def test_shards_take_the_place_of_the_train_split(tiny_dataset, tmp_path):
    shards = tmp_path / "shards"
    augment(tiny_dataset, shards, config=AugmentConfig(copies=1, policy="geometric"))
    without_train = with_splits(tiny_dataset, {"val": tiny_dataset.splits["val"]})
    history = train(
        build(5),
        without_train,
        config=TrainConfig(epochs=1, batch_size=8),
        shards=shards,
    )
    assert math.isfinite(history[0]["val_miou"])


def test_without_a_val_split_the_last_epoch_is_kept(tiny_dataset, tmp_path):
    alone = with_splits(tiny_dataset, {"train": tiny_dataset.splits["train"]})
    config = TrainConfig(epochs=2, batch_size=8)
    history = train(build(5), alone, config=config, out=tmp_path / "m")
    assert all(math.isnan(row["val_miou"]) for row in history)
    written = json.loads((tmp_path / "m" / "history.json").read_text())
    assert [row["val_miou"] for row in written] == [None, None]
    assert load_model(tmp_path / "m")


def test_an_interruption_keeps_the_best_epoch_and_the_older_model(
    tiny_dataset, tmp_path
):
    out = tmp_path / "model"
    older = build(5).save(out)
    before = (older / "model.keras").read_bytes()

    def stop(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(
            build(5),
            tiny_dataset,
            config=TrainConfig(epochs=5, batch_size=8),
            out=out,
            on_epoch=stop,
        )
    assert (out / "model.keras").read_bytes() == before
    unfinished = load_model(tmp_path / "model.unfinished")
    history = json.loads((tmp_path / "model.unfinished" / "history.json").read_text())
    best = max(row["val_miou"] for row in history)
    assert _val_miou(unfinished, tiny_dataset) == pytest.approx(best, abs=1e-9)


def test_a_best_epoch_that_cannot_be_kept_is_a_warning(tiny_dataset, tmp_path, caplog):
    (tmp_path / "model.unfinished").touch()
    config = TrainConfig(epochs=1, steps_per_epoch=1, batch_size=2)
    train(build(5), tiny_dataset, config=config, out=tmp_path / "model")
    assert "The best epoch so far is not kept" in caplog.text
    assert load_model(tmp_path / "model").contract


def test_a_loss_that_is_not_finite_ends_with_advice(tiny_dataset):
    config = TrainConfig(epochs=3, batch_size=4, learning_rate=1e12, warmup_steps=0)
    model = build(5)
    weights = [np.full_like(w, np.inf) for w in model.network.get_weights()]
    model.network.set_weights(weights)
    with pytest.raises(SegError, match="Lower `learning_rate`") as error:
        train(model, tiny_dataset, config=config)
    named = r"at step \d: .* rate: .+, its images: (train_\d\.png(, )?){4}\. Lower"
    assert re.search(named, str(error.value))


def test_a_mask_id_that_the_model_does_not_know_is_an_error(tiny_dataset):
    names, palette = tiny_dataset.class_names[:3], tiny_dataset.palette[:3]
    dataset = replace(tiny_dataset, num_classes=3, class_names=names, palette=palette)
    model = build_model("compact_small", num_classes=3, image_size=(64, 96))
    with pytest.raises(SegError, match="Expected: ids below num_classes=3"):
        train(model, dataset)


def test_a_dataset_of_other_classes_is_refused(tiny_dataset):
    model = build_model("compact_small", num_classes=3, image_size=(64, 96))
    with pytest.raises(SegError, match=r"num_classes=3, the dataset .* has 8"):
        train(model, tiny_dataset)


def test_an_epoch_takes_the_steps_that_were_asked_for(tiny_dataset):
    steps = []
    train(
        build(5),
        with_splits(tiny_dataset, {"train": tiny_dataset.pairs("train")}),
        config=TrainConfig(epochs=2, batch_size=4, steps_per_epoch=3),
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(done, 6) for done in range(1, 7)]


def test_training_ends_when_its_time_is_over_with_its_rate_fallen(tiny_dataset):
    config = TrainConfig(
        epochs=100_000,
        steps_per_epoch=8,
        batch_size=4,
        max_minutes=1.0,
        learning_rate=0.01,
        warmup_steps=5,
    )
    steps: list[tuple[int, int]] = []
    history = train(
        build(5),
        tiny_dataset,
        config=config,
        progress=lambda *step: steps.append(step),
        now=lambda: 3.0 * len(steps),  # a step takes 3 s
    )
    # After 20 steps the minute is over; the 21st is taken already.
    assert [done for done, _ in steps] == list(range(1, 22))
    assert steps[10] == (11, 21)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert history[-1]["learning_rate"] < 0.02 * 0.01
    assert not math.isnan(history[-1]["val_miou"])


def test_a_frozen_encoder_keeps_its_weights_and_its_statistics(tiny_dataset):
    model = build(5)
    before = model.network.get_layer("encoder").get_weights()
    rates = []
    config = TrainConfig(epochs=2, batch_size=4, freeze_epochs=2)
    train(model, tiny_dataset, config=config, on_epoch=rates.append)
    after = model.network.get_layer("encoder").get_weights()
    assert all((a == b).all() for a, b in zip(before, after, strict=True))
    assert len(rates) == 2


def test_after_its_epochs_the_encoder_learns_too(tiny_dataset):
    model = build(5)
    before = model.network.get_layer("encoder").get_weights()
    config = TrainConfig(
        epochs=3, batch_size=4, freeze_epochs=1, encoder_learning_rate=0.1
    )
    without_val = with_splits(tiny_dataset, {"train": tiny_dataset.splits["train"]})
    history = train(model, without_val, config=config)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    after = model.network.get_layer("encoder").get_weights()
    assert not all((a == b).all() for a, b in zip(before, after, strict=True))


def test_a_resumed_training_computes_as_it_began_without_another_trial(
    tiny_dataset, tmp_path, monkeypatch, caplog
):
    model = build_model("unet", num_classes=8, image_size=(32, 48), encoder="mini")
    # Long enough for a trial; any processor computes in bfloat16, if slowly.
    config = TrainConfig(epochs=1000, steps_per_epoch=1000, batch_size=1)
    monkeypatch.setattr("seglib.training.precision.half_format", lambda: "bfloat16")
    said, first_steps = [], []
    for threads in (2, 3):  # which are no part of the checkpoint's key
        kept = Checkpoints(tmp_path, every_s=0, largest_share=1e9)
        steps = []

        def stop(done, _total, kept=kept, steps=steps):
            steps.append(done)
            if kept.written_step:
                raise KeyboardInterrupt

        caplog.clear()
        with caplog.at_level("INFO", "seglib"), pytest.raises(KeyboardInterrupt):
            train(
                model,
                tiny_dataset,
                config=config,
                checkpoints=kept,
                loader_threads=threads,
                progress=stop,
            )
        said.append(caplog.text)
        first_steps.append(steps[0])
    assert first_steps[0] == 1 < first_steps[1]
    assert "ms a step" in said[0]
    assert "ms a step" not in said[1]
    numerics = [re.search(r"1000 steps, ([^,]+),", text)[1] for text in said]
    assert numerics[0] == numerics[1]


def test_the_step_of_the_trial_goes_on_as_that_of_the_training(
    tiny_dataset, monkeypatch
):
    """And the weights are those of a training without a trial."""
    monkeypatch.setattr("seglib.training.precision._FEWEST_STEPS", 1)
    monkeypatch.setattr("seglib.training.precision.half_format", lambda: "bfloat16")
    compiled = []

    def compile_step(*args, **kwargs):
        compiled.append(kwargs)
        return compiled_step(*args, **kwargs)

    monkeypatch.setattr("seglib.training.learner.compiled_step", compile_step)
    weights = []
    for precision in ("float32", "auto"):
        config = TrainConfig(
            epochs=1, steps_per_epoch=2, batch_size=4, precision=precision
        )
        keras.utils.set_random_seed(5)
        model = build_model("compact_small", num_classes=8, image_size=(32, 48))
        train(model, tiny_dataset, config=config)
        weights.append(model.network.get_weights())
    assert len(compiled) == 2
    for plain, tried in zip(*weights, strict=True):
        np.testing.assert_array_equal(tried, plain)


def test_training_runs_in_bfloat16_with_xla_where_that_is_asked_for(
    tiny_dataset, monkeypatch, caplog
):
    for user in (
        "models.layers.upsampling",
        "models.layers.resampling",
        "training.precision",
    ):
        monkeypatch.setattr(f"seglib.{user}.has_gpu", lambda: True)
    model = build_model("unet", num_classes=8, image_size=(32, 48), encoder="mini")
    config = TrainConfig(
        epochs=1, steps_per_epoch=2, batch_size=2, precision="bfloat16", xla="always"
    )
    with caplog.at_level("INFO", "seglib"):
        (row,) = train(model, tiny_dataset, config=config)
    assert math.isfinite(row["loss"])
    assert "bfloat16 with XLA" in caplog.text


def test_training_ends_after_as_many_validations_without_progress_as_asked_for(
    tiny_dataset,
):
    config = TrainConfig(
        epochs=9, batch_size=4, steps_per_epoch=1, patience=2, learning_rate=1e-9
    )
    model = build(5)
    history = train(model, tiny_dataset, config=config)
    best = int(np.argmax([row["val_miou"] for row in history]))
    assert len(history) == best + 3 < 9


class _SlowValidation:
    """A step takes 10 s, a validation so many."""

    def __init__(self, seconds: float, monkeypatch: pytest.MonkeyPatch):
        self.now_s = 0.0
        measure = BestEpoch.measure

        def slow(best_epoch: BestEpoch, weights: list[np.ndarray]) -> Scores | None:
            self.now_s += seconds
            return measure(best_epoch, weights)

        monkeypatch.setattr(BestEpoch, "measure", slow)

    def train(self, dataset, stop=0, **options):
        def on_step(done, _):
            self.now_s += 10
            if done == stop:
                raise KeyboardInterrupt

        config = TrainConfig(
            epochs=20, steps_per_epoch=2, batch_size=1, validate_every=0
        )
        history = train(
            build(3),
            dataset,
            config=config,
            now=lambda: self.now_s,
            progress=on_step,
            **options,
        )
        return [row["epoch"] for row in history if not math.isnan(row["val_miou"])]


def test_validation_takes_a_tenth_of_the_time_also_of_a_resumed_training(
    tiny_dataset, tmp_path, monkeypatch
):
    """A validation takes 5 s; with the next one they are due as a tenth of the time.

    Two at 95 s and 5 s, three at 145 s and 5 s, …: the k-th after 50 k − 5 s.
    """
    time = _SlowValidation(5, monkeypatch)
    expected = [1, 5, 7, 9, 12, 14, 16, 18, 20]
    assert time.train(tiny_dataset) == expected
    kept = Checkpoints(tmp_path, every_s=0, largest_share=1e9)
    with pytest.raises(KeyboardInterrupt):
        time.train(tiny_dataset, stop=23, checkpoints=kept)
    assert time.train(tiny_dataset, checkpoints=tmp_path) == expected


def test_a_few_epochs_are_validated_whatever_it_costs(tiny_dataset, monkeypatch):
    """After 8, 12, 16 and 20 of 20 epochs there are 2, 3, 4 and 5 validations."""
    time = _SlowValidation(1000, monkeypatch)
    assert time.train(tiny_dataset) == [1, 8, 12, 16, 20]


@pytest.mark.parametrize(
    ("best_by", "expected"),
    [
        # Class 1: 2 right, 1 missed, 3 wrong; 2 / 6, 4 / 8, 2 / 3, 2 / 5.
        ("class_iou/car", 2 / 6),
        ("class_dice/car", 4 / 8),
        ("class_recall/car", 2 / 3),
        ("class_precision/car", 2 / 5),
        # Class 0: 4 right, 3 wrong; class 2 without pixels is not counted.
        ("mean_accuracy", (4 / 7 + 2 / 3) / 2),
        ("mean_dice", (8 / 12 + 4 / 8) / 2),
    ],
)
def test_the_best_epoch_is_chosen_by_any_score(best_by, expected, tmp_path):
    names = ("road", "car", "sign")
    model = build_model(
        "unet", num_classes=3, image_size=(32, 48), encoder="mini", class_names=names
    )
    best = BestEpoch(model, (), None, lambda _: b"", best_by)
    scores = Scores(np.array([[4, 3, 0], [1, 2, 0], [0, 0, 0]]))
    assert best.score(scores) == pytest.approx(expected)
    write_image(tmp_path / "mask.png", np.uint8([[0, 1], [1, 255]]))
    pair = Pair("mask", tmp_path / "image.png", tmp_path / "mask.png")
    replace(best, val=(pair,)).require_pixels()
    with pytest.raises(SegError, match="no pixel of sign.*another `best_by`"):
        replace(best, val=(pair,), best_by="class_iou/sign").require_pixels()
    with pytest.raises(UsageError, match="Did you mean `sign`"):
        replace(best, best_by="class_iou/sing")


def test_a_policy_may_be_a_function(tiny_dataset):
    seen = []

    def darkened(image, mask, rng):
        seen.append((image.dtype, mask.dtype, type(rng)))
        return image // 2, mask

    config = TrainConfig(epochs=1, batch_size=4, steps_per_epoch=1)
    train(build(0), tiny_dataset, config=config, policy=darkened)
    assert seen[0] == (np.uint8, np.uint16, np.random.Generator)


def test_every_choice_of_the_optimisation_trains_and_resumes(tiny_dataset, tmp_path):
    """A training that is interrupted after an epoch ends as one that is not."""
    config = TrainConfig(
        epochs=2,
        batch_size=4,
        steps_per_epoch=2,
        loss="ohem + 0.5 * dice",
        class_weights="median_frequency",
        rare_class_views=0.5,
        train_policy="strong",
        optimizer="sgd",
        clip_norm=1.0,
        ema_decay=0.9,
        accumulate=2,
        schedule="one_cycle",
        best_by="pixel_accuracy",
        learning_rate=0.1,
    )

    class InterruptionError(Exception):
        pass

    def interrupt(row):
        if row["epoch"] == 2 and not (tmp_path / "again").exists():
            (tmp_path / "again").touch()
            raise InterruptionError

    whole = train(build(3), tiny_dataset, config=config)
    kept = tmp_path / "kept"
    with pytest.raises(InterruptionError):
        train(
            build(3), tiny_dataset, config=config, checkpoints=kept, on_epoch=interrupt
        )
    model = build(3)
    resumed = train(model, tiny_dataset, config=config, checkpoints=kept)
    for one, other in zip(whole, resumed, strict=True):
        for name in ("loss", "train_miou", "val_miou", "learning_rate"):
            assert one[name] == pytest.approx(other[name], rel=1e-6)
    assert np.isfinite(whole[-1]["loss"])
