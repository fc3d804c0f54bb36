"""Files with any bytes changed end in findings, never in a crash or a hang."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglib.data.pairs import Pair
from seglib.data.problems import KINDS
from seglib.data.tree import LOCAL
from seglib.data.verification.facts_cache import FactsCache
from seglib.data.verification.reading import Files
from seglib.environment import MAX_PIXELS
from tests.fakes.dataset_folder import DatasetFolder
from tests.fakes.inspecting import inspected
from tests.fakes.mutations import mutated

COUNT = 5000
SUFFIXES = (".png", ".jpg", ".bmp", ".tif", ".webp", ".gif")


def encoded(array: np.ndarray, suffix: str, *, palette: bool = False) -> bytes:
    picture = Image.fromarray(array)
    if palette:
        picture.putpalette(list(range(256)) * 3)
    if suffix in (".jpg", ".webp"):
        picture = picture.convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    kind = {".jpg": "JPEG", ".tif": "TIFF"}.get(suffix, suffix[1:].upper())
    options = {"exif": exif} if suffix in (".jpg", ".png", ".webp") else {}
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def originals() -> list[tuple[str, bytes]]:
    """A file of each format: an image, a mask, and a mask with a palette."""
    pixels, ids = DatasetFolder.pixels("a", size=(24, 32)), DatasetFolder.ids()
    deep = ids.astype(np.uint16) * 257
    files = [(s, encoded(pixels, s)) for s in SUFFIXES]
    files += [(s, encoded(ids, s)) for s in SUFFIXES]
    files += [(s, encoded(ids, s, palette=True)) for s in (".png", ".bmp", ".tif")]
    return [*files, (".png", encoded(deep, ".png")), (".tif", encoded(deep, ".tif"))]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_mutated_files_end_in_findings(originals, tmp_path: Path, monkeypatch):
    monkeypatch.setenv(MAX_PIXELS, str(1 << 20))  # memory stays small
    draw = np.random.default_rng(0)
    files = Files(LOCAL, FactsCache(tmp_path / "cache"))
    found = 0
    good = tmp_path / "good.png"
    good.write_bytes(originals[0][1])
    for index in range(COUNT):
        suffix, content = originals[index % len(originals)]
        broken = tmp_path / f"broken{suffix}"
        broken.write_bytes(mutated(content, draw))
        as_mask = bool(index // len(originals) % 2)
        pair = Pair("x", good, broken) if as_mask else Pair("x", broken, good)
        inspection = inspected(files, pair)
        assert {problem.kind for problem in inspection.problems} <= set(KINDS)
        if not as_mask and inspection.image is None:
            assert inspection.problems
        found += bool(inspection.problems)
    assert found > COUNT / 3  # the others are as good as before
