"""What an evaluation found: scores, counts by image, calibration, slices."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from markupsafe import Markup

from seglib.data.image_io import jpeg_uri, png_uri
from seglib.data.verification.similarity import sequences
from seglib.drawing import notebook
from seglib.drawing.layout import panel_size, resize
from seglib.drawing.plots import confusion_png
from seglib.evaluation.bootstrap import CONFIDENCE, Interval, intervals
from seglib.evaluation.boundary import BAND
from seglib.evaluation.calibration import BINS, STEP, Calibration
from seglib.evaluation.counts import ImageCounts, mean, ratio
from seglib.evaluation.metrics import Scores
from seglib.evaluation.sizes import COMPONENTS, CORRECT, SIZES, TRUE
from seglib.plain_text import visible_line

_MOST_CONFUSED = 20  # classes, of whose confusion a notebook shows a picture
_EXAMPLE_WIDTH = 800  # pixels
FORMAT_VERSION = 2  # of metrics.json; 1 had no such key


@dataclass(frozen=True, repr=False)
class Evaluation:
    """The scores of a model on a split of a dataset."""

    split: str
    scores: Scores
    counts: ImageCounts  # by image, in the dataset's order
    confidence: np.ndarray  # float64 (images,), mean over an image's sampled pixels
    calibration: Calibration
    sizes: np.ndarray  # summed `size_counts`
    class_names: tuple[str, ...]
    data_md5: str
    palette: tuple[tuple[int, int, int], ...] = ()
    examples: tuple[tuple[str, np.ndarray], ...] = ()  # captions and `comparison`s

    def __repr__(self) -> str:
        return f"Evaluation({self._told()})"

    def _repr_html_(self) -> str:
        """For notebooks: scores, a table of classes, confusion, the worst images."""
        scores, names, found = self.scores, self.class_names, self.intervals
        each = {
            "IoU": scores.class_iou,
            "Dice": scores.class_dice,
            "precision": scores.class_precision,
            "recall": scores.class_recall,
            "boundary IoU": self.counts.class_boundary_iou,
        }
        pixels = scores.true / max(1, scores.true.sum())
        rows = [
            [
                notebook.class_name(name, self.palette[i]) if self.palette else name,
                *(notebook.number(values[i]) for values in each.values()),
                _range(found["class_iou"][i]),
                notebook.share(pixels[i]),
            ]
            for i, name in enumerate(names)
        ]
        header = ["class", *each, f"IoU, {CONFIDENCE:.0%} interval", "pixels"]
        parts = [notebook.table(header, rows)]
        if len(names) <= _MOST_CONFUSED:
            source = png_uri(confusion_png(scores.confusion, names))
            shown = notebook.picture(source, "confusion matrix")
            parts.append(notebook.folded("Confusion matrix", shown))
        if self.examples:
            parts.append(Markup("<div>Images with the lowest mIoU:</div>"))
        for caption, drawn in self.examples:
            size = panel_size(drawn.shape, max_width=_EXAMPLE_WIDTH)
            source = jpeg_uri(resize(drawn, size), quality=70)
            parts.append(notebook.picture(source, caption))
            parts.append(Markup("<div>{}</div>").format(visible_line(caption)))
        return notebook.card("Evaluation", self._told(), *parts)

    def _told(self) -> str:
        """The scores in a line."""
        scores = self.scores
        return (
            f"{self.split}, {len(self.counts.stems):,} images: mIoU "
            f"{notebook.number(self.miou)} (majority class: "
            f"{notebook.number(scores.baseline_miou)}), pixel accuracy "
            f"{notebook.number(scores.pixel_accuracy)}"
        )

    @property
    def miou(self) -> float:
        """Dataset-level mean IoU over the classes that occur."""
        return self.scores.miou

    @property
    def class_iou(self) -> dict[str, float]:
        """IoU by class name; NaN for a class that does not occur."""
        return dict(zip(self.class_names, self.scores.class_iou.tolist(), strict=True))

    @property
    def keras_segmentation(self) -> dict[str, Any]:
        """The scores under the names of keras_segmentation's `evaluate_segmentation`.

        Their definitions differ: that library resizes masks to half the network's
        size, counts ignored pixels as a class, and scores an absent class 0, where
        these are of the original size, leave ignored pixels out, and give NaN, which
        the mean skips.
        """
        return {
            "frequency_weighted_IU": float(self.scores.miou_frequency_weighted),
            "mean_IU": float(self.miou),
            "class_wise_IU": self.scores.class_iou,
        }

    @cached_property
    def intervals(self) -> dict[str, list[Interval]]:
        """The 95 % interval of each score over the choice of images."""
        return intervals(self.counts)

    def to_metrics(self) -> dict[str, Any]:
        """The content of metrics.json; a NaN is written as null."""
        names, scores = self.class_names, self.scores
        boundary = self.counts.class_boundary_iou
        return {
            "format_version": FORMAT_VERSION,
            "split": self.split,
            "num_images": len(self.counts.stems),
            "miou": plain(scores.miou),
            "baseline_miou": plain(scores.baseline_miou),
            "pixel_accuracy": plain(scores.pixel_accuracy),
            "mean_accuracy": plain(scores.mean_accuracy),
            "mean_dice": plain(scores.mean_dice),
            "miou_frequency_weighted": plain(scores.miou_frequency_weighted),
            "boundary_miou": plain(mean(boundary)),
            "expected_calibration_error": plain(self.calibration.ece),
            "class_iou": by_name(names, scores.class_iou),
            "class_dice": by_name(names, scores.class_dice),
            "class_precision": by_name(names, scores.class_precision),
            "class_recall": by_name(names, scores.class_recall),
            "class_boundary_iou": by_name(names, boundary),
            "class_images": dict(
                zip(names, self.counts.class_images.tolist(), strict=True)
            ),
            "class_carriers": dict(
                zip(names, self.counts.class_carriers.tolist(), strict=True)
            ),
            "intervals": self._intervals(),
            "boundary": {"band": BAND},
            "calibration": self._calibration(),
            "sizes": self._sizes(),
            "sequences": self._sequences(),
            "class_names": list(names),
            "confusion_matrix": scores.confusion.tolist(),
            "data_md5": self.data_md5,
        }

    def _intervals(self) -> dict[str, Any]:
        found: dict[str, Any] = {"confidence": CONFIDENCE}
        for name, each in self.intervals.items():
            ends = [[plain(one.low), plain(one.high)] for one in each]
            of_class = name.startswith("class_")
            found[name] = (
                dict(zip(self.class_names, ends, strict=True)) if of_class else ends[0]
            )
        return found

    def _calibration(self) -> dict[str, Any]:
        found = self.calibration
        return {
            "step": STEP,
            "bins": [
                {
                    "above": index / BINS,
                    "pixels": int(pixels),
                    "confidence": plain(confidence),
                    "accuracy": plain(accuracy),
                }
                for index, (pixels, confidence, accuracy) in enumerate(
                    zip(found.pixels, found.confidence, found.accuracy, strict=True)
                )
            ],
            "class_confidence": by_name(self.class_names, found.class_confidence),
            "class_accuracy": by_name(self.class_names, found.class_accuracy),
        }

    def _sizes(self) -> dict[str, Any]:
        found = {}
        for (name, least), counts in zip(SIZES.items(), self.sizes, strict=True):
            recall = ratio(counts[:, CORRECT], counts[:, TRUE])
            found[name] = {
                "least_pixels": least,
                "objects": int(counts[:, COMPONENTS].sum()),
                "pixels": int(counts[:, TRUE].sum()),
                "mean_accuracy": plain(mean(recall)),
                "class_recall": by_name(self.class_names, recall),
            }
        return found

    def _sequences(self) -> dict[str, Any]:
        place = {stem: index for index, stem in enumerate(self.counts.stems)}
        found = {}
        for name, stems in sorted(sequences(self.counts.stems).items()):
            part = self.counts.take(place[stem] for stem in stems)
            found[name] = {"images": len(stems), "miou": plain(part.miou)}
        return found


def _range(interval: Interval) -> str:
    low, high = (notebook.number(end) for end in (interval.low, interval.high))
    return f"{low} … {high}"


def plain(value: float) -> float | None:
    """A number for JSON: NaN is None."""
    return None if np.isnan(value) else float(value)


def by_name(names: tuple[str, ...], values: np.ndarray) -> dict[str, float | None]:
    """Values for JSON by class name."""
    return {name: plain(value) for name, value in zip(names, values, strict=True)}
