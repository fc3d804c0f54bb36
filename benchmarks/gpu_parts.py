"""The parts of `benchmarks.gpu`: what is measured, and with which flags."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Part:
    """What is measured.

    kind: a key of `MEASURES`.
    calls: steps in one call.
    masks: their dtype. TensorFlow keeps int32 in the host's memory until XLA needs it.
    autotune: XLA's level; None: its own.
    cache: on the disk: "tuning", XLA's of the fastest kernels, or "steps", TensorFlow's
        of compiled steps.
    run: with the same cache; the second one finds what the first one has stored.
    data: folder of a dataset.
    """

    kind: str
    network: str = "unet"
    precision: str = "float32"
    xla: bool = False
    calls: int = 1
    metric: bool = True
    masks: str = "int32"
    autotune: int | None = None
    cache: str = ""
    run: int = 1
    size: tuple[int, int] = (360, 480)
    batch_size: int = 8
    steps: int = 60
    data: str = ""

    def __str__(self) -> str:
        words = [self.kind, self.network]
        if self.kind not in ("auto", "loader"):
            compiler = "compile" if self.kind == "torch" else "XLA"
            words += [self.precision, *([compiler] if self.xla else ["eager"])]
        if self.calls > 1:
            words.append(f"{self.calls} steps a call")
        if self.autotune is not None:
            words.append(f"autotune {self.autotune}")
        if not self.metric:
            words.append("no metric")
        if self.masks != "int32":
            words.append(f"{self.masks} masks")
        if self.cache:
            words.append(f"cache of {self.cache}, run {self.run}")
        return " ".join(words)

    @property
    def xla_flags(self) -> str:
        """For XLA_FLAGS; they must be there before TensorFlow is imported."""
        folder = Path(self.data)
        if self.kind == "graph":
            return f"--xla_dump_to={folder / self.dump_name} --xla_dump_hlo_as_text"
        if self.autotune is not None:
            return f"--xla_gpu_autotune_level={self.autotune}"
        if self.cache == "tuning":
            return f"--xla_gpu_per_fusion_autotune_cache_dir={folder / 'tuning'}"
        return ""

    @property
    def tensorflow_flags(self) -> str:
        """For TF_XLA_FLAGS."""
        folder = Path(self.data) / "steps"
        if self.cache != "steps":
            return ""
        return f"--tf_xla_persistent_cache_directory={folder}"

    @property
    def dump_name(self) -> str:
        return f"{self.network}-{self.precision}"

    def as_argument(self) -> str:
        """For a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_argument(cls, text: str) -> Self:
        """The part that gave the argument."""
        facts = json.loads(text)
        return cls(**{**facts, "size": tuple(facts["size"])})
