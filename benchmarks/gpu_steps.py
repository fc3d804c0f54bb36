"""What the parts of `benchmarks.gpu` are made of: networks, steps, batches."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.gpu_parts import Part

CLASSES, IGNORED = 8, 255  # of the painted scenes


def compiled_step_of(part: Part) -> Any:
    """The product's step; several in one call where the part says so."""
    import tensorflow as tf

    from seglib.config import TrainConfig
    from seglib.distributed.process_group import ProcessGroup
    from seglib.evaluation.metrics import MeanIoU
    from seglib.training.optimizer import build_optimizer
    from seglib.training.step import compiled_step

    network = network_of(part)
    metric = MeanIoU(CLASSES, IGNORED)
    if not part.metric:
        metric.count = lambda *_: tf.zeros([], "float32")  # type: ignore[method-assign]
    scales_loss = part.precision == "float16"
    optimizer = build_optimizer(TrainConfig(), network, scales_loss=scales_loss)
    step = compiled_step(
        network,
        optimizer,
        loss=loss(),
        metric=metric,
        group=ProcessGroup(),
        xla=part.xla,
    )
    if part.calls == 1:
        return step

    @tf.function(autograph=False)
    def several(*batch: Any) -> Any:
        return [step(*batch) for _ in range(part.calls)][-1]

    return several


def network_of(part: Part) -> Any:
    from seglib.models import copy_network

    return copy_network(model_of(part), precision=part.precision)


def model_of(part: Part) -> Any:
    from seglib.models import build_model

    return build_model(
        part.network, num_classes=CLASSES, image_size=part.size, ignore_index=IGNORED
    )


def loss() -> Any:
    from seglib.training.losses import CrossEntropy

    weights = [1 + 0.1 * index for index in range(CLASSES)]
    return CrossEntropy(ignore_index=IGNORED, class_weights=weights)


def dataset_of(part: Part) -> Any:
    from seglib.data.verification.loading import load_dataset

    return load_dataset(Path(part.data))


def random_batch(part: Part) -> tuple[Any, Any, Any]:
    """Random images and masks as the loader gives them, and a learning rate."""
    import numpy as np

    rng, shape = np.random.default_rng(0), (part.batch_size, *part.size)
    images = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    masks = rng.integers(0, CLASSES, shape).astype(part.masks)
    return images, masks, np.float32(1e-3)


def copied_ahead(batches: Iterator[tuple[Any, Any]]) -> Iterator[list[Any]]:
    """Batches that a thread copies to the device, one ahead."""
    import tensorflow as tf

    device = (tf.config.list_logical_devices("GPU") or [None])[0]

    def copy(batch: tuple[Any, Any]) -> list[Any]:
        with tf.device(device and device.name):
            return [tf.identity(tensor) for tensor in batch]

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(copy, next(batches))
        for batch in batches:
            now, coming = coming, pool.submit(copy, batch)
            yield now.result()
