"""Random textures."""

import cv2
import numpy as np


def tile(rng: np.random.Generator, size: int, *, roughness: float) -> np.ndarray:
    """Noise that repeats seamlessly, with mean 0 and deviation 1.

    Args:
        size: side of the square in pixels.
        roughness: power of the spectrum's fall; 0 is white, 2 is like clouds.

    Returns:
        float32 array (size, size).
    """
    spectrum = np.fft.rfft2(rng.standard_normal((size, size)))
    down = np.fft.fftfreq(size)[:, None]
    across = np.fft.rfftfreq(size)[None]
    frequency = np.hypot(down, across)
    frequency[0, 0] = 1
    spectrum *= frequency**-roughness
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, s=(size, size))
    return (noise / noise.std()).astype(np.float32)


def sample(texture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A seamless square texture read at positions given in its own pixels."""
    size = texture.shape[0]
    padded = np.pad(texture, ((0, 1), (0, 1)), mode="wrap")
    return cv2.remap(
        padded,
        np.mod(x, size).astype(np.float32),
        np.mod(y, size).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def patch(
    rng: np.random.Generator, height: int, width: int, *, grain: float
) -> np.ndarray:
    """Smooth noise of about -1 … 1 with features of `grain` pixels, (height, width)."""
    rows = max(2, round(height / grain) + 1)
    columns = max(2, round(width / grain) + 1)
    coarse = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
