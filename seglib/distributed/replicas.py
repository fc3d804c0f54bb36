"""Several GPUs of one machine: each computes a part of every batch, all learn as one.

The weights after a step are those that one device would have reached, up to the order
of additions: the loss is divided by the weight of the whole batch, and the statistics
of batch normalisation are the whole batch's. The batch size stays what it is
configured as; it is not multiplied by the number of devices.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras

from seglib.distributed.process_group import Processes
from seglib.errors import UsageError


class Replicas:
    """The devices of a training.

    Args:
        devices: their names, such as GPU:0. Default: all GPUs, else the CPU.
        batch_size: of all of them together.
        processes: those that share a batch; each has one device of its own.

    Raises:
        UsageError: several devices on a backend other than TensorFlow, one that is not
            there, or more of them than share the batch evenly.
    """

    def __init__(
        self,
        devices: Sequence[str] | None,
        *,
        batch_size: int,
        processes: Processes | None = None,
    ):
        several = processes.count if processes else 1
        found = list(devices or ())
        if devices is None and several == 1:  # TensorFlow lists the others' GPUs, too
            found = _gpus()
        if several > 1 and len(found) > 1:
            raise UsageError(
                f"Each of several processes trains on one device. Received: {found}."
            )
        self.count = max(several, len(found))
        if batch_size % self.count:
            what = f"{several} processes" if several > 1 else f"{self.count} devices"
            raise UsageError(
                f"`batch_size` must be a multiple of the {what} that share it. "
                f"Received: batch_size={batch_size}"
                f"{' on ' * bool(found)}{', '.join(found)}. Change it, or use fewer."
            )
        self.described = f", in {several} processes" if several > 1 else ""
        if len(found) > 1:
            self.described = f", on {len(found)} devices"
        self._strategy = _mirrored(found) if len(found) > 1 else None

    def scope(self) -> AbstractContextManager[Any]:
        """Where what learns is built: its variables lie on every device."""
        return self._strategy.scope() if self._strategy else nullcontext()


def _gpus() -> list[str]:
    if keras.backend.backend() != "tensorflow":
        return []  # another backend trains on its first device
    import tensorflow as tf

    return [device.name for device in tf.config.list_logical_devices("GPU")]


def _mirrored(devices: list[str]) -> Any:
    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            "Several devices train together on the TensorFlow backend only. Received: "
            f"{', '.join(devices)} on {keras.backend.backend()}. Name one device."
        )
    import tensorflow as tf

    here = [device.name for device in tf.config.list_logical_devices()]
    for device in devices:
        if not any(name.endswith(device.removeprefix("/device:")) for name in here):
            raise UsageError(
                f"There is no device {device}. Expected: of {', '.join(here)}."
            )
    on_gpus = all("GPU" in device for device in devices)
    reduction = None if on_gpus else tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=reduction)
