"""Every setting with its default, range and description: one dataclass a step.

A YAML file has one section a step and states only what differs. All field names
are unique across the sections, because a pipeline parameter has its field's name.
"""

import dataclasses
import re
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, TypeAdapter

from seglib.catalogue import require_names
from seglib.errors import UsageError, unknown
from seglib.loss_formula import parse_loss
from seglib.policies import policy_text
from seglib.settings import (
    NUMBER,
    WHOLE,
    Facts,
    Integer,
    Natural,
    Positive,
    at,
    build,
    descriptions,
    facts,
    read_tree,
    require,
    section,
    setting,
)
from seglib.storage.pointers import pointer_key
from seglib.storage.remotes import parse_url

Precision = Literal["float32", "bfloat16", "float16", "auto"]
PRECISIONS = get_args(Precision)
LARGEST_ID = 65535  # that a mask of 16 bits can hold
# A confusion matrix of as many classes takes 8 MiB, and each scored image has one.
MAX_CLASSES = 1024
# Of `seglib.evaluation.metrics.Scores`; those of a class as `class_iou/NAME`.
MEAN_SCORES = (
    "miou",
    "mean_dice",
    "mean_accuracy",
    "pixel_accuracy",
    "miou_frequency_weighted",
)
CLASS_SCORES = ("class_iou", "class_dice", "class_recall", "class_precision")
SMALLEST_SIDE = 16  # pixels, of what a network sees


def _comma_separated(value: Any) -> Any:
    return ",".join(map(str, value)) if isinstance(value, list) else value


Names = Annotated[
    str, BeforeValidator(_comma_separated, json_schema_input_type=str | list[str])
]
Policy = Annotated[
    str, BeforeValidator(policy_text, json_schema_input_type=str | list[Any])
]
Share = Annotated[float, Field(ge=0, le=1), NUMBER]
BelowOne = Annotated[float, Field(ge=0, lt=1), NUMBER]
AtLeastZero = Annotated[float, Field(ge=0), NUMBER]
UpToOne = Annotated[float, Field(gt=0, le=1), NUMBER]
AboveZero = Annotated[float, Field(gt=0), NUMBER]
Seed = Annotated[int, Field(ge=0, lt=1 << 32), WHOLE]  # of NumPy


@section
class DataConfig:
    """The classes of a folder without a `dataset.yaml`."""

    num_classes: Annotated[int, Field(ge=0, le=MAX_CLASSES), WHOLE] = setting(
        0, "number of classes; 0: from dataset.yaml, else the largest id + 1"
    )
    ignore_index: Annotated[int, Field(ge=-1, le=LARGEST_ID), WHOLE] = setting(
        -1, "id that is not counted; -1: from dataset.yaml"
    )
    class_names: Names = setting(
        "", 'names of the classes, comma-separated, in id order; "": from dataset.yaml'
    )

    def __post_init__(self) -> None:
        named = self.class_names.count(",") + 1
        expected = f"at most {MAX_CLASSES} names"
        require(named <= MAX_CLASSES, "class_names", expected, f"{named} names")


@section
class AugmentConfig:
    """The augmented copies of the training images that are written as shards."""

    policy: Policy = setting(
        "street", "augmentation: a name of `seglib policies`, or its content"
    )
    copies: Natural = setting(
        1, "augmented copies of each training pair, beside the original"
    )
    num_shards: Positive = setting(4, "files of pairs, which are dealt round-robin")
    augment_seed: Seed = setting(0, "seed of the random changes")


@section
class ModelConfig:
    """The network, and the size at which it sees its images."""

    architecture: str = setting("compact", "network; see `seglib models`")
    encoder: str = setting("", 'of the network; "": the architecture\'s own')
    weights: str = setting(
        "",
        'first ones; "": random; imagenet, ade20k, a file, a model\'s folder, '
        "s3://… or models:/…",
    )
    weights_sha256: str = setting(
        "", 'digest that the file or model must have; "": not checked'
    )
    image_height: Natural = setting(
        0, "pixels that the network sees; 0: that of the first training image"
    )
    image_width: Natural = setting(
        0, "pixels that the network sees; 0: that of the first training image"
    )
    channels: Integer = setting(3, "channels of the image: 1 grey, 3 RGB, 4 RGBA")

    def __post_init__(self) -> None:
        _require_sides(self, "image_height", "image_width")
        if (self.image_height == 0) != (self.image_width == 0):
            raise UsageError(
                "`image_height` and `image_width` go together. Expected both or "
                f"neither. Received: ({self.image_height}, {self.image_width})."
            )
        require(self.channels in (1, 3, 4), "channels", "1, 3 or 4", self.channels)
        require_names(self.architecture, self.encoder)


@section
class TrainConfig:
    """The optimisation."""

    epochs: Positive = setting(
        30, "passes over the training split; see steps_per_epoch"
    )
    batch_size: Positive = setting(8, "views in a step")
    learning_rate: AboveZero = setting(1e-3, "peak of the learning rate; see schedule")
    encoder_learning_rate: UpToOne = setting(
        1.0,
        "that of the encoder, as a share of learning_rate; to keep the encoder "
        "as it is: freeze_epochs",
    )
    steps_per_epoch: Natural = setting(
        0, "steps of an epoch; 0: one pass over the split"
    )
    max_minutes: AtLeastZero = setting(
        0.0, "minutes after which training ends, with its rate fallen; 0: none"
    )
    freeze_epochs: Natural = setting(
        0, "first epochs, in which the encoder keeps its weights"
    )
    loss: str = setting(
        "cross_entropy",
        "a loss or a sum of them: `cross_entropy + 0.5 * dice`; see training.md",
    )
    class_weights: str = setting(
        "power",
        "of the loss; power: see class_weight_power; median_frequency; none; or "
        "numbers, comma-separated, one a class",
    )
    class_weight_power: Share = setting(
        0.25, "power in weight = (1 / pixel share) ** power; 0: equal"
    )
    rare_class_views: Share = setting(
        0.0, "share of the views that show a class drawn by its rarity"
    )
    deep_supervision: AtLeastZero = setting(
        0.0,
        "weight of the loss on inner maps, where the architecture has some; 0: none",
    )
    optimizer: Literal["adamw", "sgd"] = setting("adamw", "adamw, or sgd with momentum")
    momentum: BelowOne = setting(0.9, "momentum of sgd")
    weight_decay: AtLeastZero = setting(
        1e-4, "decoupled decay of the weights, not of biases and norms"
    )
    clip_norm: AtLeastZero = setting(0.0, "largest norm of all gradients; 0: any")
    ema_decay: BelowOne = setting(
        0.0,
        "decay of the weights' moving average, which is validated and kept; 0: none",
    )
    accumulate: Positive = setting(
        1, "parts of a batch that are computed one after the other, to save memory"
    )
    schedule: Literal["cosine", "poly", "constant", "one_cycle"] = setting(
        "cosine", "fall of the learning rate, after its warm-up"
    )
    warmup_steps: Natural = setting(50, "steps in which the learning rate rises from 0")
    crop_height: Natural = setting(0, "pixels that one view shows; 0: image_height")
    crop_width: Natural = setting(0, "pixels that one view shows; 0: image_width")
    min_scale: AboveZero = setting(
        0.75, "smallest random zoom of a training image; 1: image_height"
    )
    max_scale: AboveZero = setting(1.5, "largest random zoom; see min_scale")
    flip: bool = setting(True, "mirror half of the images left to right")
    color_jitter: BelowOne = setting(
        0.2, "change of brightness, contrast, saturation, each ± this share"
    )
    train_policy: Policy = setting(
        "",
        'alters the views, in place of flip and color_jitter; see policy; "": none',
    )
    precision: Precision = setting(
        "auto", "number format; auto: times a few steps of each, takes the faster"
    )
    xla: Literal["auto", "always", "never"] = setting(
        "auto", "compiler: always, never; auto: timed with the precisions, on GPUs only"
    )
    validate_every: Natural = setting(
        1, "epochs between two looks at the val split; 0: as a tenth of the time allows"
    )
    best_by: str = setting(
        "miou",
        "score on the val split of the epoch that is kept: miou, mean_dice, "
        "mean_accuracy, pixel_accuracy, miou_frequency_weighted, or one of a class: "
        "class_iou/NAME",
    )
    patience: Natural = setting(
        0, "validations without a better score, after which training ends; 0: never"
    )
    train_seed: Seed = setting(0, "seed of first weights, order and views")

    def __post_init__(self) -> None:
        _require_sides(self, "crop_height", "crop_width")
        parse_loss(self.loss)
        score, slash, of_class = self.best_by.partition("/")
        if score not in (CLASS_SCORES if slash and of_class else MEAN_SCORES):
            of_classes = [f"{name}/NAME" for name in CLASS_SCORES]
            raise unknown("`best_by`", self.best_by, [*MEAN_SCORES, *of_classes])
        if self.class_weights not in ("power", "median_frequency", "none"):
            _require_weights(self.class_weights)
        if self.batch_size % self.accumulate:
            sizes = range(1, self.batch_size + 1)
            parts = ", ".join(str(n) for n in sizes if self.batch_size % n == 0)
            expected = f"one of {parts}, which divide batch_size={self.batch_size}"
            require(False, "accumulate", expected, self.accumulate)
        scales = (self.min_scale, self.max_scale)
        require(scales[0] <= scales[1], "min_scale", "> 0 and ≤ max_scale", scales)


@section
class EvaluateConfig:
    """What is scored, always at the images' original size."""

    split: Literal["auto", "train", "val", "test"] = setting(
        "auto", "that is scored; auto: test where there is one, else val"
    )
    num_overlays: Natural = setting(8, "pictures in the report, worst to best")


@section
class GateConfig:
    """What a model must reach to be exported, and to become the champion.

    `min_delta` and `max_class_drop` compare with the champion, on the same images;
    the lower end of the confidence interval counts.
    """

    min_miou: Share = setting(0.5, "smallest mIoU on the evaluated split")
    max_latency_ms: AtLeastZero = setting(
        0.0, "largest, of one image at its own size; 0: any"
    )
    max_model_mb: AtLeastZero = setting(
        0.0, "largest, of the network's file, 10⁶ bytes; 0: any"
    )
    min_delta: BelowOne = setting(
        0.0, "gain of mIoU over the champion that must be cleared"
    )
    max_class_drop: BelowOne = setting(0.05, "largest fall of any class's IoU")
    confidence: Annotated[float, Field(ge=0.5, lt=1), NUMBER] = setting(
        0.95, "that of the bootstrap's intervals, two-sided"
    )
    bootstrap_block: Positive = setting(
        1, "images in a row drawn together: frames of a video"
    )
    registered_model: str = Field(
        default="",
        max_length=250,
        description="the model's name in MLflow's registry; \"\": the dataset's",
    )

    def __post_init__(self) -> None:
        name = self.registered_model
        allowed = re.fullmatch(r"[\w. -]*", name) is not None
        require(allowed, "registered_model", "letters, digits and . _ -", name)


@section
class ExportConfig:
    """The forms in which a model is served, and how close to it they must be."""

    export_formats: Names = setting(
        "saved_model",
        "forms that are served: saved_model, onnx, litert, litert_fp16, litert_int8; "
        "see export.md",
    )
    max_logit_difference: AboveZero = setting(
        1e-3, "largest allowed of a logit; not of the last two formats"
    )
    min_equal_pixels: UpToOne = setting(0.999, "share of pixels with the same class")
    max_miou_loss: Share = setting(
        0.01, "largest allowed of litert_fp16 and litert_int8, on the dataset"
    )
    export_examples: Positive = setting(
        32, "images of val to compare on, and of train to calibrate litert_int8 by"
    )
    publish_to: str = setting(
        "", 'place of the export: s3://bucket/prefix or a folder; "": nowhere'
    )
    publish_name: str = setting(
        "model", "name there, whose `latest` is moved to the export"
    )

    def __post_init__(self) -> None:
        for name, check in (("publish_to", parse_url), ("publish_name", pointer_key)):
            try:
                check(getattr(self, name))
            except UsageError as error:
                raise UsageError(f"`{name}`: {error}") from error


@section
class Config:
    """All sections. `Config()` is the default run."""

    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    export: ExportConfig = field(default_factory=ExportConfig)

    @classmethod
    def load(cls, path: Path | None) -> Self:
        """Read a YAML file; `None` gives the defaults.

        Raises:
            UsageError: no such file, not YAML, an unknown section or key, or a
                value of the wrong type or range; names file and key.
        """
        if path is None:
            return cls()
        tree = read_tree(path)
        if isinstance(tree, dict):  # `train:` without keys is an empty section
            tree = {key: {} if part is None else part for key, part in tree.items()}
        with at(str(path)):
            return build(cls, "", tree)

    @classmethod
    def from_flat(cls, values: dict[str, Any]) -> Self:
        """The inverse of `flat`; keys that are left out keep their default.

        Raises:
            UsageError: an unknown key, or a value of the wrong type or range.
        """
        owner = {
            key: name for name, part in _sections(cls).items() for key in _keys(part)
        }
        tree: dict[str, dict[str, Any]] = {}
        for key, value in values.items():
            if key not in owner:
                raise unknown("config key", key, owner)
            tree.setdefault(owner[key], {})[key] = value
        return build(cls, "", tree)

    def flat(self) -> dict[str, int | float | str | bool]:
        """All settings under their field names, without the sections."""
        return {
            key: value
            for part in dataclasses.asdict(self).values()
            for key, value in part.items()
        }

    @classmethod
    def described(cls, *, sections: bool = False) -> dict[str, str]:
        """The description of each setting, under its field's name.

        Args:
            sections: each begins with its section: "train: passes over …".
        """
        return {
            name: f"{section}: {text}" if sections else text
            for section, part in _sections(cls).items()
            for name, text in descriptions(part).items()
        }

    @classmethod
    def facts(cls, key: str) -> Facts:
        """What is declared of a setting: description, default, and what is allowed."""
        owner = next(part for part in _sections(cls).values() if key in _keys(part))
        return facts(owner, key)

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON schema of a configuration file, for editors and validators."""
        return TypeAdapter(cls).json_schema()


def _sections(config: type[Config]) -> dict[str, Any]:
    return {part.name: part.type for part in dataclasses.fields(config)}


def _keys(part: Any) -> list[str]:
    return [setting.name for setting in dataclasses.fields(part)]


def _require_weights(text: str) -> None:
    try:
        fits = all(0 <= float(number) < float("inf") for number in text.split(","))
    except ValueError:
        fits = False
    expected = "power, median_frequency, none, or numbers ≥ 0 such as `1, 2.5, 1`"
    require(fits, "class_weights", expected, text)


def _require_sides(owner: Any, *names: str) -> None:
    for name in names:
        side, least = getattr(owner, name), SMALLEST_SIDE
        require(side == 0 or side >= least, name, f"0 or ≥ {least}", side)
