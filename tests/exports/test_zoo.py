"""Every architecture in every format, as docs/models.md says."""

import re

import keras
import numpy as np
import pytest

from seglib.exports.exported import FORMATS, ExportedModel
from seglib.models import ARCHITECTURES, build_model
from seglib.models.contract import CONTRACT
from seglib.steps.export import write_format

SIZE = (64, 96)
# Of a logit, as a share of the largest: beyond it rounding is no explanation.
EXACT, ROUNDED = 1e-4, 0.2
BY_MAXIMA = ("segnet", "bayesian_segnet")  # places of maxima: ties are broken otherwise


def test_the_table_of_exports_has_every_architecture_and_format(repository):
    text = (repository / "docs" / "models.md").read_text()
    table = text.split("## Which exports to which format")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert all(f"`{name}`" in rows[0] for name in FORMATS)
    first = " ".join(row.split("|")[1] for row in rows)
    assert set(ARCHITECTURES) <= set(re.findall(r"`(\w+)`", first))


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_is_answered_alike_in_every_format(name, tmp_path):
    keras.utils.set_random_seed(0)
    model = build_model(name, num_classes=4, image_size=SIZE)
    images = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3))
    images = images.astype(np.float32)
    expected = np.asarray(model.network(images))
    (tmp_path / CONTRACT).write_text(model.contract.to_json())
    for kind, each in FORMATS.items():
        write_format(model, kind, tmp_path / each.file, images)
        logits = ExportedModel.open(tmp_path, kind, threads=2).run(images)
        assert logits.shape == expected.shape
        difference = np.abs(logits - expected).max() / np.abs(expected).max()
        limit = ROUNDED if each.is_rounded else EXACT
        if not (each.is_rounded and name in BY_MAXIMA):
            assert difference < limit, kind
