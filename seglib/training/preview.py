"""The views of chosen pairs in the first passes of a training, and its settings."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import yaml

from seglib.config import Config
from seglib.data.augmentation.augmenter import Augmenter
from seglib.data.dataset import Dataset, model_image_size
from seglib.data.loader import PairSource, training_views, view_places, void_id
from seglib.data.pairs import IMAGE, ImageAndMask, split
from seglib.policies import is_function, policy_title, policy_tree
from seglib.training.class_balance import ClassBalance

_SETTINGS = ("crop_height", "crop_width", "min_scale", "max_scale", "train_seed")


class TrainingPreview:
    """What a training with this configuration sees of some pairs.

    Args:
        indices: of the pairs in the train split.
        passes: over the split, whose views are given.
        policy: as that of `seglib.train`.

    Raises:
        UsageError: a wrong policy.
        SegError: a file cannot be read.
    """

    def __init__(
        self,
        dataset: Dataset,
        config: Config,
        indices: Collection[int],
        *,
        passes: int,
        policy: Any = None,
    ):
        if policy is not None and not is_function(policy):
            config = replace(config, train=replace(config.train, train_policy=policy))
            policy = None
        self._config = config
        self._policy = chosen = policy or config.train.train_policy
        inputs = {IMAGE: config.model.channels, **dataset.others}
        self.source = source = PairSource(dataset.pairs("train"), inputs=inputs)
        self.image_size = model_image_size(config.model, dataset)
        self.void = void_id(dataset.ignore_index)
        rare, mixes = config.train.rare_class_views, False
        if chosen:
            mixes = Augmenter(chosen, self.void, dataset.others).mixes
        balance = None
        if rare or mixes:  # all masks are counted for them, and for nothing else
            balance = ClassBalance.count(
                source,
                num_classes=dataset.num_classes,
                ignore_index=dataset.ignore_index,
            )
        self._views = training_views(
            source,
            image_size=self.image_size,
            ignore_index=dataset.ignore_index,
            config=config.train,
            policy=chosen,
            rare=balance.rare_views(source, rare) if balance else None,
            others=balance.rare_views(source, 1.0) if balance else None,
        )
        self._places = view_places(source, config.train, indices, passes)

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

    def settings(self) -> str:
        """The settings of the views as YAML, as a configuration file holds them."""
        train = self._config.train
        names = [*_SETTINGS, *(["rare_class_views"] if train.rare_class_views else [])]
        names += [] if self._policy else ["flip", "color_jitter"]
        height, width = self.image_size
        tree: dict[str, dict[str, Any]] = {
            "model": {"image_height": height, "image_width": width},
            "train": {name: getattr(train, name) for name in names},
        }
        if self._policy:
            tree["train"]["train_policy"] = policy_tree(self._policy)
        text = f"# {self.title}\n"
        text += yaml.safe_dump(tree, sort_keys=False, default_flow_style=None)
        if train.rare_class_views:
            share = f"{train.rare_class_views:.0%}"
            text += f"# {share} of the views show another pair, for a rare class.\n"
        return text
