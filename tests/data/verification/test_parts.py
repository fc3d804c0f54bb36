"""A verification in parts is the one of a single part, wherever the parts were made."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seglib.data.image_io import write_image
from seglib.data.problems import NOTE, PROBLEM, WARNING, Problem
from seglib.data.verification import facts_cache, workers
from seglib.data.verification.facts_cache import FactsCache
from seglib.data.verification.file_checks import file_facts
from seglib.data.verification.findings import FindingStore
from seglib.data.verification.joining import join
from seglib.data.verification.packing import HEAD, Part, pack, unpack
from seglib.data.verification.parts import VerificationPlan, look_at_part, make_plan
from seglib.data.verification.verifier import verify
from seglib.errors import SegError, UsageError
from seglib.steps.verify import findings_json, write_verification
from tests.fakes.dataset_folder import DatasetFolder


@pytest.fixture
def faulty(folder: DatasetFolder) -> DatasetFolder:
    """Faults in files, in ids and in sizes, copies, and images that look alike."""
    for number in range(12):
        stem = f"n{number:02}"
        write_image(folder.image("train", stem), folder.pixels(stem))
        write_image(folder.mask("train", stem), folder.ids())
    folder.image("train", "n01").write_bytes(b"")
    write_image(folder.mask("train", "n02"), folder.ids() + 7)
    write_image(folder.mask("train", "n03"), folder.ids().T)
    write_image(folder.mask("val", "d"), folder.pixels("d"))  # colours for ids
    write_image(folder.image("train", "n09"), folder.pixels("a"))
    write_image(folder.image("val", "e"), folder.pixels("n04"))
    shifted = folder.pixels("n05").astype(int) + 1
    write_image(folder.image("train", "n10"), shifted.clip(0, 255).astype(np.uint8))
    return folder


def saved(plan: VerificationPlan, part: int, parts: int) -> Part:
    return Part.of_bytes(look_at_part(plan, part, parts).to_bytes())


@pytest.mark.parametrize("parts", [1, 2, 7, 40])
def test_parts_that_were_saved_are_joined_to_the_verification_of_all(
    faulty, parts, tmp_path
):
    plan = make_plan(faulty.root, {})
    joined = join(plan, (saved(plan, part, parts) for part in range(parts)))
    whole = verify(faulty.root)
    kinds = {kind for kind, _ in whole.findings.told}
    assert kinds >= {"damaged-file", "ids-out-of-range", "size-mismatch", "leakage"}
    assert kinds >= {"duplicate", "near-duplicate", "colours-for-ids"}
    assert [*findings_json(joined)] == [*findings_json(whole)]
    for found, name in ((joined, "joined"), (whole, "whole")):
        write_verification(found, tmp_path / name)
    for file in ("manifest.json", "report.html"):
        contents = [(tmp_path / n / file).read_bytes() for n in ("joined", "whole")]
        assert contents[0] == contents[1]


def test_parts_that_do_not_fit_are_refused(folder, tmp_path):
    plan = make_plan(folder.root, {})
    first, second = (look_at_part(plan, part, 2) for part in range(2))
    with pytest.raises(SegError, match="hold 2 of 5 pairs"):
        join(plan, [first])
    with pytest.raises(SegError, match="does not begin with pair 0"):
        join(plan, [second])
    folder.image("train", "a").unlink()
    with pytest.raises(SegError, match="is not of these files"):
        join(make_plan(folder.root, {}), [first, second])
    with pytest.raises(UsageError, match=r"Expected a part of 0 … 1. Received: 2"):
        look_at_part(plan, 2, 2)
    for damaged in (second.to_bytes()[:-1], b"", b"seglib facts 1\nxxxx{"):
        with pytest.raises(SegError, match=r"p1: not a part .* or a damaged one"):
            Part.of_bytes(damaged, "p1")


@pytest.mark.parametrize("role", ["mask", "measured mask"])
def test_packed_facts_are_unpacked_as_they_were(folder, role):
    content = folder.mask("train", "a").read_bytes()
    part = Part()
    facts = [file_facts(content, role, "ab" * 16), file_facts(b"", role, "00" * 16)]
    for each in facts:
        part.append(pack(each))
    head, texts = part.heads, part.texts
    for number, each in enumerate(facts):
        ids, pixels = [*each.ids], [*each.ids.values()]
        text = texts[head["extra"][number]]
        assert repr(unpack(head[number].tobytes(), ids, pixels, text)) == repr(each)
    assert (part.ids.tolist(), part.pixels.tolist()) == (
        [*facts[0].ids],
        [*facts[0].ids.values()],
    )


def test_a_pair_takes_few_bytes(folder):
    part = Part()
    image = pack(
        file_facts(folder.image("train", "a").read_bytes(), "image", "00" * 16)
    )
    mask = pack(file_facts(folder.mask("train", "a").read_bytes(), "mask", "00" * 16))
    for _ in range(1000):
        part.append(image)
        part.append(mask)
    ids = 4  # sky, road, car and void
    assert len(part.to_bytes()) <= 1000 * (2 * HEAD.itemsize + 10 * ids) + 1000


def test_processes_find_what_threads_find(faulty, monkeypatch):
    expected = [*findings_json(verify(faulty.root, fresh=True))]
    monkeypatch.setattr(workers, "_MANY_FILES", 1)
    monkeypatch.setattr("seglib.data.tree.Tree.threads", 2)
    assert [*findings_json(verify(faulty.root, fresh=True))] == expected


def test_a_killed_process_is_named_and_no_process_is_left(folder, monkeypatch):
    monkeypatch.setattr(workers, "_MANY_FILES", 1)
    monkeypatch.setattr("seglib.data.tree.Tree.threads", 2)
    started = []

    class Killed(workers._Worker):
        def __init__(self, *, fresh: bool):
            super().__init__(fresh=fresh)
            started.append(self._process)
            os.kill(self._process.pid, signal.SIGKILL)

    monkeypatch.setattr(workers, "_Worker", Killed)
    with pytest.raises(SegError, match=r"ended with status -9 .*Verify again"):
        verify(folder.root)
    assert [process.poll() for process in started] == [-signal.SIGKILL] * 2


NAMES = st.text("ab-./é", min_size=1, max_size=8).map("x/{}y".format)


@given(st.lists(st.tuples(NAMES, st.sampled_from("pq"), st.sampled_from("rs"))))
def test_findings_are_sorted_as_problems_are(rows):
    severities = (PROBLEM, WARNING, NOTE)
    every = [
        Problem(Path(path), reason, remedy, "duplicate", severities[len(path) % 3])
        for path, reason, remedy in rows
    ]
    store = FindingStore()
    store.add(every)
    for severity in severities:
        expected = sorted(each for each in every if each.severity == severity)
        found = store.of(severity)
        assert [*found] == expected
        assert [found[index] for index in range(len(found))] == expected
        assert [*found[1:4]] == expected[1:4]


def test_the_oldest_facts_leave_a_cache_that_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(facts_cache, "_MOST_BYTES", 400_000)
    monkeypatch.setattr(facts_cache, "_COMMIT_S", 0.0)
    cache = FactsCache(tmp_path)
    keys = [(number.to_bytes(16, "big"), "image") for number in range(4000)]
    for start in range(0, len(keys), 100):
        some = keys[start : start + 100]
        cache.store(
            [(*key, b"x" * 100) for key in some],
            [(f"{key[0]}", key[0]) for key in some],
        )
    known = cache.facts(keys)
    assert known.keys() == set(keys[-len(known) :])  # the newest
    assert 500 < len(known) < 3000
    cache.close()
    assert (tmp_path / "verification" / "facts.sqlite").stat().st_size < 600_000
