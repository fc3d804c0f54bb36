"""Prediction of files: reading, answering and writing, each in its threads."""

import logging
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count, takewhile
from pathlib import Path

import numpy as np

from seglib.data.read_ahead import equal_batches, read_ahead
from seglib.data.video import Video, VideoFile
from seglib.errors import SegError
from seglib.inference.outputs import (
    IDS,
    PROBABILITY,
    UNCERTAINTY,
    Record,
    draw,
    write_png,
)
from seglib.inference.predictor import Answer, Predictor
from seglib.inference.sources import Source
from seglib.progress import Tell
from seglib.storage.atomic_write import whole_folder

logger = logging.getLogger(__name__)


_THREADS = 2
_AHEAD, _AHEAD_BYTES = 16, 2**27  # images that are decoded or wait to be written
_FRAME = "{:06}.png"


@dataclass(frozen=True)
class Predictions:
    """The written images, and the inputs that cannot be read."""

    written: tuple[Path, ...]  # the first of each image's files; of videos, or folders
    problems: tuple[str, ...]  # one `path: reason` each
    skipped: tuple[Path, ...] = ()  # as `written`: done before, by the same model


@dataclass
class _Item:
    """An image or a frame on its way from its file to its outputs."""

    source: Source
    image: np.ndarray  # uint8 (H, W, C)
    problem: str = ""
    answer: Answer = field(init=False)

    @property
    def kind(self) -> Hashable:
        """Images of one kind are predicted together."""
        return self.problem or self.image.shape


@dataclass
class FilePrediction:
    """One prediction of files, whose outputs go to a folder."""

    predictor: Predictor
    out: Path
    kinds: tuple[str, ...]
    opacity: float
    record: Record
    progress: Tell
    ahead: int = 1  # images that are decoded, or wait to be written
    done: int = 0  # images and frames
    total: int = 0
    problems: list[str] = field(default_factory=list)
    shrunk: dict[Source, None] = field(default_factory=dict)

    def run(self, sources: Sequence[Source], *, overwrite: bool) -> Predictions:
        """Predict what is not done; see `seglib.predict`."""
        todo: list[Source] = []
        skipped: list[Source] = []
        for source in sources:
            is_done = self.record.has(source, self._places(source))
            (skipped if is_done and not overwrite else todo).append(source)
        videos = [source for source in todo if source.is_video]
        images = [source for source in todo if not source.is_video]
        self.total = len(images) + sum(map(_stated_length, videos))
        written = list(self._images(images))
        for source in videos:
            try:
                written.append(self._video(source))
            except SegError as error:
                self.problems.append(str(error))
                self._count(1)
        self._tell_shrunk()
        done = tuple(self._places(source)[0] for source in skipped)
        return Predictions(tuple(written), tuple(self.problems), done)

    def _images(self, sources: Sequence[Source]) -> Iterator[Path]:
        with ThreadPoolExecutor(_THREADS) as pool:
            items = read_ahead(pool, self._read, sources, most=self._ahead)
            answered = self._answered(items)
            yield from read_ahead(pool, self._write, answered, most=self._ahead)

    def _read(self, source: Source) -> _Item:
        try:
            return _Item(source, source.read(self.predictor.contract.inputs))
        except SegError as error:
            return _Item(source, np.empty((0, 0, 0)), str(error))

    def _write(self, item: _Item) -> Path:
        places = self._places(item.source)
        for kind, place in zip(self.kinds, places, strict=True):
            write_png(place, self._draw(kind, item))
        self.record.add(item.source)
        return places[0]

    def _answered(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """Answer batches of images of one size; drop those with a problem."""
        for batch in equal_batches(items, lambda item: item.kind, self._batch_size):
            try:
                answers = self._answers(batch)
            except SegError as error:  # too large for the memory
                if batch[0].source.is_video:
                    raise
                self.problems += [f"{item.source.files[0]}: {error}" for item in batch]
                answers = []
            for item, answer in zip(batch, answers, strict=False):
                item.answer = answer
                yield item
            self._count(len(batch))

    def _batch_size(self, item: _Item) -> int:
        if item.problem:
            return 1
        self.ahead = max(1, min(_AHEAD, _AHEAD_BYTES // item.image.nbytes))
        if self.predictor.shrinks(item.image.shape):
            self.shrunk[item.source] = None
        return self.predictor.batch_size(item.image.shape)

    def _answers(self, batch: Sequence[_Item]) -> list[Answer]:
        images = [item.image for item in batch]
        if batch[0].problem:
            self.problems.append(batch[0].problem)
            return []
        if {PROBABILITY, UNCERTAINTY} & set(self.kinds):
            return [self.predictor.answer(image) for image in images]
        return [Answer(ids) for ids in self.predictor.predict_batch(np.stack(images))]

    def _video(self, source: Source) -> Path:
        """Predict a video's frames; its files are in place when all are written."""
        video, places = Video(source.files[0]), self._places(source)
        frames = video.frames(channels=self.predictor.contract.channels)
        with ExitStack() as opened:
            sinks = [
                opened.enter_context(_frame_sink(kind, place, video.frames_a_second))
                for kind, place in zip(self.kinds, places, strict=True)
            ]
            reader, writer = (  # they end before the files are closed
                opened.enter_context(ThreadPoolExecutor(1)) for _ in range(2)
            )

            def write(item: _Item) -> None:
                for kind, sink in zip(self.kinds, sinks, strict=True):
                    sink(self._draw(kind, item))

            read = read_ahead(
                reader, lambda _: next(frames, None), count(), most=self._ahead
            )
            known = takewhile(lambda frame: frame is not None, read)
            answered = self._answered(_Item(source, np.asarray(f)) for f in known)
            deque(read_ahead(writer, write, answered, most=self._ahead), maxlen=0)
        self.record.add(source)
        return places[0]

    def _draw(self, kind: str, item: _Item) -> np.ndarray:
        contract = self.predictor.contract
        return draw(kind, item.image, item.answer, contract, self.opacity)

    def _places(self, source: Source) -> list[Path]:
        """The file of each kind; of a video's ids, the folder of its frames."""
        ends = dict.fromkeys(self.kinds, ".mp4" if source.is_video else ".png")
        if source.is_video and IDS in ends:
            ends[IDS] = ""
        return [self.out / kind / (source.name + end) for kind, end in ends.items()]

    def _ahead(self) -> int:
        return self.ahead

    def _count(self, number: int) -> None:
        self.done += number
        self.progress(self.done, max(self.done, self.total))

    def _tell_shrunk(self) -> None:
        if self.shrunk:
            height, width = self.predictor.contract.window_size
            logger.warning(
                "%d of the files, such as %s, are more than twice as large as the "
                "training's %d×%d pixels and were shrunk. Without `--no-tile` they are "
                "predicted in tiles.",
                *(len(self.shrunk), next(iter(self.shrunk)).files[0], height, width),
            )


@contextmanager
def _frame_sink(
    kind: str, place: Path, frames_a_second: float
) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that writes the next frame."""
    if kind == IDS:
        numbers = count()
        with whole_folder(place, what="video's masks", marker=_FRAME.format(0)) as part:
            yield lambda ids: write_png(part / _FRAME.format(next(numbers)), ids)
    else:
        with VideoFile(place, frames_a_second) as file:
            yield file.write


def _stated_length(video: Source) -> int:
    """Number of frames, as the file states it."""
    with suppress(SegError):
        return Video(video.files[0]).length
    return 1
