import shutil
import tarfile
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from seglib.config import TrainConfig
from seglib.data import loader
from seglib.data.decoded import DecodedPairsError
from seglib.data.image_io import write_image
from seglib.data.loader import PairSource, batch_members, training_batches
from seglib.data.shards import ShardSource, read_shard_index
from seglib.data.shards import source as shard_source
from seglib.errors import SegError, UsageError
from seglib.steps.pack import pack
from seglib.training.class_balance import ClassBalance

CLASSES = {"num_classes": 8, "ignore_index": 255}
RGB = {"image": 3}


@pytest.fixture(scope="module")
def packed(tiny_root, tmp_path_factory):
    out = tmp_path_factory.mktemp("packed")
    pack(tiny_root, out, shard_bytes=1, seed=3, **CLASSES)
    return out


def test_other_tools_find_the_files_as_they_were(tiny_root, tmp_path):
    index = pack(tiny_root, tmp_path, split="val", shard_bytes=1 << 14, **CLASSES)
    members = {}
    for shard in index.shards:
        with tarfile.open(tmp_path / shard.name) as tar:
            for member in tar:
                key, part, suffix = member.name.split(".")
                stem = key.partition("-")[2]
                members[stem, part] = tar.extractfile(member).read()
                assert suffix == "png"
    files = {
        (path.stem, part): path.read_bytes()
        for part, kind in (("image", "images"), ("mask", "segmentation"))
        for path in (tiny_root / f"val_{kind}").iterdir()
    }
    assert members == files


def test_shards_hold_the_pairs_and_the_sums_of_their_classes(packed, tiny_dataset):
    source = ShardSource(str(packed), inputs=RGB)
    plain = PairSource(tiny_dataset.pairs("train"), inputs=RGB)
    assert len(source) == len(plain)

    def contents(pairs):
        return sorted(
            (image.tobytes(), mask.tobytes())
            for image, mask in (pairs[i] for i in range(len(pairs)))
        )

    assert contents(source) == contents(plain)
    counted = ClassBalance.count(plain, **CLASSES)
    known = ClassBalance.of(source, **CLASSES, by_image=False)
    for name in ("pixels", "surroundings"):
        expected, received = getattr(counted.totals, name), getattr(known.totals, name)
        assert expected.tolist() == received.tolist()
    assert (known.median_frequency() == counted.median_frequency()).all()


def _batches(source, count, *, first_step=0, share=(0, 1), threads=2):
    config = TrainConfig(batch_size=2, crop_height=32, crop_width=32, train_seed=5)
    batches = training_batches(
        source,
        config=config,
        image_size=(48, 64),
        ignore_index=255,
        first_step=first_step,
        share=share,
        num_threads=threads,
    )
    return [images.tobytes() for images, _ in islice(batches, count)]


def _streamed(place, monkeypatch):
    """A source whose decoded pairs fit neither the memory nor the disk."""

    def full(*_, **__):
        raise DecodedPairsError("The disk is full.")

    monkeypatch.setattr(loader, "CACHED_BYTES", 0)
    monkeypatch.setattr(loader, "open_decoded", full)
    monkeypatch.setattr(shard_source, "WINDOW_BYTES", 5 * 10_000)
    source = ShardSource(str(place), inputs=RGB)
    told = []
    source.keep_decoded(told.append)
    assert source.is_streamed
    assert "streamed from" in told[-1]
    return source


def test_a_stream_gives_the_batches_of_the_memory_with_any_number_of_threads(
    packed, monkeypatch
):
    monkeypatch.setattr(shard_source, "WINDOW_BYTES", 5 * 10_000)
    in_memory = _batches(ShardSource(str(packed), inputs=RGB), 20)
    for threads in (1, 3):
        streamed = _streamed(packed, monkeypatch)
        assert _batches(streamed, 20, threads=threads) == in_memory
    assert len(set(in_memory)) == 20


def test_a_stream_goes_on_at_the_exact_sample(packed, monkeypatch):
    whole = _batches(_streamed(packed, monkeypatch), 20)
    for step in (1, 7, 13):
        rest = _streamed(packed, monkeypatch)
        assert _batches(rest, 20 - step, first_step=step) == whole[step:]


def test_a_few_shards_give_processes_the_parts_of_one_batch(packed, monkeypatch):
    whole = _streamed(packed, monkeypatch)
    config = TrainConfig(batch_size=4, train_seed=5)
    members = batch_members(whole, config, 0)
    assert sorted(members) == sorted(batch_members(whole, config, 0, lanes=2))


def test_processes_read_disjoint_shards(packed, monkeypatch):
    monkeypatch.setattr(shard_source, "SHARDS_A_PROCESS", 4)
    read = []
    for part in (0, 1):
        source = _streamed(packed, monkeypatch)
        opened = set()
        plain = source._memory._open
        monkeypatch.setattr(
            source._memory,
            "_open",
            lambda shard, own=opened, plain=plain: (own.add(shard.name), plain(shard))[
                1
            ],
        )
        _batches(source, 6, share=(part, 2))
        read.append(opened)
    assert not read[0] & read[1]


def test_few_shards_are_in_memory_at_a_time(packed, monkeypatch):
    source = _streamed(packed, monkeypatch)
    most = 0
    plain = source._memory.sample

    def sample(*args):
        nonlocal most
        most = max(most, len(source._memory._read))
        return plain(*args)

    monkeypatch.setattr(source._memory, "sample", sample)
    _batches(source, 24)
    assert 2 <= most <= 2 * 5 + 2 < len(source.index.shards) + 5


@pytest.mark.parametrize("harm", ["cut", "changed", "swapped", "missing"])
def test_a_damaged_shard_is_refused_by_its_name(tiny_root, tmp_path, harm):
    index = pack(tiny_root, tmp_path, shard_bytes=1, **CLASSES)
    first, second = (tmp_path / shard.name for shard in index.shards[:2])
    content = bytearray(first.read_bytes())
    if harm == "cut":
        first.write_bytes(content[:-1])
    elif harm == "missing":
        first.unlink()
    elif harm == "changed":
        content[700] ^= 1
        first.write_bytes(content)
    else:
        other = second.read_bytes().ljust(len(content), b"\0")
        first.write_bytes(other[: len(content)])

    def read_all():
        source = ShardSource(str(tmp_path), inputs=RGB)
        return [source[i] for i in range(len(source))]

    with pytest.raises(SegError, match=first.name):
        read_all()


def test_an_interrupted_call_leaves_no_index_and_goes_on(
    tiny_root, tmp_path, monkeypatch
):
    whole = pack(tiny_root, tmp_path / "whole", shard_bytes=1, **CLASSES)

    def stop(done, _):
        if done == 3:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        pack(tiny_root, out, shard_bytes=1, progress=stop, **CLASSES)
    assert not (out / "shards.json").exists()
    with pytest.raises(SegError, match="not a folder of shards"):
        read_shard_index(str(out))
    told = []
    again = pack(
        tiny_root, out, shard_bytes=1, progress=lambda *a: told.append(a), **CLASSES
    )
    assert told[0][0] >= 3
    assert told[-1] == (8, 8)
    assert again == whole
    names = {path.name for path in out.iterdir() if path.is_file()}
    assert names == {"shards.json", *(shard.name for shard in again.shards)}


def test_the_same_call_again_does_nothing_and_another_is_refused(tiny_root, tmp_path):
    first = pack(tiny_root, tmp_path, **CLASSES)
    before = [(p.name, p.stat().st_mtime_ns) for p in sorted(tmp_path.glob("*.tar"))]
    assert pack(tiny_root, tmp_path, **CLASSES) == first
    assert before == [
        (p.name, p.stat().st_mtime_ns) for p in sorted(tmp_path.glob("*.tar"))
    ]
    with pytest.raises(UsageError, match="--overwrite"):
        pack(tiny_root, tmp_path, seed=1, **CLASSES)
    assert read_shard_index(str(tmp_path)) == first
    other = pack(tiny_root, tmp_path, shard_bytes=1, overwrite=True, **CLASSES)
    assert {p.name for p in tmp_path.glob("*.tar")} == {s.name for s in other.shards}


def test_bad_pairs_are_refused_by_name_and_leave_no_index(tiny_root, tmp_path):
    for harm in ("id", "size", "damaged"):
        data = tmp_path / harm
        shutil.copytree(tiny_root, data)
        mask = sorted((data / "train_segmentation").iterdir())[2]
        ids = np.zeros((48, 64), np.uint8)
        if harm == "id":
            write_image(mask, ids + 99)
        elif harm == "size":
            write_image(mask, ids[:-1])
        else:
            mask.write_bytes(mask.read_bytes()[:60])
        with pytest.raises(SegError, match=mask.stem):
            pack(data, tmp_path / f"{harm}-out", **CLASSES)
        assert not (tmp_path / f"{harm}-out" / "shards.json").exists()


def test_views_of_rare_classes_need_more_than_a_stream(
    packed, tiny_dataset, monkeypatch
):
    from seglib.models.build import build_model
    from seglib.training.training_data import TrainingData

    _streamed(packed, monkeypatch)
    contract = build_model("compact", num_classes=8, image_size=(32, 32)).contract
    contract = replace(contract, ignore_index=255)
    config = TrainConfig(batch_size=2, rare_class_views=0.5)
    with pytest.raises(UsageError, match="rare_class_views: 0"):
        TrainingData.open(tiny_dataset, str(packed), contract, config, print)


def test_shards_lie_in_a_bucket_and_are_read_from_it(tiny_root, s3_server, monkeypatch):
    place = "s3://datasets/packed"
    index = pack(tiny_root, place, shard_bytes=1, **CLASSES)
    assert read_shard_index(place) == index
    source = _streamed(place, monkeypatch)
    assert len(set(_batches(source, 8))) == 8
