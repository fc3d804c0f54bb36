"""The training images of a training: their pairs, class balance and batches."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from seglib.config import TrainConfig
from seglib.data.augmentation.augmenter import Augmenter, Function
from seglib.data.dataset import Dataset
from seglib.data.loader import PairSource, batch_members, training_batches
from seglib.data.shards import ShardSource
from seglib.distributed.process_group import ProcessGroup
from seglib.errors import SegError, UsageError
from seglib.models.contract import Contract
from seglib.training.class_balance import ClassBalance
from seglib.training.step import StepResult

_NAMED = 8  # images of a batch


@dataclass(frozen=True)
class TrainingData:
    """What a training learns from."""

    source: PairSource
    balance: ClassBalance
    contract: Contract
    config: TrainConfig
    policy: Function | None = None

    @classmethod
    def open(
        cls,
        data: Dataset,
        shards: str | None,
        contract: Contract,
        config: TrainConfig,
        log: Callable[[str], None],
        *,
        policy: Function | None = None,
    ) -> Self:
        """Open the train split, or the shards in its place, and count its classes.

        Raises:
            UsageError: views of rare classes, or a policy that mixes pairs, where
                shards are streamed.
            SegError: a file cannot be read, a mask holds an id that is no class, or no
                pixel of any mask is labelled.
        """
        source = (
            ShardSource(shards, inputs=contract.inputs)
            if shards
            else PairSource(data.pairs("train"), inputs=contract.inputs)
        )
        source.keep_decoded(log)
        wish = policy or config.train_policy
        mixes = bool(wish) and Augmenter(wish, contract.ignore_index).mixes
        draws_any = mixes or config.rare_class_views > 0
        if draws_any and source.is_streamed:
            raise UsageError(
                "`rare_class_views` and policies that mix pairs draw any pair at any "
                "time, and these shards fit neither the memory nor the disk. Set "
                "`rare_class_views: 0` and another policy, or free "
                "some of the cache's disk (SEGLIB_CACHE)."
            )
        balance = ClassBalance.of(
            source,
            num_classes=contract.num_classes,
            ignore_index=contract.ignore_index,
            by_image=draws_any,
        )
        if not balance.totals.pixels.any():
            raise SegError(
                "Every pixel of the training masks is ignored "
                f"(ignore_index={contract.ignore_index}). Expected pixels of classes. "
                "Run `seglib verify`, which names the files."
            )
        return cls(source, balance, contract, config, policy)

    @property
    def steps_per_epoch(self) -> int:
        one_pass = max(1, len(self.source) // self.config.batch_size)
        return self.config.steps_per_epoch or one_pass

    def batches(
        self, *, first_step: int, group: ProcessGroup, num_threads: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """This process's parts of the batches, without end, from a step on."""
        rare = self.balance.rare_views
        policy = self.policy or self.config.train_policy
        batches = training_batches(
            self.source,
            image_size=self.contract.image_size,
            ignore_index=self.contract.ignore_index,
            config=self.config,
            first_step=first_step,
            share=(group.index, group.count),
            num_threads=num_threads,
            rare=rare(self.source, self.config.rare_class_views),
            policy=policy,
            others=rare(self.source, 1.0) if policy else None,
        )
        return iter(batches)

    def divergence(self, step: int, result: StepResult, *, processes: int) -> str:
        """What to say of a loss that is not finite.

        Args:
            step: from 1.
            result: of it.
            processes: that share the batches.
        """
        members = batch_members(self.source, self.config, step - 1, lanes=processes)
        names = ", ".join(self.source.name(index) for index in members[:_NAMED])
        more = f" and {len(members) - _NAMED} more" if len(members) > _NAMED else ""
        return (
            f"The loss is {result.loss} at step {step}: training diverged. Its "
            f"learning rate: {result.learning_rate:.3g}, its images: {names}{more}. "
            f"Lower `learning_rate` (now {self.config.learning_rate}), or clip the "
            "gradients by `clip_norm: 1`."
        )
