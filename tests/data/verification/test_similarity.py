"""Images that look alike are found, and splits that differ."""

import random

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seglib.data.image_io import (
    decode_samples,
    encode_jpeg,
    encode_png,
    write_image,
)
from seglib.data.verification.file_checks import file_facts
from seglib.data.verification.similarity import NEAR_BITS, appearance_of, near_pairs
from seglib.data.verification.verifier import verify
from tests.fakes.dataset_folder import DatasetFolder

BITS_OF_128 = st.integers(min_value=1, max_value=2**128 - 1)


def kinds(found) -> set[str]:
    every = (*found.problems, *found.warnings, *found.notes)
    return {problem.kind for problem in every}


def pairs_of(hashes: list[int]) -> list[tuple[int, int]]:
    halves = [divmod(value, 2**64) for value in hashes]
    found = near_pairs(np.array(halves, np.uint64).reshape(-1, 2))
    return [pair for i, j in found for pair in zip(i.tolist(), j.tolist(), strict=True)]


@given(st.lists(BITS_OF_128, max_size=12), st.data())
def test_near_hashes_are_found_without_comparing_all(hashes, data):
    for value in hashes[:4]:
        flipped = data.draw(st.lists(st.integers(0, 127), max_size=6))
        hashes.append(value ^ sum({1 << bit for bit in flipped}) or 1)
    expected = {
        (i, j)
        for j in range(len(hashes))
        for i in range(j)
        if (hashes[i] ^ hashes[j]).bit_count() <= NEAR_BITS
    }
    assert set(pairs_of(hashes)) == expected


def test_nearly_each_of_many_frames_of_one_scene_is_found_in_few_comparisons():
    draw = random.Random(0)
    scene = draw.getrandbits(128)
    hashes = [scene ^ 1 << draw.randrange(128) for _ in range(2000)]
    found = pairs_of(hashes)
    assert len(found) == len(set(found)) < 2000 * 32 * NEAR_BITS
    assert len({j for _, j in found}) > 1900


def test_a_scaled_or_compressed_copy_looks_like_its_original():
    image = cv2.resize(DatasetFolder.pixels("a"), (640, 480))
    compressed = cv2.imdecode(
        np.frombuffer(encode_jpeg(image, quality=50), np.uint8), cv2.IMREAD_COLOR_RGB
    )
    looks = [
        appearance_of(each).hash
        for each in (image, compressed, cv2.resize(image, (320, 240)))
    ]
    assert all((looks[0] ^ other).bit_count() <= NEAR_BITS for other in looks)
    other = appearance_of(cv2.resize(DatasetFolder.pixels("b"), (640, 480))).hash
    assert (looks[0] ^ other).bit_count() > 10 * NEAR_BITS


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 700, 1), (400, 3, 3)])
def test_an_image_of_any_shape_has_a_look(shape, dtype):
    assert appearance_of(np.zeros(shape, dtype)) == (0, 0.0)


def compressed(folder: DatasetFolder, split: str, stem: str) -> None:
    """Replace an image by a compressed copy of train/a, of four times its size."""
    for at in ("a", stem):
        where = "train" if at == "a" else split
        big = cv2.resize(folder.pixels("a"), (256, 192))
        write_image(folder.image(where, at), big)
        mask = cv2.resize(folder.ids(), (256, 192), interpolation=cv2.INTER_NEAREST)
        write_image(folder.mask(where, at), mask)
    folder.image(split, stem).with_suffix(".jpg").write_bytes(encode_jpeg(big))
    folder.image(split, stem).unlink()


def test_a_compressed_copy_in_another_split_is_leakage(folder):
    compressed(folder, "val", "d")
    found = verify(folder.root)
    assert kinds(found) == {"near-leakage"}
    assert "looks like train_images/a.png" in found.warnings[0].reason


def test_a_compressed_copy_in_the_same_split_is_a_note(folder):
    compressed(folder, "train", "b")
    assert kinds(verify(folder.root)) == {"near-duplicate"}


def test_a_large_jpeg_has_the_look_of_its_pixels_in_another_format():
    image = cv2.resize(DatasetFolder.pixels("a"), (523, 397))
    encoded = encode_jpeg(image)
    png = encode_png(decode_samples(encoded))
    looks = [file_facts(each, "image", "") for each in (encoded, png)]
    assert [each.reduced for each in looks] == [True, False]
    hashes = [each.appearance.hash for each in looks]
    assert (hashes[0] ^ hashes[1]).bit_count() <= NEAR_BITS


def test_equal_pixels_in_a_large_jpeg_and_a_png_are_leakage(folder):
    encoded = encode_jpeg(cv2.resize(folder.pixels("a"), (523, 397)))
    png, jpeg = folder.image("train", "a"), folder.image("val", "d")
    write_image(png, decode_samples(encoded))
    jpeg.unlink()
    jpeg.with_suffix(".jpg").write_bytes(encoded)
    mask = cv2.resize(folder.ids(), (523, 397), interpolation=cv2.INTER_NEAREST)
    write_image(folder.mask("train", "a"), mask)
    write_image(folder.mask("val", "d"), mask)
    (leak,) = verify(folder.root).warnings
    assert leak.kind == "leakage"
    assert (
        leak.reason == "leakage: the same pixels as train_images/a.png of another split"
    )


def named(folder: DatasetFolder, **stems: list[str]) -> None:
    """Pairs of these stems in place of those of the splits."""
    for split, names in stems.items():
        for part in ("images", "segmentation"):
            for path in (folder.root / f"{split}_{part}").iterdir():
                path.unlink()
        for name in names:
            write_image(folder.image(split, name), folder.pixels(name))
            write_image(folder.mask(split, name), folder.ids())


def frames(sequence: str, first: int, count: int = 3) -> list[str]:
    return [f"{sequence}_{number:04}" for number in range(first, first + count)]


def test_frames_of_a_sequence_in_two_splits_are_leakage(folder):
    named(folder, train=[*frames("one", 0), *frames("two", 0)], val=frames("two", 9))
    found = verify(folder.root)
    (leak,) = found.warnings
    assert leak.kind == "sequence-leakage"
    assert "3 of 6 train images" in leak.reason
    assert "two_… (3 in train, 3 in val)" in leak.reason


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ([*frames("one", 0), *frames("two", 0)], frames("three", 0)),
        (frames("street", 0), frames("street", 9)),  # one name for all says nothing
        (["a", "b"], ["c", "d"]),
        ([*frames("one", 0), *frames("two", 0, 2)], frames("two", 9, 2)),  # too few
    ],
)
def test_whole_sequences_in_one_split_are_none(folder, train, val):
    named(folder, train=train, val=val)
    assert "sequence-leakage" not in kinds(verify(folder.root))


def many(folder: DatasetFolder, *, darker: int = 0, cars: int = 60) -> None:
    """Ten pairs in each split; those of val may be darker, or show other cars."""
    for split in ("train", "val"):
        for index in range(10):
            pixels = folder.pixels(f"{split}{index}", size=(24, 32))
            ids = folder.ids()
            if split == "val":
                pixels = np.clip(pixels.astype(int) - darker, 0, 255).astype(np.uint8)
                ids[ids == 2] = 1
                ids.ravel()[400 : 400 + cars] = 2
            write_image(folder.image(split, f"{split}{index}"), pixels)
            write_image(folder.mask(split, f"{split}{index}"), ids)


def test_a_darker_split_is_noted(folder):
    many(folder, darker=70)
    found = verify(folder.root)
    assert kinds(found) == {"brightness-drift"}
    assert "val is darker than train" in found.notes[0].reason


def test_other_shares_of_a_class_are_noted(folder):
    many(folder, cars=6)
    found = verify(folder.root)
    assert kinds(found) == {"class-drift"}
    assert "2 (car, " in found.notes[0].reason


def test_like_splits_are_not_noted(folder):
    many(folder)
    assert not kinds(verify(folder.root))
