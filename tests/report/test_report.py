"""Pictures pixel by pixel, and pages as a browser's parser sees them."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from seglib.data.dataset import Dataset, default_palette
from seglib.data.image_io import decode_image
from seglib.data.verification.verifier import verify
from seglib.errors import SegError
from seglib.report.evaluation_page import evaluation_page
from seglib.report.layout import panel_size, resize_ids
from seglib.report.pages import MAX_PAGE_BYTES, inline_pictures, picture_page
from seglib.report.pictures import colorize, comparison, error_map, legend, overlay
from seglib.report.plots import confusion_png, curves_png
from seglib.steps.verify import write_verification

PALETTE = ((200, 0, 0), (0, 100, 0), (0, 0, 50))
HOSTILE = '<script>alert("x")</script>'
VOID_TAGS = {"meta", "img", "br"}


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
        if self.open and self.open[-1] != "style" and data.strip():
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
    assert not {"script", "link", "iframe", "object"} & set(tags)
    assert not re.search(r"@import|url\(", html)
    for _, attributes in parsed.tags:
        assert "href" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("src") or "data:image/jpeg;base64,").startswith("data:")
    for image in parsed.images:
        assert image["alt"]
        content = base64.b64decode((image["src"] or "").partition(",")[2])
        assert decode_image(content).size
    assert tags.count("h1") == tags.count("title") == 1
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
        "class_iou": dict(zip(names, iou, strict=True)),
        "confusion_matrix": confusion.tolist(),
        "class_names": names,
        "data_md5": "d41d8cd98f00b204e9800998ecf8427e.dir",
    } | others


class TestPictures:
    def test_each_pixel_gets_its_class_colour(self):
        mask = np.array([[0, 1], [2, 0]], np.uint8)
        expected = [[PALETTE[0], PALETTE[1]], [PALETTE[2], PALETTE[0]]]
        assert colorize(mask, PALETTE).tolist() == np.array(expected).tolist()

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
    def test_ignored_and_unknown_ids_are_neutral_grey(self, dtype):
        mask = np.array([[1, 255, 3, 1]], dtype)
        painted = colorize(mask, PALETTE, ignore_index=255)[0].astype(int)
        assert painted[0].tolist() == painted[3].tolist() == [0, 100, 0]
        assert np.ptp(painted[1:3], axis=1).max() <= 6

    def test_an_ignored_id_below_the_number_of_classes_is_grey_too(self):
        mask = np.zeros((1, 1), np.uint8)
        assert np.ptp(colorize(mask, PALETTE, ignore_index=0).astype(int)) <= 6

    def test_an_overlay_mixes_by_alpha(self):
        image = np.full((1, 3, 3), 100, np.uint8)
        mask = np.array([[0, 1, 2]], np.uint8)
        # 0.75 · 100 + 0.25 · colour
        expected = [[125, 75, 75], [75, 100, 75], [75, 75, 88]]
        mixed = overlay(image, mask, PALETTE, alpha=0.25)
        assert np.abs(mixed[0].astype(int) - expected).max() <= 1

    @pytest.mark.parametrize("channels", [1, 3, 4])
    def test_overlays_take_grey_rgb_and_rgba(self, channels):
        image = np.full((4, 5, channels), 80, np.uint8)
        mixed = overlay(image, np.zeros((4, 5), np.uint8), PALETTE, alpha=0)
        assert (mixed == 80).all()
        assert mixed.shape == (4, 5, 3)

    def test_errors_have_the_colour_of_the_truth(self):
        image = np.full((1, 4, 3), 100, np.uint8)
        mask = np.array([[0, 1, 2, 255]], np.uint8)
        prediction = np.array([[0, 2, 0, 1]], np.uint8)
        shown = error_map(image, mask, prediction, PALETTE, ignore_index=255)[0]
        assert shown[0].tolist() == [30, 30, 30]  # right: 30 % of the grey image
        assert shown[1].tolist() == [0, 100, 0]  # a road taken for a car
        assert shown[2].tolist() == [0, 0, 50]
        assert np.ptp(shown[3].astype(int)) <= 6  # ignored

    def test_a_comparison_has_four_panels_under_labels(self):
        image = np.zeros((120, 200, 3), np.uint8)
        mask = np.zeros((120, 200), np.uint8)
        picture = comparison(image, mask, mask + 1, PALETTE, ignore_index=255)
        # Text of 11 pixels in strips of 21; gaps of 4 between panels of 200.
        assert picture.shape == (21 + 120, 4 * 200 + 3 * 4, 3)
        middles = [picture[80, 100 + 204 * panel].tolist() for panel in range(4)]
        assert middles == [[0, 0, 0], [200, 0, 0], [0, 100, 0], [200, 0, 0]]

    def test_small_pictures_are_enlarged_by_whole_pixels_and_large_ones_reduced(self):
        assert panel_size((24, 32)) == (120, 160)
        assert panel_size((360, 480)) == (360, 480)
        assert panel_size((1024, 2048)) == (320, 640)
        big = np.arange(4, dtype=np.uint16).reshape(2, 2) * 100
        assert set(np.unique(resize_ids(big, (7, 9)))) == {0, 100, 200, 300}

    def test_the_legend_shows_each_colour_and_fits_a_height(self):
        shown = legend(("sky", "road", "车 <b>"), PALETTE, ignored=True)
        colours = set(map(tuple, shown.reshape(-1, 3).tolist()))
        assert set(PALETTE) <= colours
        names = tuple(f"class {index}" for index in range(40))
        for height in (10, 104, 360):
            assert legend(names, default_palette(40), height=height).shape[0] == height


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

    @pytest.mark.parametrize("count", [2, 11, 150])
    def test_confusion_is_a_png_for_few_and_for_many_classes(self, count):
        confusion = np.eye(count, dtype=np.int64) * 7
        confusion[-1] = 0
        names = [f"class {index}" for index in range(count)]
        assert min(decode_image(confusion_png(confusion, names)).shape[:2]) > 200

    def test_any_name_of_a_class_can_be_plotted(self):
        names = ["$x_{", "a\nb", "[/k]\x1b[2J", r"\frac"]
        picture = decode_image(confusion_png(np.eye(4, dtype=int), names))
        assert min(picture.shape[:2]) > 200

    def test_plotting_leaves_no_global_state(self):
        import matplotlib as mpl

        before = dict(mpl.rcParams)
        curves_png([{"epoch": 1, "loss": 1.0, "val_miou": 0.5}])
        assert dict(mpl.rcParams) == before


class TestPage:
    def test_pictures_stand_under_a_legend_and_all_text_is_escaped(self):
        black = np.zeros((30, 2000, 3), np.uint8)
        options = {"title": HOSTILE, "alt": HOSTILE, "total": 7}
        parsed = parse(picture_page(two_classes(), [(HOSTILE, black)], **options))
        shown = [HOSTILE, HOSTILE, "1 of 7 pairs", HOSTILE, "b", "ignored", HOSTILE]
        assert parsed.texts == shown
        assert parsed.images[0]["alt"] == f"{HOSTILE}: {HOSTILE}"
        encoded = (parsed.images[0]["src"] or "").partition(",")[2]
        assert decode_image(base64.b64decode(encoded)).shape[1] == 1280

    def test_a_page_that_no_viewer_shows_is_refused(self):
        with pytest.raises(SegError, match=r"too large. Expected at most 1,000,000"):
            picture_page(two_classes(), [], title="x" * MAX_PAGE_BYTES, alt="")

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
        pictures = options.pop("pictures", [])
        return parse(evaluation_page(metrics, self.CONFUSION, pictures, **options))

    def test_the_numbers_are_those_worked_by_hand(self):
        parsed = self.render(title="Evaluation of a model")
        # IoU: 40/55 = 0.727 and 45/60 = 0.750; their mean 0.739; 85 of 100 right.
        shown = parsed.texts[2:12]  # after the title and the heading
        assert shown[0::2] == ["0.739", "0.125", "0.750", "0.850", "1,234"]
        assert "always answering the most frequent class" in shown[3]
        assert "test split" in shown[9]
        # Recall 40/50, precision 40/45, half of the pixels; 45/50, 45/55.
        assert "sky 0.727 0.800 0.889 50.0%" in parsed.text
        assert "road 0.750 0.900 0.818 50.0%" in parsed.text
        assert "boat – – – 0.0%" in parsed.text
        assert "nothing to divide by" in parsed.text
        # 10 of 50 sky pixels, 5 of 50 road pixels.
        assert "sky taken for road 20.0% road taken for sky 10.0%" in parsed.text
        heat = [a for tag, a in parsed.tags if tag == "td" and "style" in a]
        assert [a["style"] for a in heat[:2]] == ["--v:0.800", "--v:0.200"]
        assert "d41d8cd98f00b204e9800998ecf8427e.dir" in parsed.texts

    def test_a_class_that_is_never_predicted_has_no_precision(self):
        confusion = np.array([[40, 0], [60, 0]])
        metrics = scored(confusion, ["sky", "road"], data_md5="")
        text = parse(evaluation_page(metrics, confusion, [])).text
        assert "sky 0.400 1.000 0.400 40.0% road 0.000 0.000 – 60.0%" in text
        assert "for precision: never predicted" in text
        assert "not pinned to a version" in text
        confusion = np.array([[40, 1], [2, 60]])
        metrics = scored(confusion, ["sky", "road"])
        assert "–" not in parse(evaluation_page(metrics, confusion, [])).text

    def test_nan_counts_as_absent(self):
        metrics = scored(self.CONFUSION, list(self.NAMES))
        metrics["class_iou"]["boat"] = float("nan")
        metrics["miou"] = float("nan")
        text = parse(evaluation_page(metrics, self.CONFUSION, [])).text
        assert "boat – – – 0.0%" in text
        assert "nan" not in text.lower()

    def test_pictures_go_from_worst_to_best(self):
        dot = np.zeros((8, 32, 3), np.uint8)
        scores = {"good": 0.9, "none": None, "bad": 0.25, "fair": 0.5}
        parsed = self.render(pictures=[(n, dot) for n in scores], scores=scores)
        order = [str(image["alt"]).partition(":")[0] for image in parsed.images]
        assert order == ["bad", "fair", "good", "none"]
        assert "Pictures, from worst to best" in parsed.texts
        assert "bad mIoU 0.250" in parsed.text
        unscored = self.render(pictures=[("b", dot), ("a", dot)])
        assert [image["alt"][:2] for image in unscored.images] == ["b:", "a:"]
        assert "Pictures" in unscored.texts

    def test_hostile_names_stay_text(self):
        names = [HOSTILE, '"><img src=x onerror=alert(1)>', "a&b"]
        dot = np.zeros((8, 32, 3), np.uint8)
        html = evaluation_page(
            scored(self.CONFUSION, names),
            self.CONFUSION,
            [(HOSTILE, dot)],
            title=HOSTILE,
            scores={HOSTILE: 0.5},
        )
        parsed = parse(html)
        assert set(names) <= set(parsed.texts)
        assert len(parsed.images) == 1

    def test_many_classes_and_pictures_stay_below_the_limit(self):
        count = 150
        confusion = np.full((count, count), 3, np.int64)
        names = [f"a rather long name of class {index}" for index in range(count)]
        noise = np.random.default_rng(0).integers(0, 256, (240, 1300, 3), np.uint8)
        pictures = [(f"image {index}", noise) for index in range(12)]
        parsed = parse(evaluation_page(scored(confusion, names), confusion, pictures))
        assert parsed.images[0]["alt"] == "Heat map of the confusion matrix"


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

    def test_long_lists_of_problems_are_folded_and_cut(self, tmp_path: Path):
        root = broken_dataset(tmp_path / "data")
        for index in range(300):
            (root / "train_images" / f"{index}.txt").write_text("")
        write_verification(verify(root), tmp_path / "out")
        parsed = parse((tmp_path / "out" / "report.html").read_text())
        assert "Not an image (300)" in parsed.texts
        assert "100 more" in parsed.texts
        assert "… and 195 more, listed in manifest.json." in parsed.texts


def two_classes() -> Dataset:
    return Dataset(
        root=Path(),
        splits={},
        num_classes=2,
        class_names=(HOSTILE, "b"),
        palette=PALETTE[:2],
        ignore_index=255,
    )


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
