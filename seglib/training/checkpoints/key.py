"""The content key of a training: a digest of everything that decides its result."""

import hashlib
import inspect
import json
import re
from dataclasses import asdict
from typing import Any

import keras
import numpy as np

from seglib.code_version import code_digest
from seglib.config import TrainConfig
from seglib.data.augmentation.augmenter import Function
from seglib.data.dataset import Dataset
from seglib.data.shards import read_shard_index
from seglib.models.contract import CUSTOM
from seglib.models.model import SegmentationModel
from seglib.storage.files import files_sha256
from seglib.training.distillation import Distillation

_TRAINER = "seglib.training.trainer"
PICTURES = {"seglib.drawing"}  # rooms that decide no weight


def content_key(
    model: SegmentationModel,
    data: Dataset,
    *,
    config: TrainConfig,
    shards: str | None = None,
    policy: Function | None = None,
    distillation: Distillation | None = None,
) -> str:
    """The key under which the checkpoints of a training lie.

    Two trainings with the same key are the same: settings, contract, first weights,
    training and validation data, teacher, code and libraries. (The code is what the
    trainer imports, without what draws pictures.)

    Returns:
        64 hexadecimal digits.

    Raises:
        SegError: a file of the data cannot be read.
    """
    parts: dict[str, Any] = {
        "config": asdict(config),
        "contract": model.contract.to_json(),
        "weights": _weights_digest(model),
        "train": read_shard_index(shards).digest
        if shards
        else _pairs_digest(data, "train"),
        "val": _pairs_digest(data, "val"),
        "teacher": _teacher(distillation) if distillation else None,
        "backend": keras.backend.backend(),
        "code": code_digest(_TRAINER, without=PICTURES),
    }
    if policy:
        parts["policy"] = _source(policy)
    if model.contract.architecture == CUSTOM:  # no name that says what its layers are
        parts["layers"] = _layers(model.network)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _teacher(distillation: Distillation) -> dict[str, Any]:
    return {
        "contract": distillation.teacher.contract.to_json(),
        "weights": _weights_digest(distillation.teacher),
        "logits_weight": distillation.logits_weight,
        "temperature": distillation.temperature,
        "pairwise_weight": distillation.pairwise_weight,
    }


def _source(policy: Function) -> str:
    """The code of a function; its name, where that cannot be read."""
    try:
        return inspect.getsource(policy)
    except (OSError, TypeError):
        kind = policy if inspect.isroutine(policy) else type(policy)
        return f"{kind.__module__}.{kind.__qualname__}"


def _layers(network: keras.Model) -> str:
    """Its configuration without names: Keras numbers them by what was built before."""
    numbers: dict[str, str] = {}
    parts: list[Any] = [network]
    for part in parts:  # grows
        numbers.setdefault(part.name, f"#{len(numbers)}")
        parts.extend(getattr(part, "layers", ()))
    text: str = network.to_json()
    return re.sub(r'"([^"]*)"', lambda found: numbers.get(found[1], found[0]), text)


def _weights_digest(model: SegmentationModel) -> str:
    digest = hashlib.sha256()
    for array in model.network.get_weights():
        digest.update(f"{array.dtype.name} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _train_digest(data: Dataset, shards: str | None) -> str:
    """Of the train split; a shard is checked against its digest when it is read."""
    return read_shard_index(shards).digest if shards else _pairs_digest(data, "train")


def _pairs_digest(data: Dataset, split: str) -> str:
    """Of the pairs' bytes, or of the dataset's hash where it has one."""
    pairs = data.splits.get(split, ())
    if not data.data_md5:
        return files_sha256(path for pair in pairs for path in pair.all_files())
    names = [
        [path.relative_to(data.root).as_posix() for path in p.all_files()]
        for p in pairs
    ]
    return hashlib.sha256(json.dumps([data.data_md5, names]).encode()).hexdigest()
