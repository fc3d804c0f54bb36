"""Annotations with any part changed end in a message or a result, never in a crash."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from seglib.data.conversion.converter import convert
from seglib.environment import MAX_PIXELS
from seglib.errors import SegError
from tests.data.conversion.samples import SAMPLES, pixels, save
from tests.fakes.mutations import mutated, mutated_tree

COUNT = 30  # of each format
# The document that is mutated.
DOCUMENTS = {
    "labelme": "train/one_a.json",
    "coco": "annotations/instances_train2017.json",
    "coco-panoptic": "annotations/panoptic_train2017.json",
    "huggingface folder": "train/metadata.jsonl",
    "huggingface parquet": "data/train-00000-of-00001.parquet",
    "huggingface arrow": "train/data-00000-of-00001.arrow",
    "colours mapillary": "config.json",
    "colours camvid": "class_dict.csv",
    "voc": "ImageSets/Segmentation/train.txt",
    "ade20k": "objectInfo150.txt",
}
_LIBRARIES = {"coco": "pycocotools", "huggingface": "pyarrow"}


def changed(path: Path, content: bytes, draw: np.random.Generator) -> bytes:
    kind = path.suffix if draw.random() < 0.8 else "damaged"
    if kind == ".json":
        return json.dumps(mutated_tree(json.loads(content), draw)).encode()
    if kind == ".jsonl":
        rows = [json.loads(line) for line in content.splitlines()]
        return "\n".join(map(json.dumps, mutated_tree(rows, draw))).encode()
    if kind in (".csv", ".txt"):
        cells = re.split(r"([,\t\n])", content.decode())
        return "".join(map(str, mutated_tree(cells, draw))).encode()
    if draw.random() < 0.3:
        return content[: int(draw.integers(0, len(content)))]
    return mutated(content, draw)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_mutated_annotations_end_in_a_message_or_in_a_dataset(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if library := _LIBRARIES.get(name.partition(" ")[0]):
        pytest.importorskip(library, reason="pip install 'seglib[convert]'")
    monkeypatch.setenv(MAX_PIXELS, str(1 << 20))
    root, out = tmp_path / "inner" / "source", tmp_path / "inner" / "out"
    root.parent.mkdir()
    SAMPLES[name](root)
    secret = save(root.parent / "secret.png", pixels("secret")).read_bytes()
    path = root / DOCUMENTS[name]
    content, draw = path.read_bytes(), np.random.default_rng(0)
    told = converted = 0
    for _ in range(COUNT):
        path.write_bytes(changed(path, content, draw))
        try:
            done = convert(root, out, source_format=name.partition(" ")[0])
        except SegError:
            told += 1
        else:
            assert done.pairs
            images = [file.read_bytes() for file in out.rglob("*_images/*")]
            assert secret not in images
            shutil.rmtree(out)
            told += bool(done.problems or done.notes)
            converted += 1
        assert {p.name for p in root.parent.iterdir()} == {"source", "secret.png"}
    assert told > COUNT / 4
    assert converted
