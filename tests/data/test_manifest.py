import json
import shutil
from pathlib import Path

import pytest

from seglib.data.image_io import read_image, read_mask
from seglib.data.manifest import open_dataset, read_manifest
from seglib.data.verification.verifier import verify
from seglib.errors import DatasetError, SegError, UsageError
from seglib.steps.verify import write_verification
from tests.fakes.pushing import push


@pytest.fixture
def manifest(folder, tmp_path: Path) -> Path:
    """The folder of the verification of a clean dataset."""
    out = tmp_path / "verified"
    write_verification(verify(folder.root), out)
    return out


class TestReading:
    def test_the_manifest_knows_classes_pairs_and_pixels(self, folder, manifest):
        facts = read_manifest(manifest)
        assert facts.class_names == ("sky", "road", "car")
        assert (facts.num_classes, facts.ignore_index, facts.ok) == (3, 255, True)
        assert [pair.stem for pair in facts.pairs("train")] == ["a", "b", "c"]
        # Three masks of 256, 388 and 60 pixels.
        assert facts.class_pixels("train") == (768, 1164, 180)
        assert facts.root == str(folder.root)
        assert facts.pairs("auto") == facts.pairs("val")

    def test_it_is_read_from_its_folder_or_its_file(self, manifest):
        assert read_manifest(manifest) == read_manifest(manifest / "manifest.json")

    def test_one_dataset_gives_the_same_bytes_twice(self, folder, manifest, tmp_path):
        write_verification(verify(folder.root), tmp_path / "again")
        first = (manifest / "manifest.json").read_bytes()
        assert (tmp_path / "again" / "manifest.json").read_bytes() == first

    def test_a_pair_takes_one_sorted_line(self, manifest):
        text = (manifest / "manifest.json").read_text()
        lines = [line for line in text.splitlines() if '"stem"' in line]
        assert len(lines) == 5
        assert [json.loads(line.rstrip(","))["stem"] for line in lines] == list("abcde")

    def test_an_unknown_split_is_refused(self, manifest):
        facts = read_manifest(manifest)
        with pytest.raises(UsageError, match=r"no split `test`. It has: train, val"):
            facts.pairs("test")
        with pytest.raises(UsageError, match=r"Unknown split: `trian`.*`train`"):
            facts.class_pixels("trian")

    def test_a_missing_manifest_says_how_to_write_one(self, tmp_path):
        with pytest.raises(SegError, match=r"cannot be read.*seglib verify"):
            read_manifest(tmp_path / "nothing")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("not json", "not valid JSON"),
            ("[]", "Received: format_version=None"),
            ('{"format_version": 99}', "Received: format_version=99"),
            ('{"format_version": 2}', "not a whole manifest"),
        ],
    )
    def test_what_is_no_manifest_is_refused(self, manifest, text, message):
        (manifest / "manifest.json").write_text(text)
        with pytest.raises(SegError, match=message):
            read_manifest(manifest)


class TestOpening:
    def test_the_dataset_is_that_of_the_folder(self, folder, manifest):
        opened = open_dataset(manifest)
        verified = verify(folder.root).dataset
        assert opened.splits == verified.splits
        assert opened.palette == verified.palette
        assert opened.class_names == verified.class_names
        assert opened.ignore_index == 255

    def test_only_the_chosen_splits_are_listed(self, manifest):
        assert list(open_dataset(manifest, splits=("val",)).splits) == ["val"]
        assert list(open_dataset(manifest, splits=("auto",)).splits) == ["val"]
        with pytest.raises(UsageError, match="no split `test`"):
            open_dataset(manifest, splits=("test",))

    def test_files_that_are_gone_or_others_are_named(self, folder, manifest):
        folder.image("val", "d").unlink()
        folder.mask("val", "e").write_bytes(b"other")
        with pytest.raises(DatasetError, match="not the files that were verified") as e:
            open_dataset(manifest)
        assert f"{folder.image('val', 'd')}: no such file any more" in str(e.value)
        assert f"{folder.mask('val', 'e')}: 5 bytes, was" in str(e.value)
        assert len(open_dataset(manifest, splits=("train",)).pairs("train")) == 3

    def test_a_dataset_with_problems_is_not_opened(self, folder, tmp_path):
        folder.mask("train", "a").unlink()
        write_verification(verify(folder.root), tmp_path / "bad")
        assert not read_manifest(tmp_path / "bad").ok
        with pytest.raises(DatasetError, match=r"has problems; see its report.html"):
            open_dataset(tmp_path / "bad")


class TestThroughARemote:
    @pytest.fixture
    def pinned(self, folder, tmp_path: Path) -> tuple[str, Path]:
        return push(folder.root, tmp_path / "remote"), tmp_path / "remote"

    @pytest.fixture
    def manifest(self, folder, pinned, tmp_path: Path) -> Path:
        data_md5, remote = pinned
        found = verify(folder.root)
        write_verification(
            found, tmp_path / "verified", data_md5=data_md5, remote=str(remote)
        )
        shutil.rmtree(folder.root)
        return tmp_path / "verified"

    def test_only_the_chosen_split_is_fetched(self, manifest, pinned, tmp_path):
        cache = tmp_path / "cache"
        opened = open_dataset(manifest, splits=("val",), cache=cache)
        fetched = sorted(path.name for path in cache.rglob("*.png"))
        assert fetched == ["d.png", "d.png", "e.png", "e.png"]
        assert opened.data_md5 == pinned[0]
        pair = opened.pairs("auto")[0]
        assert read_mask(pair.mask).shape == read_image(pair.image).shape[:2]

    def test_all_splits_are_fetched_with_progress(self, manifest, tmp_path):
        calls = []
        opened = open_dataset(
            manifest,
            cache=tmp_path / "cache",
            progress=lambda done, total: calls.append((done, total)),
        )
        assert {split: len(p) for split, p in opened.splits.items()} == {
            "train": 3,
            "val": 2,
        }
        assert calls[-1] == (10, 10)

    def test_it_does_not_name_the_folder_that_was_verified(self, manifest, pinned):
        facts = read_manifest(manifest)
        assert (facts.root, facts.remote) == ("", str(pinned[1]))
        page = (manifest / "report.html").read_text()
        assert pinned[0] in page

    def test_a_relative_remote_is_kept_absolute(self, folder, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        md5 = "0" * 32 + ".dir"
        out = tmp_path / "out"
        write_verification(verify(folder.root), out, data_md5=md5, remote="remote")
        assert read_manifest(out).remote == str(tmp_path / "remote")

    def test_a_remote_without_a_hash_is_left_out(self, folder, tmp_path):
        write_verification(verify(folder.root), tmp_path / "out", remote="s3://b/p")
        assert read_manifest(tmp_path / "out").root == str(folder.root)


class TestWriting:
    def test_findings_are_kept_beside_the_pairs(self, folder, tmp_path):
        folder.mask("train", "a").unlink()
        write_verification(verify(folder.root), tmp_path / "bad")
        document = json.loads((tmp_path / "bad" / "manifest.json").read_text())
        assert document["problems"] == [
            {
                "kind": "image-without-mask",
                "path": "train_images/a.png",
                "reason": "image without mask; expected train_segmentation/a.png",
                "remedy": "Add the mask, or remove the image.",
            }
        ]
        assert document["warnings"] == []

    def test_a_place_that_cannot_be_written_is_named(self, folder, tmp_path):
        (tmp_path / "taken").write_text("a file")
        with pytest.raises(SegError, match=r"taken/report.html: cannot be written"):
            write_verification(verify(folder.root), tmp_path / "taken")

    def test_a_failed_write_leaves_what_was_there(self, folder, manifest, monkeypatch):
        before = {path.name: path.read_bytes() for path in manifest.iterdir()}
        folder.mask("train", "a").unlink()
        found = verify(folder.root)
        folder.image("train", "b").unlink()  # the page wants to show it
        with pytest.raises(SegError, match=r"b\.png: cannot be read"):
            write_verification(found, manifest)
        assert {path.name: path.read_bytes() for path in manifest.iterdir()} == before
