"""SegFormer's published weights, from PyTorch's files or keras-hub's presets.

Their authors' networks for ADE20K and Cityscapes are published for PyTorch (the
transformers library, `nvidia/segformer-b0-finetuned-ade-512-512` and others) and as
presets of keras-hub (`segformer_b0_ade20k_512`). Either is read as arrays in Keras's
order by the names of our layers.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from seglib.errors import UsageError
from seglib.models.encoders.keras_hub import preset_weights
from seglib.models.encoders.mix_transformer import VARIANTS
from seglib.models.torch_weights import read_state_dict

DATASETS = ("ade20k", "cityscapes")
_SIZES = {"ade20k": 512, "cityscapes": 1024}
_ATTENTION = ("self.query", "self.key", "self.value", "output.dense")

Arrays = dict[str, list[np.ndarray]]  # by our layer, in the order of its weights


class _Place(NamedTuple):
    """One of our layers, and the names of its parts elsewhere."""

    ours: str
    torch: tuple[str, ...]
    hub: Callable[[Any], list[Any]]  # from a segmenter to its layers


def preset_of(encoder: str, dataset: str) -> str:
    """keras-hub's preset of SegFormer on an encoder, trained on a dataset."""
    size = 640 if (encoder, dataset) == ("mit_b5", "ade20k") else _SIZES[dataset]
    return f"{encoder.replace('mit', 'segformer')}_{dataset}_{size}"


def read_segformer(encoder: str, source: str | Path) -> Arrays:
    """The published arrays of SegFormer on an encoder.

    Args:
        source: "ade20k" or "cityscapes", which keras-hub downloads; the folder of such
            a preset; or a state dict of the transformers library.

    Raises:
        SegError: they cannot be downloaded or read, or are not SegFormer's.
    """
    places = [*_encoder_places(encoder), *_decoder_places()]
    if source in DATASETS or Path(source).is_dir():
        preset = preset_of(encoder, str(source)) if source in DATASETS else str(source)
        segmenter = preset_weights(preset, "SegFormerImageSegmenter")
        return _from_hub(segmenter, places)
    return _from_torch(read_state_dict(Path(source)), places, source)


def _from_hub(segmenter: Any, places: list[_Place]) -> Arrays:
    return {
        place.ours: [x for part in place.hub(segmenter) for x in part.get_weights()]
        for place in places
    }


def _from_torch(
    state: dict[str, np.ndarray], places: list[_Place], source: str | Path
) -> Arrays:
    arrays = {}
    for place in places:
        found = [x for prefix in place.torch for x in _converted(state, prefix)]
        if found:
            arrays[place.ours] = found
    if not arrays:
        raise UsageError(
            f"{source}: no weights of SegFormer. Expected names as in the transformers "
            f"library, such as `segformer.encoder.{places[0].torch[0]}.weight`. "
            f"Received: {', '.join(list(state)[:3])} …"
        )
    return arrays


def _converted(state: dict[str, np.ndarray], prefix: str) -> Iterator[np.ndarray]:
    """A part's arrays in Keras's axis order; none if the file has no such part."""
    for kind in ("weight", "bias", "running_mean", "running_var"):
        names = (f"{start}{prefix}.{kind}" for start in ("", "segformer.encoder."))
        array = next((state[name] for name in names if name in state), None)
        if array is None:
            continue
        if array.ndim == 4:  # (O, I, K, K); depthwise (C, 1, K, K)
            is_depthwise = "dwconv" in prefix
            array = array.transpose((2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0))
        yield array.T if array.ndim == 2 else array


def _encoder_places(encoder: str) -> Iterator[_Place]:
    for stage, depth in enumerate(VARIANTS[encoder][1]):
        embed = f"patch_embeddings.{stage}", f"patch_and_embed_{stage}"
        for ours, torch, hub in (
            ("conv", "proj", "proj"),
            ("norm", "layer_norm", "norm"),
        ):
            yield _place(f"stage{stage}_embed_{ours}", embed, torch, hub)
        for block in range(depth):
            name = f"stage{stage}_block{block}"
            where = f"block.{stage}.{block}", f"hierarchical_encoder_{stage}_{block}"
            for ours, torch, hub in _BLOCK:
                if stage < 3 or "reduce" not in ours:
                    yield _place(f"{name}_{ours}", where, torch, hub)
        yield _Place(f"stage{stage}_norm", (f"layer_norm.{stage}",), _stage_norm(stage))


# Of each block: our layer, its parts in PyTorch, its parts in keras-hub.
_BLOCK = (
    ("attention_norm", "layer_norm_1", "norm1"),
    ("reduce", "attention.self.sr", "attn.sr"),
    ("reduce_norm", "attention.self.layer_norm", "attn.norm"),
    (
        "attention",
        " ".join(f"attention.{x}" for x in _ATTENTION),
        "attn.q attn.k attn.v attn.proj",
    ),
    ("mix_norm", "layer_norm_2", "norm2"),
    ("mix_in", "mlp.dense1", "mlp.fc1"),
    ("mix_conv", "mlp.dwconv.dwconv", "mlp.dwconv"),
    ("mix_out", "mlp.dense2", "mlp.fc2"),
)


def _place(ours: str, where: tuple[str, str], torch: str, hub: str) -> _Place:
    def parts(segmenter: Any) -> list[Any]:
        layer = _hub_encoder(segmenter).get_layer(where[1])
        return [_attribute(layer, path) for path in hub.split()]

    return _Place(ours, tuple(f"{where[0]}.{part}" for part in torch.split()), parts)


def _attribute(layer: Any, path: str) -> Any:
    for name in path.split("."):
        layer = getattr(layer, name)
    return layer


def _hub_encoder(segmenter: Any) -> Any:
    return segmenter.backbone.image_encoder


def _stage_norm(stage: int) -> Callable[[Any], list[Any]]:
    def norm(segmenter: Any) -> list[Any]:
        layers = _hub_encoder(segmenter).layers
        kind = keras.layers.LayerNormalization
        return [[layer for layer in layers if isinstance(layer, kind)][stage]]

    return norm


def _decoder_places() -> Iterator[_Place]:
    def at(ours: str, torch: str, part: Callable[[Any], Any]) -> _Place:
        return _Place(ours, (f"decode_head.{torch}",), lambda hub: [part(hub)])

    for stage in range(4):
        part = partial(_linear, stage=stage)
        yield at(f"linear{stage + 2}", f"linear_c.{stage}.proj", part)
    yield at("mix_conv", "linear_fuse", lambda hub: hub.backbone.linear_fuse.layers[0])
    yield at("mix_bn", "batch_norm", lambda hub: hub.backbone.linear_fuse.layers[1])
    yield at("head", "classifier", lambda hub: hub.output_segmentation_head)


def _linear(segmenter: Any, stage: int) -> Any:
    return segmenter.backbone.mlp_blocks[stage]
