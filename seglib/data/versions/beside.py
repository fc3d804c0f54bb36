"""The classes of a version's masks, in a small object beside the data on its remote.

`seglib/class-counts/N/<md5>.json.gz`, where N is MASK_DECODING, belongs to the version
`<md5>.dir`, and says what follows from its masks: whoever writes it writes the same. It
lies outside of `files/`, so DVC takes no notice of it and `dvc gc` leaves it. It may be
missing; and as it decides no result, but is shown to people, its own checksum is all
that vouches for it.
"""

from seglib.data.image_io import MASK_DECODING
from seglib.data.versions.record import LARGEST_BYTES, Counts, MaskCounts, pack, unpack
from seglib.errors import SegError
from seglib.storage import MissingObjectError, Remote
from seglib.storage.backends.base import BrokenOffError
from seglib.storage.backends.local import is_own_folder


def beside_name(source: Remote, data_md5: str) -> str:
    """The address of a version's object, for messages."""
    return source.name(_key(data_md5))


def read_beside(source: Remote, data_md5: str) -> dict[str, Counts]:
    """What lies beside a version; nothing, where nobody put it there.

    Raises:
        SegError: it is damaged, or the remote cannot be reached or refuses.
    """
    key, content = _key(data_md5), bytearray()
    try:
        for chunk in source.chunks(key):
            content += chunk
            if len(content) > LARGEST_BYTES:
                raise SegError("too large")
        return unpack(data_md5, bytes(content))
    except MissingObjectError:
        return {}
    except BrokenOffError as error:
        raise SegError(f"{source.name(key)}: the connection broke off.") from error
    except SegError as error:
        raise SegError(f"{source.name(key)}: {error}") from error


def write_beside(source: Remote, data_md5: str, counts: MaskCounts) -> None:
    """Put the counts of a version's masks beside it, in place of what is there.

    Raises:
        SegError: the remote cannot be reached or refuses, or is no DVC remote but the
            dataset's own folder, which is not written to.
    """
    key = _key(data_md5)
    if is_own_folder(source):
        raise SegError(
            f"{source.root}: the dataset's own folder, which is not written to. Name a "
            "DVC remote."
        )
    source.write(key, pack(data_md5, dict(sorted(counts.items()))))


def _key(data_md5: str) -> str:
    return (
        f"seglib/class-counts/{MASK_DECODING}/{data_md5.removesuffix('.dir')}.json.gz"
    )
