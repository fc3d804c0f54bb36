"""How an exported model compares with the Keras model: answers, scores, speed, size."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from seglib.data.pairs import Pair, read_pair
from seglib.evaluation.metrics import Scores, confusion_matrix
from seglib.exports.exported import FORMATS, ExportedModel
from seglib.exports.saved_model import random_image
from seglib.models.model import SegmentationModel

_LEAST_CALLS, _MOST_CALLS, _LONGEST_S = 5, 50, 2.0
THREADS = 2  # of the latencies


@dataclass(frozen=True)
class Example:
    """An image that both models see, and its mask, if there is one."""

    image: np.ndarray  # uint8 (H, W, C)
    mask: np.ndarray | None = None  # (H, W)


@dataclass
class Answers:
    """What one model answered, against the Keras model and against the masks."""

    num_classes: int
    ignore_index: int | None
    difference: float = 0.0  # the largest of the logits
    equal: int = 0  # pixels
    pixels: int = 0
    confusion: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.confusion = np.zeros((self.num_classes, self.num_classes), np.int64)

    def add(self, expected: np.ndarray, logits: np.ndarray, example: Example) -> None:
        """Count the answer to one image: logits (H, W, num_classes) of both."""
        ids = logits.argmax(-1)
        self.difference = max(self.difference, float(np.abs(logits - expected).max()))
        self.equal += int(np.count_nonzero(ids == expected.argmax(-1)))
        self.pixels += ids.size
        if example.mask is not None:
            self.confusion += confusion_matrix(
                example.mask,
                ids.astype(example.mask.dtype),
                num_classes=self.num_classes,
                ignore_index=self.ignore_index,
            )

    def facts(self) -> dict[str, Any]:
        """As comparison.json has them; `miou` is None without masks."""
        counted = self.confusion.any()
        return {
            "max_logit_difference": self.difference,
            "equal_pixels": self.equal / max(self.pixels, 1),
            "miou": Scores(self.confusion).miou if counted else None,
        }


def read_examples(pairs: Sequence[Pair], model: SegmentationModel) -> Iterator[Example]:
    """Pairs of a dataset, one after the other; else pictures of three sizes."""
    contract = model.contract
    for pair in pairs:
        yield Example(*read_pair(pair, contract.inputs))
    if not pairs:
        height, width = contract.image_size
        sizes = [(height, width), (2 * height, 2 * width), (height + 13, width - 7)]
        for seed, size in enumerate(sizes):
            yield Example(random_image(seed, size, contract.channels))


def compare(
    model: SegmentationModel,
    folder: Path,
    names: Sequence[str],
    examples: Iterable[Example],
) -> dict[str, Any]:
    """Let each format answer the same images as the Keras model.

    Returns:
        `images`, their (height, width), and `formats`: by format, and for `keras`
        itself, `max_logit_difference`, `equal_pixels`, `miou`; `latency_ms`, p50 and
        p95 of one image of the network's size, from uint8 to class ids;
        `cold_start_s`, to open it and answer once; `bytes`.
    """
    size, channels = model.contract.image_size, model.contract.channels
    sample = random_image(0, size, channels)
    models: dict[str, Any] = {"keras": model}
    table: dict[str, dict[str, Any]] = {"keras": {}}
    for name in names:
        started = time.perf_counter()
        models[name] = ExportedModel.open(folder, name, threads=THREADS)
        models[name].predict(sample)
        table[name] = {
            "cold_start_s": round(time.perf_counter() - started, 3),
            "bytes": _size(folder / FORMATS[name].file),
        }
    contract = model.contract
    answers = {
        name: Answers(contract.num_classes, contract.ignore_index) for name in models
    }
    sizes: list[list[int]] = []
    for example in examples:
        sizes.append([*example.image.shape[:2]])
        expected = model.predict_logits(example.image)
        for name, each in models.items():
            logits = expected if each is model else each.predict_logits(example.image)
            answers[name].add(expected, logits, example)
    for name, each in models.items():
        table[name] |= answers[name].facts() | {"latency_ms": _latency(each, sample)}
    return {"images": sizes, "formats": table}


def _latency(model: Any, sample: np.ndarray) -> dict[str, float]:
    durations: list[float] = []
    while len(durations) < _LEAST_CALLS or (
        len(durations) < _MOST_CALLS and sum(durations) < _LONGEST_S
    ):
        started = time.perf_counter()
        model.predict(sample)
        durations.append(1000 * (time.perf_counter() - started))
    p50, p95 = np.percentile(durations, [50, 95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(file.stat().st_size for file in files)
