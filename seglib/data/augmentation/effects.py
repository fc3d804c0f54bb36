"""Effects on an image alone: blur, noise, compression, shadow and fog."""

from statistics import NormalDist

import cv2
import numpy as np

_COARSE = 8  # shadow and fog have an eighth of the image's resolution
# The middles of 256 equal parts of the normal distribution, by rising value.
_NORMAL = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])
_FOG_GREY = 235


def add_effect(
    image: np.ndarray, name: str, value: float, rng: np.random.Generator
) -> np.ndarray:
    """Apply an effect to an image uint8 (H, W, 1 or 3)."""
    return EFFECTS[name](image, value, rng).reshape(image.shape)


def _blur(image: np.ndarray, sigma: float, _: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), sigma) if sigma > 0.1 else image


def _motion(image: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """The mean along a line of random direction, as means of halves of halves."""
    angle = rng.uniform(0, np.pi)
    halves = length / 2.0 ** np.arange(1, max(1, round(np.log2(length))) + 1)
    down = (halves * np.sin(angle)).round().astype(int)
    right = (halves * np.cos(angle)).round().astype(int)
    tall, wide = down.sum(), abs(right.sum())
    edges = (tall // 2, tall - tall // 2, wide // 2, wide - wide // 2)
    image = cv2.copyMakeBorder(image, *edges, borderType=cv2.BORDER_REPLICATE)
    for y, x in zip(down, abs(right), strict=True):
        height, width = image.shape[:2]
        here, there = image[: height - y], image[y:]
        if angle < np.pi / 2:
            here, there = here[:, : width - x], there[:, x:]
        else:
            here, there = here[:, x:], there[:, : width - x]
        image = cv2.addWeighted(here, 0.5, there, 0.5, 0)
    return image


def _noise(image: np.ndarray, std: float, rng: np.random.Generator) -> np.ndarray:
    """Each value gets one of 256 equally likely values of the normal distribution."""
    drawn = np.frombuffer(rng.bytes(image.size), np.uint8).reshape(image.shape)
    noise = cv2.LUT(drawn, (_NORMAL * std * 255).round().astype(np.int16))
    return cv2.add(image, noise.reshape(image.shape), dtype=cv2.CV_8U)


def _jpeg(image: np.ndarray, quality: float, _: np.random.Generator) -> np.ndarray:
    is_grey = image.shape[2] == 1
    # OpenCV holds colours as BGR.
    picture = image if is_grey else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, round(quality)])
    how = cv2.IMREAD_GRAYSCALE if is_grey else cv2.IMREAD_COLOR
    back = cv2.imdecode(data, how)
    return back if is_grey else cv2.cvtColor(back, cv2.COLOR_BGR2RGB)


def _shadow(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """The shadow of something beside a street, on its lower part, with a soft edge."""
    height, width = _coarse_size(image)
    light = np.full((height, width), 1, np.float32)
    ends = np.sort(rng.uniform(-0.2, 1.2, (2, 2)), 1) * width
    top = round(rng.uniform(0.3, 0.7) * height)
    (left, right), (below_left, below_right) = ends
    corners = [(left, top), (right, top), (below_right, height), (below_left, height)]
    cv2.fillPoly(light, [np.array(corners).round().astype(np.int32)], 1 - share)
    return _lit(image, cv2.blur(light, (3, 3)), 0)


def _fog(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Clouds of fog, which grow thinner from a horizon downwards."""
    height, width = _coarse_size(image)
    clouds = rng.uniform(0.6, 1, (3, 4)).astype(np.float32)
    clouds = cv2.resize(clouds, (width, height), interpolation=cv2.INTER_LINEAR)
    below = np.linspace(0, 1, height, dtype=np.float32) - rng.uniform(0.2, 0.5)
    clouds *= (share * (1 - 0.8 * below.clip(0, 1)))[:, None].astype(np.float32)
    return _lit(image, 1 - clouds, _FOG_GREY)


def _lit(image: np.ndarray, light: np.ndarray, veil: float) -> np.ndarray:
    """`image * light + veil * (1 - light)`, the light given at low resolution."""
    height, width, channels = image.shape
    light = cv2.merge([(light * 255).round().astype(np.uint8)] * channels)
    light = cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR)
    light = light.reshape(image.shape)
    image = cv2.multiply(image, light, scale=1 / 255).reshape(image.shape)
    if not veil:
        return image
    rest = cv2.bitwise_not(light).reshape(image.shape)
    return cv2.scaleAdd(rest, veil / 255, image)


def _coarse_size(image: np.ndarray) -> tuple[int, int]:
    return max(4, image.shape[0] // _COARSE), max(4, image.shape[1] // _COARSE)


EFFECTS = {
    "blur": _blur,
    "motion": _motion,
    "noise": _noise,
    "jpeg": _jpeg,
    "shadow": _shadow,
    "fog": _fog,
}
