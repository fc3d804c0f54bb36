"""The output of an encoder: maps, and the position of their cells in the image."""

from dataclasses import dataclass
from typing import Any

from seglib.models.layers.upsampling import LearntUpsample, Upsample

# Offsets of maps whose cells lie in the middle of the pixels that they cover.
CENTRED = {f"P{level}": (2**level - 1) / 2 for level in range(6)}


@dataclass(frozen=True)
class Features:
    """Maps {"P1" …} at stride 2**level: (N, H / 2**level, W / 2**level, C).

    `offsets[name]` is the image pixel at which the receptive field of a map's cell 0
    is centred; that of cell i lies at `2**level * i + offset`. It depends on how the
    network halves its maps: 2×2 pooling centres a cell on its pixels, a 3×3 convolution
    with padding (1, 1) on the first of them, with TensorFlow's (0, 1) on the last.
    Upsampling that ignores this shifts its result by up to half a cell.
    """

    maps: dict[str, Any]
    offsets: dict[str, float]

    def __getitem__(self, level: int) -> Any:
        return self.maps[f"P{level}"]

    @property
    def levels(self) -> list[int]:
        """Levels there are, the finest first."""
        return sorted(int(name[1:]) for name in self.maps)

    def upsample(self, x: Any, source: int, target: int, *, name: str) -> Any:
        """Enlarge `x` from the grid of level `source` to that of level `target`.

        Level 0 is the image itself, whether or not there is a map of it.
        """
        if source == target:
            return x
        factor, offset = self._geometry(source, target)
        return Upsample(factor, offset, name=name)(x)

    def learnt_upsample(self, x: Any, source: int, target: int, *, name: str) -> Any:
        """Enlarge by a transposed convolution that starts as interpolation."""
        factor, offset = self._geometry(source, target)
        return LearntUpsample(x.shape[-1], factor, offset, name=name)(x)

    def _geometry(self, source: int, target: int) -> tuple[int, float]:
        shift = self.offsets[f"P{source}"] - self.offsets.get(f"P{target}", 0.0)
        return 2 ** (source - target), shift / 2**target
