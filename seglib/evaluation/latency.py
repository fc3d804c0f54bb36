"""How long a model takes for one image."""

import statistics
import time

from seglib.data.pairs import Pair, read_pair
from seglib.models.model import SegmentationModel

_TIMED = 10  # predictions, after two that compile and warm up


def measure_latency(
    model: SegmentationModel, pair: Pair
) -> tuple[float, tuple[int, int]]:
    """The median over one image, decoded already, from pixels to class ids.

    Returns:
        Milliseconds, and the image's (height, width) in pixels.
    """
    image, mask = read_pair(pair, model.contract.inputs)
    durations = []
    for _ in range(_TIMED + 2):
        started = time.perf_counter()
        model.predict(image)
        durations.append(time.perf_counter() - started)
    height, width = mask.shape
    return 1000 * statistics.median(durations[2:]), (height, width)
