"""Video files, frame by frame; no other module decodes or encodes them."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from seglib.errors import SegError
from seglib.storage.files import check_file

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm")
_CODEC = "mp4v"  # MPEG-4 part 2: OpenCV's wheel encodes it everywhere
_FRAMES_A_SECOND = 25.0  # of a file that does not say


class Video:
    """The frames of a video file.

    Raises:
        SegError: it cannot be read, or is no video.
    """

    def __init__(self, path: Path):
        try:
            check_file(path)
        except OSError as error:
            raise SegError(f"{path}: cannot be read ({error.strerror}).") from error
        self.path = path
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise SegError(
                f"{path}: not a video that OpenCV can read, or a damaged one. Convert "
                "it to MP4 (H.264 or MPEG-4)."
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.frames_a_second = rate if 0 < rate < 1000 else _FRAMES_A_SECOND
        self.length = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))  # stated

    def frames(self, *, channels: int = 3) -> Iterator[np.ndarray]:
        """Each frame, upright: uint8 (H, W, channels), 1 grey or 3 RGB.

        Raises:
            SegError: there is none.
        """
        count = 0
        while (read := self._capture.read())[0]:
            count += 1
            if channels == 1:
                yield cv2.cvtColor(read[1], cv2.COLOR_BGR2GRAY)[..., None]
            else:
                yield cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)
        self._capture.release()
        if not count:
            raise SegError(f"{self.path}: the video has no frame that can be decoded.")


class VideoFile:
    """A video that is written frame by frame, and is there when it is complete.

    Args:
        path: of an MP4 file.
    """

    def __init__(self, path: Path, frames_a_second: float):
        self.path, self._rate = path, frames_a_second
        self._part = path.with_name(f".{path.stem}.part{path.suffix}")
        self._writer: cv2.VideoWriter | None = None
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def write(self, frame: np.ndarray) -> None:
        """Add a frame uint8 (H, W, 3), RGB.

        Raises:
            SegError: the file cannot be written.
        """
        if self._writer is None:
            self._writer = self._opened(frame.shape[1], frame.shape[0])
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        self._count += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is None:
            return
        self._writer.release()
        try:
            if kind is None:
                # OpenCV tells nothing of a disk that is full.
                if Video(self._part).length < self._count:
                    raise SegError(f"{self.path}: cannot be written whole.")
                self._part.replace(self.path)
        finally:
            self._part.unlink(missing_ok=True)

    def _opened(self, width: int, height: int) -> cv2.VideoWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._part.touch()
        except OSError as error:
            reason = error.strerror
            raise SegError(f"{self.path}: cannot be written ({reason}).") from error
        codec = cv2.VideoWriter.fourcc(*_CODEC)
        writer = cv2.VideoWriter(str(self._part), codec, self._rate, (width, height))
        if not writer.isOpened():
            self._part.unlink(missing_ok=True)
            raise SegError(
                f"{self.path}: OpenCV cannot encode a video of {height}×{width} pixels."
            )
        return writer
