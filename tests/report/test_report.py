"""Pictures pixel by pixel, and pages as a browser's parser sees them."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from seglib.data.image_io import decode_image
from seglib.data.problems import UNSCORED
from seglib.data.verification.verifier import verify
from seglib.drawing import Album
from seglib.drawing.palette import default_colors
from seglib.drawing.plots import curves_png
from seglib.errors import SegError
from seglib.evaluation.metrics import Scores
from seglib.report.evaluation_page import IMAGES_SCRIPT, evaluation_page
from seglib.report.layers import layers
from seglib.report.pages import MAX_PAGE_BYTES, inline_pictures, picture_page
from seglib.steps.verify import write_verification

PALETTE = ((200, 0, 0), (0, 100, 0), (0, 0, 50))
HOSTILE = '<script>alert("x")</script>'
VOID_TAGS = {"meta", "img", "br", "input"}
LAYERS = layers(
    np.full((8, 32, 3), 90, np.uint8),
    np.arange(256, dtype=np.uint8).reshape(8, 32) % 2,
    np.zeros((8, 32), np.uint8),
    PALETTE,
)


class Page(HTMLParser):
    """A parsed page: its tags, texts and pictures; fails on unbalanced tags."""

    def __init__(self, html: str):
        super().__init__()
        self.html, self.open = html, []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script") and data.strip():
            self.texts.append(" ".join(data.split()))

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    @property
    def images(self) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == "img"]


def parse(html: str) -> Page:
    """Parse a page, and check what holds of every page."""
    parsed = Page(html)
    tags = [tag for tag, _ in parsed.tags]
    assert html.startswith("<!DOCTYPE html>")
    assert len(html.encode()) < MAX_PAGE_BYTES
    assert not {"link", "iframe", "object"} & set(tags)
    assert not re.search(r"@import|url\(", html.partition("<script")[0])
    scripts = [given.get("src") for tag, given in parsed.tags if tag == "script"]
    assert set(scripts) <= {None, IMAGES_SCRIPT}  # its own, and what lies beside it
    for _, attributes in parsed.tags:
        assert (attributes.get("href") or "#").startswith(("#", "https://", "file:"))
        assert not [name for name in attributes if name.startswith("on")]
        if attributes.get("src") != IMAGES_SCRIPT:
            assert (attributes.get("src") or "data:").startswith("data:")
    for image in parsed.images:
        assert image["alt"]
        if "src" not in image:
            continue  # of the viewer, until it is opened
        content = base64.b64decode((image["src"] or "").partition(",")[2])
        assert decode_image(content).size
    assert tags.count("h1") == tags[: tags.index("body")].count("title") == 1
    return parsed


def scored(confusion: np.ndarray, names: list[str], **others) -> dict:
    """Metrics as an evaluation writes them; the IoU is worked out here once more."""
    right = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - right
    iou = [float(r / u) if u else None for r, u in zip(right, union, strict=True)]
    known = [value for value in iou if value is not None]
    return {
        "split": "test",
        "num_images": 1234,
        "miou": sum(known) / len(known),
        "baseline_miou": 0.125,
        "pixel_accuracy": float(right.sum() / confusion.sum()),
        "miou_frequency_weighted": 0.75,
        "boundary_miou": 0.375,
        "mean_dice": 0.8125,
        "mean_accuracy": 0.625,
        "expected_calibration_error": 0.0625,
        "intervals": {"miou": [0.71, 0.76], "class_iou": {names[0]: [0.5, 0.9]}},
        "calibration": {
            "step": 4,
            "bins": [
                {"above": 0.0, "pixels": 0, "confidence": None, "accuracy": None},
                {"above": 0.5, "pixels": 30, "confidence": 0.75, "accuracy": 0.5},
            ],
            "class_confidence": dict.fromkeys(names) | {names[0]: 0.75},
            "class_accuracy": dict.fromkeys(names) | {names[0]: 0.5},
        },
        "sizes": {},
        "sequences": {},
        "class_images": dict.fromkeys(names, 1000),
        "class_carriers": dict.fromkeys(names, 300),
        "class_boundary_iou": dict.fromkeys(names, 0.125),
        "class_iou": dict(zip(names, iou, strict=True)),
        "confusion_matrix": confusion.tolist(),
        "class_names": names,
        "data_md5": "d41d8cd98f00b204e9800998ecf8427e.dir",
    } | others


class TestPlots:
    def test_curves_are_a_png_even_with_gaps(self):
        history = [
            {"epoch": 1, "loss": 2.0, "val_miou": None},
            {"epoch": 2, "loss": 1.0, "val_miou": 0.4},
            {"epoch": 3, "loss": float("nan"), "val_miou": 0.3},
        ]
        assert decode_image(curves_png(history)).shape[1] == 900
        assert curves_png(history) == curves_png(history)
        assert decode_image(curves_png([])).size

    def test_plotting_leaves_no_global_state(self):
        import matplotlib as mpl

        before = dict(mpl.rcParams)
        curves_png([{"epoch": 1, "loss": 1.0, "val_miou": 0.5}])
        assert dict(mpl.rcParams) == before


class TestPage:
    def test_pictures_stand_under_a_legend_and_all_text_is_escaped(self):
        album = Album((HOSTILE, "b"), PALETTE[:2], 255, max_width=1400)
        mask = np.zeros((30, 1400), np.uint8)
        mask[:3], mask[3:18] = 1, 255  # of 30 rows: 10 % and 50 %
        album.add(np.zeros((30, 1400, 3), np.uint8), mask, HOSTILE, row=HOSTILE)
        options = dict.fromkeys(("title", "alt", "subtitle", "text"), HOSTILE)
        parsed = parse(picture_page(album, **options))
        shown = [*[HOSTILE] * 4, "40.0%", "b", "10.0%", "ignored", "50.0%"]
        shown += ["Shares of all pixels on this page.", HOSTILE, HOSTILE]
        told = "As a configuration file holds them"
        assert parsed.texts == [*shown, "Settings", told, HOSTILE]
        assert parsed.images[0]["alt"] == f"{HOSTILE} {HOSTILE}: {HOSTILE}"
        encoded = (parsed.images[0]["src"] or "").partition(",")[2]
        assert decode_image(base64.b64decode(encoded)).shape[1] == 1280

    def test_a_page_that_no_viewer_shows_is_refused(self):
        with pytest.raises(SegError, match=r"too large. Expected at most 1,000,000"):
            picture_page(Album((), ()), title="x" * MAX_PAGE_BYTES, alt="")

    def test_pictures_that_do_not_fit_a_page_are_counted_on_it(self):
        album = Album(("a",), PALETTE[:1], layout="overlay", columns=1)
        noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
        for number in range(40):
            album.add(noise, np.zeros((480, 640), np.uint8), str(number), row="all")
        parsed = parse(picture_page(album, title="", alt=""))
        left_out = 40 - len(parsed.images)
        assert left_out > 0
        assert f"{left_out} pictures are left out" in parsed.text

    def test_pictures_are_made_smaller_until_they_fit(self):
        noise = np.random.default_rng(0).integers(0, 256, (400, 1600, 3), np.uint8)
        sources = inline_pictures([noise] * 4, budget_bytes=500_000)
        assert len(sources) == 4
        assert sum(map(len, sources)) <= 500_000
        assert 0 < len(inline_pictures([noise] * 40, budget_bytes=500_000)) < 40


class TestEvaluationPage:
    NAMES = ("sky", "road", "boat")
    # 100 pixels, half of each class; no boat, in truth or prediction.
    CONFUSION = np.array([[40, 10, 0], [5, 45, 0], [0, 0, 0]])

    def render(self, **options) -> Page:
        metrics = scored(self.CONFUSION, list(self.NAMES))
        pictures = options.pop("pictures", {})
        return parse(evaluation_page(metrics, self.CONFUSION, pictures, **options))

    def test_the_numbers_are_those_worked_by_hand(self):
        parsed = self.render(title="Evaluation of a model")
        # IoU: 40/55 = 0.727 and 45/60 = 0.750; their mean 0.739; 85 of 100 right.
        assert "0.739 0.710 – 0.760 mIoU, mean over classes" in parsed.text
        shown = "0.375 mean boundary IoU 0.812 mean Dice 0.625 mean accuracy (recall)"
        assert f"{shown} 0.850 pixel accuracy 0.750 IoU weighted" in parsed.text
        assert "0.125 mIoU of always answering the most frequent class" in parsed.text
        assert "1,234 images of the test split" in parsed.text
        # Dice 80/95 and 90/105; recall 40/50, precision 40/45; 45/50, 45/55.
        assert "sky 0.727 0.125 0.842 0.800 0.889 50.0% 1,000" in parsed.text
        assert "road 0.750 0.125 0.857 0.900 0.818 50.0% 1,000" in parsed.text
        assert "boat – 0.125 – – – 0.0% 1,000" in parsed.text
        # Three quarters sure, half of them right; nothing is predicted to be a boat.
        assert "calibration error 0.062" in parsed.text
        assert "sky 0.750 0.500 +0.250" in parsed.text
        assert "nothing to divide by" in parsed.text
        # 10 of 50 sky pixels, 5 of 50 road pixels.
        assert "sky taken for road 20.0% road taken for sky 10.0%" in parsed.text
        cells = [a for tag, a in parsed.tags if tag == "td" and "style" in a]
        heat = [a for a in cells if "meter" not in (a["class"] or "")]
        assert [a["style"] for a in heat[:2]] == ["--v:0.800", "--v:0.447"]  # √0.2
        assert "d41d8cd98f00b204e9800998ecf8427e.dir" in parsed.texts

    def test_a_class_that_is_never_predicted_has_no_precision(self):
        confusion = np.array([[40, 0], [60, 0]])
        metrics = scored(confusion, ["sky", "road"], data_md5="")
        text = parse(evaluation_page(metrics, confusion, {})).text
        assert "sky 0.400 0.125 0.571 1.000 0.400 40.0% 1,000" in text
        assert "road 0.000 0.125 0.000 0.000 – 60.0% 1,000" in text
        assert "for precision without a prediction of it" in text
        assert "not pinned to a version" in text
        confusion = np.array([[40, 1], [2, 60]])
        metrics = scored(confusion, ["sky", "road"], intervals={})
        assert "–" not in parse(evaluation_page(metrics, confusion, {})).text

    def test_a_class_in_few_images_or_in_no_mask_is_marked(self):
        # One boat pixel is predicted, where there is road.
        confusion = np.array([[40, 10, 0], [5, 44, 1], [0, 0, 0]])
        few = {"sky": 1000, "road": 4, "boat": 0}
        metrics = scored(confusion, list(self.NAMES), class_carriers=few)
        metrics["class_images"] = few
        text = parse(evaluation_page(metrics, confusion, {})).text
        assert "Few images carry these scores: road (4 of 1234)." in text
        assert "50.0% few 4 boat" in text
        assert "in no mask of this split: boat (1 px)." in text

    def test_nan_counts_as_absent(self):
        metrics = scored(self.CONFUSION, list(self.NAMES))
        metrics["class_iou"]["boat"] = float("nan")
        metrics["miou"] = float("nan")
        text = parse(evaluation_page(metrics, self.CONFUSION, {})).text
        assert "boat – 0.125 – – – 0.0% 1,000" in text
        assert "nan" not in text.lower()

    def test_pictures_go_from_worst_to_best_and_say_their_place(self):
        scores = {"good": 0.9, "none": None, "bad": 0.25, "fair": 0.5, "unseen": 0.3}
        shown = ("good", "none", "bad", "fair")
        parsed = self.render(pictures=dict.fromkeys(shown, LAYERS), scores=scores)
        order = [str(image["alt"]) for image in parsed.images if "src" in image]
        assert order[:4] == [f"bad: {layer}" for layer in LAYERS]
        names = [alt.partition(":")[0] for alt in order[::4]]
        assert names == ["bad", "fair", "good", "none"]
        assert "Pictures, from worst to best" in parsed.texts
        assert "bad 1 of 5 mIoU 0.250" in parsed.text
        assert "fair 3 of 5 mIoU 0.500" in parsed.text
        assert "none 5 of 5 mIoU –" in parsed.text
        unscored = self.render(pictures={"b": LAYERS, "a": LAYERS})
        alts = [str(image["alt"]) for image in unscored.images if "src" in image]
        assert [alt[:2] for alt in alts[::4]] == ["b:", "a:"]
        assert "Pictures" in unscored.texts

    def test_hostile_names_stay_text(self):
        names = [HOSTILE, '"><img src=x onerror=alert(1)>', "a&b"]
        html = evaluation_page(
            scored(self.CONFUSION, names),
            self.CONFUSION,
            {HOSTILE: LAYERS},
            title=HOSTILE,
            scores={HOSTILE: 0.5},
            reasons={HOSTILE: HOSTILE},
            facts={HOSTILE: HOSTILE, "b": f"javascript:{HOSTILE}"},
            settings=HOSTILE,
        )
        parsed = parse(html)
        assert set(names) <= set(parsed.texts)
        assert sum("src" in image for image in parsed.images) == len(LAYERS)
        assert f"javascript:{HOSTILE}" in parsed.texts  # and no link

    def test_many_classes_and_pictures_stay_below_the_limit(self):
        count = 150
        confusion = np.full((count, count), 3, np.int64)
        names = [f"a rather long name of class {index}" for index in range(count)]
        noise = np.random.default_rng(0).integers(0, 150, (240, 900), np.uint8)
        large = layers(noise[..., None], noise, noise[::-1], default_colors())
        pictures = {f"image {index}": large for index in range(12)}
        parsed = parse(evaluation_page(scored(confusion, names), confusion, pictures))
        assert str(parsed.images[0]["alt"]).startswith("Heat map of the confusion")
        assert "more did not fit onto this page" in parsed.text


class TestOtherPages:
    def test_the_verification_page_shows_problems_and_classes(self, tmp_path: Path):
        dataset = broken_dataset(tmp_path / "data")
        write_verification(verify(dataset), tmp_path / "out", data_md5="abc.dir")
        parsed = parse((tmp_path / "out" / "report.html").read_text())
        assert "2 problems" in parsed.texts
        assert "Image without mask" in parsed.texts
        assert "ids outside 0 … 1: 7 (4 px, 0.5%)" in parsed.text
        assert "abc.dir" in parsed.texts
        assert HOSTILE in parsed.texts
        # One whole pair is left: 192 of its 768 pixels are of class 1.
        assert f"0 {HOSTILE} 75.0% 1 1 b 25.0% 1" in parsed.text
        assert len(parsed.images) == 1

    def test_verification_and_evaluation_agree_on_a_class_that_no_mask_shows(
        self, tmp_path: Path
    ):
        root = broken_dataset(tmp_path / "data")
        for stem in "ab":
            (root / "train_images" / f"{stem}.png").unlink()
        (root / "train_segmentation" / "b.png").unlink()
        for part in ("images", "segmentation"):
            (root / f"val_{part}").mkdir()
            picture = cv2.imread(str(root / f"train_{part}" / "c.png"))
            picture = picture[::-1, :, 0] if part == "images" else 0 * picture[..., 0]
            cv2.imwrite(str(root / f"val_{part}" / "d.png"), picture)
        found = verify(root)
        (note,) = [n for n in found.notes if n.kind == "class-not-scored"]
        assert note.reason == "absent from val: 1 (b)"
        write_verification(found, tmp_path / "out")
        page = parse((tmp_path / "out" / "report.html").read_text())
        # No pixel is predicted to be of class 1: no score. One is: 0, and it counts.
        for confusion, iou, mean in (
            (np.array([[768, 0], [0, 0]]), np.nan, 1.0),
            (np.array([[384, 384], [0, 0]]), 0.0, 0.25),
        ):
            scores = Scores(confusion)
            assert np.array_equal(scores.class_iou[1], iou, equal_nan=True)
            assert scores.miou == mean
            metrics = scored(confusion, ["a", "b"])
            metrics["class_images"] = {"a": 1, "b": 0}
            evaluated = parse(evaluation_page(metrics, confusion, {}))
            for text in (note.remedy, page.text, evaluated.text):
                assert UNSCORED in text

    def test_long_lists_of_problems_are_folded_and_cut(self, tmp_path: Path):
        root = broken_dataset(tmp_path / "data")
        for index in range(300):
            (root / "train_images" / f"{index}.txt").write_text("")
        write_verification(verify(root), tmp_path / "out")
        parsed = parse((tmp_path / "out" / "report.html").read_text())
        assert "Not an image (300)" in parsed.texts
        assert "100 more" in parsed.texts
        assert "… and 195 more, listed in manifest.json." in parsed.texts


def broken_dataset(root: Path) -> Path:
    """Two classes, the first with a hostile name; pair `c` is the only whole one."""
    for part in ("images", "segmentation"):
        (root / f"train_{part}").mkdir(parents=True)
    names = f"class_names: ['{HOSTILE}', b]"
    (root / "dataset.yaml").write_text(names)
    image = np.zeros((24, 32, 3), np.uint8)
    mask = np.zeros((24, 32), np.uint8)
    mask[:6] = 1
    for number, stem in enumerate("abc"):
        cv2.imwrite(str(root / "train_images" / f"{stem}.png"), image + number)
    cv2.imwrite(str(root / "train_segmentation" / "c.png"), mask)
    mask[20, :4] = 7
    cv2.imwrite(str(root / "train_segmentation" / "b.png"), mask)
    return root
