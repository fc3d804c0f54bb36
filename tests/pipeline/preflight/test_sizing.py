"""What a dataset needs, against what the code really takes, and what pods may take."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.dag.inputs import Data
from pipeline.preflight.checkup import examine
from pipeline.preflight.findings import Diagnosis
from pipeline.preflight.sizes import (
    DatasetSize,
    RunSettings,
    batch_bytes,
    disk_needs,
    measure,
    memory_needs,
)
from seglib.config import TrainConfig
from seglib.data.dataset import Dataset
from seglib.data.image_io import encode_png, read_image, read_mask
from seglib.data.loader import PairSource, training_batches
from seglib.data.pairs import IMAGE
from seglib.storage.hashes import hash_folder
from seglib.storage.pins import default_remote, read_pin
from tests.pipeline.preflight.compiled import Compiled

Examine = Callable[..., Diagnosis]
SETTINGS = RunSettings(copies=1, batch_size=4, view=(96, 128), channels=3)
_1_MIB = 2**20


@pytest.fixture(scope="module")
def tiny(tiny_root: Path) -> DatasetSize:
    return measure(hash_folder(tiny_root), str(tiny_root))


@pytest.fixture(scope="module")
def sample(repository: Path) -> Data:
    """The dataset that the repository pins, in its own remote."""
    return _data(read_pin(repository / "data.dvc"), default_remote(repository))


def _data(data_md5: str, remote: str) -> Data:
    return Data(data_md5=data_md5, remote=remote, title="the sample")


@pytest.fixture
def weighed(tmp_path: Path, ours: Compiled, sample: Data) -> Examine:
    def examined(data: Data = sample) -> Diagnosis:
        return examine(ours.write(tmp_path / "p.yaml"), data=data)

    return examined


def test_a_listing_gives_pairs_and_bytes_and_one_image_the_size(
    tiny: DatasetSize, tiny_root: Path
) -> None:
    assert tiny.pairs == {"train": 8, "val": 3, "test": 3}
    assert (tiny.height, tiny.width, tiny.others) == (96, 128, 0)
    files = [path for path in tiny_root.rglob("*") if path.is_file()]
    assert tiny.total_bytes == sum(path.stat().st_size for path in files)
    train = [path for path in files if path.parent.name.startswith("train_")]
    assert tiny.encoded_bytes["train"] == sum(path.stat().st_size for path in train)


def test_the_cache_of_decoded_pairs_is_as_large_as_estimated(
    tiny: DatasetSize, tiny_dataset: Dataset
) -> None:
    source = PairSource(tiny_dataset.pairs("train"), inputs={IMAGE: 3})
    held = sum(part.nbytes for i in range(len(source)) for part in source[i])
    assert held == 8 * tiny.decoded_pair_bytes(3)


def test_a_training_batch_is_as_large_as_estimated(
    tiny: DatasetSize, tiny_dataset: Dataset
) -> None:
    source = PairSource(tiny_dataset.pairs("train"), inputs={IMAGE: 3})
    batches = training_batches(
        source,
        image_size=(96, 128),
        ignore_index=None,
        config=TrainConfig(batch_size=4),
    )
    held = sum(np.asarray(part).nbytes for part in next(iter(batches)))
    assert batch_bytes(tiny, SETTINGS) == 8 * held


def test_png_takes_the_share_of_decoded_bytes_that_is_estimated(
    tiny_dataset: Dataset,
) -> None:
    encoded = decoded = 0
    for pair in tiny_dataset.pairs("train"):
        for part in (read_image(pair.image), read_mask(pair.mask)):
            encoded += len(encode_png(part, compression=1))
            decoded += part.nbytes
    assert 0.3 < encoded / decoded < 0.7


def test_the_needs_of_training_grow_with_copies_up_to_the_limit_of_the_cache() -> None:
    size = DatasetSize(
        encoded_bytes={"train": 2**30},
        pairs={"train": 2000, "val": 100, "test": 0},
        height=1024,
        width=2048,
        others=0,
    )
    settings = RunSettings(copies=0, batch_size=1, view=(512, 512), channels=3)
    need = memory_needs(size, settings)["train"]
    # 700 MiB, 4 GiB of 2000 × 1024 × 2048 × 4 bytes, 8 × 512 × 512 × (3 + 4) bytes.
    assert need.size_bytes == 700 * _1_MIB + 4096 * _1_MIB + 14 * _1_MIB
    assert "2000 decoded pairs of 1024×2048×4 bytes, kept up to 4.0 GiB" in need.because
    need = disk_needs(size, settings)["train"]
    # All 15.6 GiB go to the disk; of the val split nothing was listed.
    assert need.size_bytes == 2000 * 1024 * 2048 * 4
    assert "15.6 GiB of decoded images do not fit the memory" in need.because


def test_our_own_pipeline_is_large_enough_for_the_sample(weighed: Examine) -> None:
    diagnosis = weighed()
    assert diagnosis.findings == ()
    (note,) = diagnosis.notes
    assert note.startswith("dataset: 80 train, 20 val, 20 test pairs, ")
    assert (
        "with 1 copy of 240×320 pixels 47 MiB decoded, about 23 MiB as shards" in note
    )


def _memory(ours: Compiled) -> None:
    resources = ours.container("train-model")["resources"]
    resources["resourceMemoryLimit"] = resources["resourceMemoryRequest"] = "512Mi"


def _shm(ours: Compiled) -> None:
    for mount in ours.pods["exec-train-model"]["emptyDirMounts"]:
        if mount["mountPath"] == "/dev/shm":
            mount["sizeLimit"] = "65Mi"
    declared = ours.pipeline["root"]["inputDefinitions"]["parameters"]
    declared["batch_size"]["defaultValue"] = 64.0


def _disk(ours: Compiled) -> None:
    pod, container = ours.pods["exec-verify-data"], ours.container("verify-data")
    pod.pop("pvcMount", None)
    entry = {"name": "SEGLIB_CACHE", "value": "/cache"}
    env = [e for e in container.get("env", ()) if e["name"] != "SEGLIB_CACHE"]
    container["env"] = [*env, entry]
    pod.setdefault("emptyDirMounts", []).append(
        {"volumeName": "cache", "mountPath": "/cache", "sizeLimit": "1Mi"}
    )


@pytest.mark.parametrize(
    ("shrink", "code", "what"),
    [
        (_memory, "P170", "its limit is 512 MiB, and it needs at least 780 MiB: 700"),
        (_shm, "P171", "/dev/shm has 65 MiB, the prefetched batches take 262 MiB"),
        (
            _disk,
            "P172",
            "it has 1.0 MiB, and the cache needs at least 2.6 MiB: it fetches",
        ),
    ],
)
def test_what_is_too_small_is_one_finding_that_says_why(
    weighed: Examine, ours: Compiled, shrink: Any, code: str, what: str
) -> None:
    shrink(ours)
    findings = weighed().findings
    assert [finding.code for finding in findings] == [code]
    assert what in findings[0].what


def test_a_dataset_that_cannot_be_listed_is_one_finding(
    weighed: Examine, sample: Data, tmp_path: Path
) -> None:
    for data in (
        _data(sample.data_md5, str(tmp_path / "none")),
        _data("0" * 32 + ".dir", sample.remote),
    ):
        assert [finding.code for finding in weighed(data).findings] == ["S270"]


def test_files_that_the_remote_lacks_are_one_finding(
    weighed: Examine, sample: Data, tmp_path: Path
) -> None:
    listing = f"files/md5/{sample.data_md5[:2]}/{sample.data_md5[2:]}"
    copy = tmp_path / "remote" / listing
    copy.parent.mkdir(parents=True)
    copy.write_bytes((Path(sample.remote) / listing).read_bytes())
    part = _data(sample.data_md5, str(tmp_path / "remote"))
    (finding,) = weighed(part).findings
    assert finding.code == "S271"
    assert finding.what.startswith("241 files are missing, such as ")
