"""The rules of a plan: what is chosen for which dataset, and the reason.

Each rule states the measurement or the publication that it follows. The measurements
are those of docs/results.md and of the recipes in configs/; a choice that nobody has
measured here says so in its reason.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seglib.config import Config
from seglib.planning.fingerprint import Fingerprint

_STRIDE = 32  # of the encoders
_OUTPUT_STRIDE = {"compact": 2, "fpn": 4}  # pixels to a cell of the scores
_SMALLEST = 64  # pixels: of smaller images the deepest maps are a single cell
_LARGEST = {"cpu": 448 * 640, "gpu": 1024 * 1024}  # pixels of an image that is served
_LEAST_VIEW = 160  # pixels of a view's shorter side, as in configs/sample.yaml
_VIEW_PIXELS = {"cpu": 8 * 192 * 256, "gpu": 16 * 360 * 480}  # of a batch
_BATCHES = {"cpu": (4, 32), "gpu": (8, 64)}
_LONG = 15  # minutes
_FEW = 4  # views in a step
_MILD, _STRONG = 3, 10  # of the largest class's pixels to the smallest's
_RARE = 0.1  # of the images
_FAINT = 0.001  # of the pixels
_SIDED = ("left", "right")  # in names of classes that a mirror exchanges


@dataclass(frozen=True)
class Machine:
    """What the training has to go with.

    device: "cpu" or "gpu".
    has_weights: whether EfficientNet-Lite's ImageNet weights are installed.
    """

    device: str
    has_weights: bool


@dataclass(frozen=True)
class Choice:
    """A setting, its value, and the reason for it."""

    name: str
    value: Any
    reason: str


@dataclass(frozen=True)
class Situation:
    """What a rule may look at: data, machine, budget, and what is chosen already."""

    facts: Fingerprint
    machine: Machine
    minutes: float
    chosen: Mapping[str, Any]

    @property
    def image_size(self) -> tuple[int, int]:
        return self.chosen["image_height"], self.chosen["image_width"]

    @property
    def view(self) -> tuple[int, int]:
        return self.chosen["crop_height"], self.chosen["crop_width"]


Rule = Callable[[Situation], Iterator[Choice]]


def choose(
    facts: Fingerprint, machine: Machine, minutes: float
) -> tuple[Config, list[Choice]]:
    """Apply the rules in their order.

    Returns:
        The configuration without what follows from measured times, and its choices.
    """
    chosen: dict[str, Any] = {}
    choices: list[Choice] = []
    for rule in RULES:
        for choice in rule(Situation(facts, machine, minutes, chosen)):
            chosen[choice.name] = choice.value
            choices.append(choice)
    return Config.from_flat(chosen), choices


def network(s: Situation) -> Iterator[Choice]:
    """ImageNet weights wherever they can be had: worth more than any architecture.

    CamVid on two cores: 0.706 with them, 0.562 without. `fpn`
    learns faster at first: 0.604 after 1½ minutes, `compact` 0.562. But
    `compact` scores cells of 2×2 pixels, which keep thin objects apart.
    """
    thickness, thinnest = s.facts.thinnest
    if not s.machine.has_weights:
        why = "from random weights; pip install 'seglib[pretrained]' is worth more"
        yield Choice("architecture", "compact", why)
        return
    if thickness < _OUTPUT_STRIDE["fpn"]:
        thin = s.facts.dataset.class_names[thinnest]
        why = f"scores at stride 2: {thin} is {thickness} pixels thick; not measured"
        yield Choice("architecture", "compact", why)
    elif s.minutes <= 3 and s.machine.device == "cpu":
        why = "learns fastest: CamVid 0.604 after 1½ minutes, compact 0.562"
        yield Choice("architecture", "fpn", why)
    else:
        why = "a light pyramid, as in configs/camvid-cpu.yaml"
        yield Choice("architecture", "compact", why)
    why = "CamVid 0.706 with its weights, 0.562 from random ones"
    yield Choice("encoder", "efficientnet_lite0", why)
    yield Choice("weights", "imagenet", "from the installed package")


def channels(s: Situation) -> Iterator[Choice]:
    """Grey files are read as RGB, which ImageNet's weights expect; alpha if it varies.

    Without those weights a grey image needs one channel only.
    """
    stored = {count for count, _ in s.facts.stored}
    if stored == {1}:
        if s.machine.has_weights:
            why = "grey files, read as RGB for ImageNet's weights; not measured"
            yield Choice("channels", 3, why)
        else:
            yield Choice("channels", 1, "the files are grey")
    elif s.facts.channels == 4:
        yield Choice("channels", 4, "the alpha channel varies; its weights begin at 0")


def image_size(s: Situation) -> Iterator[Choice]:
    """The median size, scaled down to what the device can look at as a whole.

    Models predict at this size, and are scored at the images' own.
    """
    height, width = s.facts.size
    area, largest = height * width, _LARGEST[s.machine.device]
    scale, why = 1.0, "the median size"
    if area > largest:
        scale = (largest / area) ** 0.5
        why = f"of {height}×{width}: what this machine predicts at once; not measured"
        thickness, thinnest = s.facts.thinnest
        least = min(1.0, _OUTPUT_STRIDE[s.chosen["architecture"]] / thickness)
        if scale < least:
            scale = min(least, 2 * scale)
            thin = s.facts.dataset.class_names[thinnest]
            why = (
                f"of {height}×{width}: {thin} is {thickness} pixels thick; not measured"
            )
    elif min(height, width) < _SMALLEST:
        scale = _SMALLEST / min(height, width)
        why = (
            f"of {height}×{width}: the network has a stride of {_STRIDE}; not measured"
        )
    if scale != 1:
        height, width = _rounded(height * scale), _rounded(width * scale)
    yield Choice("image_height", height, why)
    yield Choice("image_width", width, "")


def view(s: Situation) -> Iterator[Choice]:
    """On CPUs a part of each side, as the CamVid recipes: small views at full detail.

    In 18 minutes views of 0.72 reached 0.706 on CamVid, views of half 0.687. GPUs take
    whole images: a CamVid training on one reached 0.760 so in 5 minutes.
    """
    height, width = s.image_size
    share = 0.72 if s.minutes >= _LONG and "weights" in s.chosen else 0.5
    share = max(share, _LEAST_VIEW / min(height, width))
    if s.machine.device == "gpu" or share >= 1:
        why = "the whole image" + ("" if share >= 1 else ", as a GPU affords it")
        yield Choice("crop_height", height, why)
        yield Choice("crop_width", width, "")
        return
    why = f"views of about {share:.0%} of each side: short steps at full detail"
    yield Choice("crop_height", _rounded(height * share), why)
    yield Choice("crop_width", _rounded(width * share), "")


def augmentation(s: Situation) -> Iterator[Choice]:
    """The zoom begins where a view shows a whole image; copies on disk add nothing.

    CamVid's recipes: 0.5–1.2 with views of half the image; on a GPU 0.5–2.
    """
    share = min(v / i for v, i in zip(s.view, s.image_size, strict=True))
    smallest = 0.5 if share >= 1 else max(0.3, int(10 * share) / 10)
    why = "random zoom; at the smallest a view shows about a whole image"
    yield Choice("min_scale", smallest, why if share < 1 else "random zoom")
    yield Choice("max_scale", 2.0 if share >= 1 else 1.2, "")
    yield Choice("copies", 0, "random views are enough; no copies on disk")
    sided = [
        name
        for name in s.facts.dataset.class_names
        if any(side in name.lower() for side in _SIDED)
    ]
    if sided:
        yield Choice("flip", False, f"a mirror image would exchange {sided[0]}")


def batch_size(s: Situation) -> Iterator[Choice]:
    """As many pixels as in the recipes: 4 views of 256×352, on GPUs 16 of 360×480.

    But no image twice in a batch.
    """
    height, width = s.view
    least, most = _BATCHES[s.machine.device]
    pixels = _VIEW_PIXELS[s.machine.device]
    most = min(most, s.facts.images("train"), pixels // (height * width))
    batch = least
    while 2 * batch <= most:
        batch *= 2
    why = f"views in a step: {batch * height * width / 1e6:.2f} megapixels"
    yield Choice("batch_size", batch, why)


def balance(s: Situation) -> Iterator[Choice]:
    """Weights by the imbalance; 0.5 is CamVid's, whose classes differ 109-fold.

    Classes in few images are shown more often (`ClassBalance.rare_views`).
    """
    ratio, shares = s.facts.imbalance, s.facts.shares
    names, presence = s.facts.dataset.class_names, s.facts.presence
    power = 0.5 if ratio >= _STRONG else 0.25 if ratio >= _MILD else 0.0
    why = f"{ratio:,.1f} : 1, the pixels of the largest class to the smallest"
    yield Choice("class_weight_power", power, why)
    rare = [i for i in range(len(names)) if 0 < presence[i] < _RARE]
    if rare:
        rarest = min(rare, key=lambda i: presence[i])
        why = (
            f"{names[rarest]} is in {presence[rarest]:.1%} of the images; not measured"
        )
        yield Choice("rare_class_views", 0.25, why)
    faint = [i for i in range(len(names)) if 0 < shares[i] < _FAINT]
    if faint:
        # nnU-Net's loss is the sum of both.
        why = f"{names[min(faint, key=lambda i: shares[i])]} has < 0.1 % of the pixels"
        yield Choice("loss", "cross_entropy + dice", f"{why}; not measured")
    else:
        yield Choice("loss", "cross_entropy", "no class below 0.1 % of the pixels")


def rate(s: Situation) -> Iterator[Choice]:
    """The recipes' peaks: 0.002 on ImageNet's weights, 0.003 from random ones.

    0.0014 with batches of 4, CamVid's: by the root of the batch's size.
    """
    pretrained = "weights" in s.chosen
    few = s.chosen["batch_size"] <= _FEW
    why = (
        "of the CamVid recipe with ImageNet's weights" if pretrained else "from scratch"
    )
    yield Choice(
        "learning_rate",
        (0.0014 if few else 0.002) if pretrained else 0.003,
        f"{why}, cosine decay",
    )


RULES: tuple[Rule, ...] = (
    network,
    channels,
    image_size,
    view,
    augmentation,
    batch_size,
    balance,
    rate,
)


def _rounded(side: float) -> int:
    """To a multiple of the stride, at least one."""
    return max(1, round(side / _STRIDE)) * _STRIDE
