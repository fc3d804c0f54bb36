"""Every setting, its default and its check: one frozen dataclass a step.

A YAML file has one section a step and states only what differs. All field names
are unique across the sections, because a pipeline parameter has its field's name.
"""

import dataclasses
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from seglib.errors import UsageError, unknown
from seglib.settings import at, build, described, read_tree, require
from seglib.storage import check_url, pointer_key

PRECISIONS = ("float32", "bfloat16", "auto")
XLA_CHOICES = ("auto", "always", "never")
SPLIT_CHOICES = ("auto", "train", "val", "test")
LARGEST_ID = 65535  # that a mask of 16 bits can hold
# A confusion matrix of as many classes takes 8 MiB, and each scored image has one.
MAX_CLASSES = 1024


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What a folder without a `dataset.yaml` cannot say of itself."""

    num_classes: int = 0  # 0: from dataset.yaml, else the largest id + 1
    ignore_index: int = -1  # id that is not counted; -1: from dataset.yaml
    class_names: str = ""  # comma-separated, in id order; "": from dataset.yaml

    def __post_init__(self) -> None:
        count = self.num_classes
        require(0 <= count <= MAX_CLASSES, "num_classes", f"0 … {MAX_CLASSES}", count)
        ignored, expected = self.ignore_index, f"-1 … {LARGEST_ID}"
        require(-1 <= ignored <= LARGEST_ID, "ignore_index", expected, ignored)
        named = self.class_names.count(",") + 1
        expected = f"at most {MAX_CLASSES} names"
        require(named <= MAX_CLASSES, "class_names", expected, f"{named} names")


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """The augmented copies of the training images that are written as shards."""

    policy: str = "street"  # a name of seglib.steps.augment.POLICIES
    copies: int = 1  # augmented copies of each training pair, beside the original
    num_shards: int = 4  # files; records are dealt round-robin
    augment_seed: int = 0  # of the random changes

    def __post_init__(self) -> None:
        require(self.copies >= 0, "copies", "≥ 0", self.copies)
        require(self.num_shards >= 1, "num_shards", "≥ 1", self.num_shards)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network, and the size at which it sees its images."""

    architecture: str = "compact"  # see `seglib models`
    encoder: str = ""  # "": the architecture's own
    weights: str = ""  # "": random; "imagenet", or a file of the encoder's weights
    weights_sha256: str = ""  # digest that the file must have; "": not checked
    image_height: int = 0  # pixels; 0: that of the first training image
    image_width: int = 0  # pixels; 0: that of the first training image
    channels: int = 3  # of the image: 1 grey, 3 RGB, 4 RGBA

    def __post_init__(self) -> None:
        for name in ("image_height", "image_width"):
            value = getattr(self, name)
            require(value == 0 or value >= 16, name, "0 or ≥ 16", value)
        if (self.image_height == 0) != (self.image_width == 0):
            raise UsageError(
                "`image_height` and `image_width` go together. Expected both or "
                f"neither. Received: ({self.image_height}, {self.image_width})."
            )
        require(self.channels in (1, 3, 4), "channels", "1, 3 or 4", self.channels)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The optimisation."""

    epochs: int = 30  # passes of steps_per_epoch steps
    batch_size: int = 8  # views in a step
    learning_rate: float = 1e-3  # peak; cosine decay to 1 % of it
    encoder_learning_rate: float = 1.0  # of the encoder, as a share of learning_rate
    steps_per_epoch: int = 0  # 0: one pass over the train split
    max_minutes: float = 0.0  # ends training early, its rate fallen by then; 0: never
    freeze_epochs: int = 0  # first epochs, in which the encoder keeps its weights
    weight_decay: float = 1e-4  # of AdamW
    warmup_steps: int = 50  # linear, from 0
    class_weight_power: float = 0.25  # weight = (1 / pixel share) ** power; 0: equal
    crop_height: int = 0  # pixels that one view shows; 0: image_height
    crop_width: int = 0  # pixels that one view shows; 0: image_width
    min_scale: float = 0.75  # random zoom of a training image; 1: image_height
    max_scale: float = 1.5  # see min_scale
    flip: bool = True  # mirror half of the images left to right
    color_jitter: float = 0.2  # brightness, contrast, saturation, each ± this share
    precision: str = "auto"  # auto: times a few steps of each and takes the faster
    xla: str = "auto"  # always, never; auto: timed with the precisions, on GPUs only
    validate_every: int = 1  # epochs between two looks at the val split
    train_seed: int = 0  # of first weights, order and views

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "validate_every"):
            require(getattr(self, name) >= 1, name, "≥ 1", getattr(self, name))
        for name in ("crop_height", "crop_width"):
            value = getattr(self, name)
            require(value == 0 or value >= 16, name, "0 or ≥ 16", value)
        require(self.learning_rate > 0, "learning_rate", "> 0", self.learning_rate)
        require(
            0 < self.encoder_learning_rate <= 1,
            "encoder_learning_rate",
            "> 0 and ≤ 1 (to keep the encoder as it is: freeze_epochs)",
            self.encoder_learning_rate,
        )
        require(
            self.steps_per_epoch >= 0, "steps_per_epoch", "≥ 0", self.steps_per_epoch
        )
        require(self.max_minutes >= 0, "max_minutes", "≥ 0", self.max_minutes)
        require(self.freeze_epochs >= 0, "freeze_epochs", "≥ 0", self.freeze_epochs)
        require(self.weight_decay >= 0, "weight_decay", "≥ 0", self.weight_decay)
        require(self.warmup_steps >= 0, "warmup_steps", "≥ 0", self.warmup_steps)
        require(
            0 <= self.class_weight_power <= 1,
            "class_weight_power",
            "0 … 1",
            self.class_weight_power,
        )
        require(0 <= self.color_jitter < 1, "color_jitter", "0 … 1", self.color_jitter)
        require(
            0 < self.min_scale <= self.max_scale,
            "min_scale",
            "> 0 and ≤ max_scale",
            (self.min_scale, self.max_scale),
        )
        if self.precision not in PRECISIONS:
            raise unknown("precision", self.precision, PRECISIONS)
        if self.xla not in XLA_CHOICES:
            raise unknown("xla", self.xla, XLA_CHOICES)


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What is scored, always at the images' original size."""

    split: str = "auto"  # auto: test where there is one, else val
    num_overlays: int = 8  # pictures in the report, worst to best

    def __post_init__(self) -> None:
        if self.split not in SPLIT_CHOICES:
            raise unknown("split", self.split, SPLIT_CHOICES)
        require(self.num_overlays >= 0, "num_overlays", "≥ 0", self.num_overlays)


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """What a model must reach to be exported, and to become the champion."""

    min_miou: float = 0.5  # on the evaluated split
    max_latency_ms: float = 0.0  # of one image at its own size; 0: any
    max_model_mb: float = 0.0  # of the network's file, 10⁶ bytes; 0: any
    # Against the champion, on the same images; the lower end of the interval counts.
    min_delta: float = 0.0  # of mIoU, that must be cleared
    max_class_drop: float = 0.05  # of any class's IoU
    confidence: float = 0.95  # of the bootstrap's intervals, two-sided
    bootstrap_block: int = 1  # images in a row drawn together: frames of a video
    registered_model: str = ""  # its name in MLflow's registry; "": the dataset's

    def __post_init__(self) -> None:
        require(0 <= self.min_miou <= 1, "min_miou", "0 … 1", self.min_miou)
        for name in ("max_latency_ms", "max_model_mb"):
            require(getattr(self, name) >= 0, name, "≥ 0", getattr(self, name))
        for name in ("min_delta", "max_class_drop"):
            value = getattr(self, name)
            require(0 <= value < 1, name, "0 … 1", value)
        require(0.5 <= self.confidence < 1, "confidence", "0.5 … 1", self.confidence)
        block = self.bootstrap_block
        require(block >= 1, "bootstrap_block", "≥ 1", block)
        name = self.registered_model
        allowed = re.fullmatch(r"[\w. -]{0,250}", name) is not None
        require(allowed, "registered_model", "letters, digits and . _ -", name)


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """The served form, and how close to the Keras model it must be."""

    max_logit_difference: float = 1e-3  # largest allowed, absolute
    min_equal_pixels: float = 0.999  # share of pixels with the same class
    publish_to: str = ""  # s3://bucket/prefix or a folder; "": nowhere
    publish_name: str = "model"  # whose `latest` there is moved to the export

    def __post_init__(self) -> None:
        require(
            self.max_logit_difference > 0,
            "max_logit_difference",
            "> 0",
            self.max_logit_difference,
        )
        require(
            0 < self.min_equal_pixels <= 1,
            "min_equal_pixels",
            "0 … 1",
            self.min_equal_pixels,
        )
        for name, check in (("publish_to", check_url), ("publish_name", pointer_key)):
            try:
                check(getattr(self, name))
            except UsageError as error:
                raise UsageError(f"`{name}`: {error}") from error


@dataclass(frozen=True, kw_only=True)
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
        with at(str(path)):
            return cls._from_tree(tree)

    @classmethod
    def from_flat(cls, values: dict[str, Any]) -> Self:
        """The inverse of `flat`; keys that are left out keep their default."""
        owner = {key: name for name, key in _flat_names(cls)}
        tree: dict[str, dict[str, Any]] = {}
        for key, value in values.items():
            if key not in owner:
                raise unknown("config key", key, owner)
            tree.setdefault(owner[key], {})[key] = value
        return cls._from_tree(tree)

    def flat(self) -> dict[str, int | float | str | bool]:
        """All settings under their field names, without the sections."""
        return {
            key: value
            for section in dataclasses.asdict(self).values()
            for key, value in section.items()
        }

    @classmethod
    def described(cls) -> dict[str, str]:
        """What each setting is, under its field's name."""
        texts: dict[str, str] = {}
        for section in fields(cls):
            texts |= described(section.default_factory)  # type: ignore[arg-type]
        return texts

    @classmethod
    def _from_tree(cls, tree: Any) -> Self:
        if not isinstance(tree, dict):
            raise UsageError(
                "expected sections such as `train:`. Received: a list or text."
            )
        sections = {f.name: f.default_factory for f in fields(cls)}
        built = {}
        for name, values in tree.items():
            if name not in sections:
                raise unknown("config section", str(name), sections)
            built[name] = build(sections[name], name, values or {})
        return cls(**built)


def _flat_names(config: type[Config]) -> list[tuple[str, str]]:
    return [
        (section.name, setting.name)
        for section in fields(config)
        for setting in fields(section.default_factory)  # type: ignore[arg-type]
    ]
