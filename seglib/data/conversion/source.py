"""The folder of a source: its files are found below it and nowhere else."""

import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath

from seglib.data.image_io import IMAGE_SUFFIXES
from seglib.errors import SegError
from seglib.storage.files import is_left_behind, normal, open_file

SPLIT_NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "validation", "valid", "dev"),
    "test": ("test", "testing"),
}
_BY_NAME = {name: split for split, names in SPLIT_NAMES.items() for name in names}
_WORDS = re.compile(r"[a-z]+")
_PROBED = 20  # JSON files
_PEEK = 1 << 16  # bytes at either end of a file


class Source:
    """A folder whose files are listed once, for all formats that look at them."""

    def __init__(self, root: Path):
        self.root = root

    @cached_property
    def files(self) -> list[Path]:
        """All visible files, sorted; links to folders are followed once."""
        return list(_walk(self.root))

    @cached_property
    def probes(self) -> dict[Path, bytes]:
        """The first JSON files, each with its beginning and its end."""
        files = (path for path in self.files if path.suffix == ".json")
        return {path: _peek(path) for path in islice(files, _PROBED)}

    @property
    def images(self) -> dict[str, Path]:
        """Image files by their path below the source, posix, without suffix."""
        return _by_stem(self.root, self.files)

    @cached_property
    def _images_by_name(self) -> dict[str, list[Path]]:
        images = defaultdict(list)
        for path in filter(_is_image, self.files):
            images[normal(path.name)].append(path)
        return images

    def relative(self, path: Path) -> str:
        """The path below the source, posix."""
        return path.relative_to(self.root).as_posix()

    def stem(self, path: Path) -> str:
        """The path below the source, posix, without suffix."""
        return _stem_below(self.root, path)

    def split_of_folder(self, path: Path) -> str:
        """The split that the folders of a file tell; else ""."""
        return split_of(self.relative(path.parent))

    def find_image(self, file_name: str, *, near: Iterable[str] = ()) -> Path:
        """The image that a document names, perhaps by a path of another machine.

        Args:
            file_name: as it is written.
            near: names of folders, such as `train2017`; of several files, those in
                the first folder that has any are meant.

        Raises:
            SegError: there is none, or several that could be meant.
        """
        parts = PurePosixPath(normal(file_name).replace("\\", "/")).parts
        same = self._images_by_name.get(parts[-1], []) if parts else []
        for count in range(len(parts), 0, -1):  # the longest common end
            fitting = [path for path in same if path.parts[-count:] == parts[-count:]]
            if fitting:
                break
        else:
            raise SegError(f"the image {file_name!r} is not below {self.root}")
        for folder in near if len(fitting) > 1 else ():
            if nearer := [path for path in fitting if folder in path.parts]:
                fitting = nearer
                break
        if len(fitting) > 1:
            told = " or ".join(map(self.relative, fitting[:3]))
            raise SegError(f"the image {file_name!r} may be {told}")
        return fitting[0]

    def inside(self, base: Path, name: str) -> Path:
        """A file that a document in the folder `base` names.

        Raises:
            SegError: the path is absolute, or leads out of the source.
        """
        place = posixpath.normpath(
            posixpath.join(self.relative(base), name.replace("\\", "/"))
        )
        if "\0" in name or any(
            len(part.encode("utf-8", "replace")) > 255 for part in place.split("/")
        ):
            raise SegError(f"{name[:40]!r}… is no name of a file")
        if place.startswith(("..", "/")) or re.match(r"[A-Za-z]:", name):
            raise SegError(f"{name!r} leads out of the source's folder")
        return self.root / place


def split_of(name: str) -> str:
    """The split that a name such as `instances_val2017` tells; else "".

    >>> split_of("instances_val2017"), split_of("default")
    ('val', '')
    """
    found = [_BY_NAME[w] for w in _WORDS.findall(name.casefold()) if w in _BY_NAME]
    return found[-1] if found else ""


def images_below(folder: Path) -> dict[str, Path]:
    """Image files by their path below a folder, posix, without suffix."""
    return _by_stem(folder, _walk(folder))


def _by_stem(folder: Path, files: Iterable[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in filter(_is_image, files):
        found.setdefault(_stem_below(folder, path), path)
    return found


def _walk(root: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_left_behind(name))
        for name in sorted(files):
            if not is_left_behind(name):
                yield Path(folder, name)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _stem_below(root: Path, path: Path) -> str:
    return normal(path.relative_to(root).with_suffix("").as_posix())


def _peek(path: Path) -> bytes:
    """The beginning and the end of a file; empty if it cannot be read."""
    try:
        with open_file(path) as file:
            head = file.read(_PEEK)
            size = os.fstat(file.fileno()).st_size
            file.seek(max(len(head), size - _PEEK))
            return head + file.read(_PEEK)
    except OSError:
        return b""
