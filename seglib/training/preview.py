"""The views of chosen images in the first passes of a training, and their page."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import yaml

from seglib.config import Config, TrainConfig
from seglib.data.augmentation.augmenter import Augmenter
from seglib.data.dataset import Dataset, model_image_size
from seglib.data.loader import PairSource, training_views, view_places, void_id
from seglib.data.pairs import IMAGE, ImageAndMask, split, spread
from seglib.data.views import crop_size
from seglib.drawing import Album
from seglib.policies import is_function, policy_title, policy_tree, policy_words
from seglib.report.pages import picture_page
from seglib.training.class_balance import ClassBalance

VIEWS = "views.html"  # of a model's folder
PANEL_WIDTH = 240  # pixels
_SETTINGS = ("crop_height", "crop_width", "min_scale", "max_scale", "train_seed")
_SHOWN, _PASSES = 4, 3


class TrainingPreview:
    """What a training with this configuration sees of some images.

    Args:
        source: of the training images.
        image_size: (height, width) in pixels, of the network.
        indices: of images in the source.
        passes: over the source, whose views are given.
        policy: as that of `seglib.train`.
        balance: of the classes, where they are counted already.

    Raises:
        UsageError: a wrong policy.
        SegError: a file cannot be read.
    """

    def __init__(
        self,
        source: PairSource,
        dataset: Dataset,
        config: TrainConfig,
        *,
        image_size: tuple[int, int],
        indices: Collection[int],
        passes: int,
        policy: Any = None,
        balance: ClassBalance | None = None,
    ):
        if policy is not None and not is_function(policy):
            config, policy = replace(config, train_policy=policy), None
        self._config, self._passes = config, passes
        self._policy = chosen = policy or config.train_policy
        self.source, self.image_size, self.indices = source, image_size, indices
        self.void = void_id(dataset.ignore_index)
        rare, mixes = config.rare_class_views, False
        if chosen:
            mixes = Augmenter(chosen, self.void, dataset.others).mixes
        if not balance and (rare or mixes):  # all masks are counted for these alone
            balance = ClassBalance.count(
                source,
                num_classes=dataset.num_classes,
                ignore_index=dataset.ignore_index,
            )
        self._views = training_views(
            source,
            image_size=image_size,
            ignore_index=dataset.ignore_index,
            config=config,
            policy=chosen,
            rare=balance.rare_views(source, rare) if balance and rare else None,
            others=balance.rare_views(source, 1.0) if balance else None,
        )
        self._places = view_places(source, config, indices, passes)

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        config: Config,
        indices: Collection[int],
        *,
        passes: int,
        policy: Any = None,
    ) -> "TrainingPreview":
        """What a training on the pairs of a dataset sees, without shards."""
        inputs = {IMAGE: config.model.channels, **dataset.others}
        return cls(
            PairSource(dataset.pairs("train"), inputs=inputs),
            dataset,
            config.train,
            image_size=model_image_size(config.model, dataset),
            indices=indices,
            passes=passes,
            policy=policy,
        )

    def views(self, index: int) -> list[ImageAndMask]:
        """The views of a pair, pass by pass: image uint8 (h, w, C), mask int32 (h, w).

        The image is the first input alone. Revealed pixels have the id `void`.
        """
        views = (self._views[place] for place in self._places[index])
        return [(split(image, self.source.inputs)[0], mask) for image, mask in views]

    @property
    def title(self) -> str:
        """The policy in a few words."""
        return (
            f"policy {policy_title(self._policy)}" if self._policy else "flip and tint"
        )

    def words(self) -> list[str]:
        """What happens to an image, in sentences."""
        train, seen = self._config, "×".join(map(str, self.image_size))
        window = "×".join(map(str, crop_size(self.image_size, train)))
        low, high = train.min_scale, train.max_scale
        zoom = f"{low:g}" if low == high else f"{low:g} … {high:g}, drawn at random"
        view = (
            f"Each view is a window of {window} pixels at a random place of the image, "
            f"which is brought to {seen} and zoomed by {zoom}. Where the zoomed image "
            "ends, the rest is black and ignored."
        )
        words = [view]
        if self._policy:
            words.append(f"The policy “{policy_title(self._policy)}” alters the view:")
            words += [f"– {line}" for line in policy_words(self._policy)]
        else:
            if train.flip:
                words.append("Half of the views are mirrored left to right.")
            if train.color_jitter:
                words.append(
                    "Brightness, contrast and saturation each change by up to "
                    f"±{train.color_jitter:.0%}."
                )
        if train.rare_class_views:
            share = f"{train.rare_class_views:.0%}"
            words.append(f"{share} of the views show another image, for a rare class.")
        words.append("Each pass over the images draws all of it anew.")
        return words

    def settings(self) -> str:
        """The settings of the views as YAML, as a configuration file holds them."""
        train = self._config
        names = [*_SETTINGS, *(["rare_class_views"] if train.rare_class_views else [])]
        names += [] if self._policy else ["flip", "color_jitter"]
        height, width = self.image_size
        tree: dict[str, dict[str, Any]] = {
            "model": {"image_height": height, "image_width": width},
            "train": {name: getattr(train, name) for name in names},
        }
        if self._policy:
            tree["train"]["train_policy"] = policy_tree(self._policy)
        return yaml.safe_dump(tree, sort_keys=False, default_flow_style=None)


def views_page(
    dataset: Dataset,
    source: PairSource,
    config: TrainConfig,
    *,
    image_size: tuple[int, int],
    policy: Any = None,
    balance: ClassBalance | None = None,
) -> str:
    """The page of some images and their views, as one self-contained HTML text.

    The arguments are those of `TrainingPreview`.
    """
    indices = spread(range(len(source)), _SHOWN)
    preview = TrainingPreview(
        source,
        dataset,
        config,
        image_size=image_size,
        indices=indices,
        passes=_PASSES,
        policy=policy,
        balance=balance,
    )
    album = Album(dataset.class_names, dataset.palette, preview.void, layout="stacked")
    album.max_width, album.columns = PANEL_WIDTH, 1 + _PASSES
    for index in indices:
        name = source.name(index)
        image, mask = source[index]
        album.add(split(image, source.inputs)[0], mask, "as it is", row=name)
        for turn, view in enumerate(preview.views(index), 1):
            album.add(*view, f"pass {turn}", row=name)
    return picture_page(
        album,
        title="What training sees",
        subtitle=f"{len(indices)} of {len(source):,} images · {preview.title}",
        alt="the image, and its mask",
        words=preview.words(),
        text=preview.settings(),
    )
