"""Datasets by their DVC hash: read a remote without git and without DVC.

A remote, on S3 or in a folder, keeps every file under its md5 (`files/md5/ab/cdef…`);
a dataset is one more object, `<md5>.dir`, that lists paths and md5s and whose own name
is its md5. So every byte is checked while it is read. Writes are atomic and carry a
checksum; a conditional write fails if another writer was faster. No other package
imports boto3.
"""

from seglib.storage.backends.base import (
    ChangedObjectError,
    MissingObjectError,
    Remote,
    Stored,
)
from seglib.storage.dvc.diff import DatasetDiff, diff
from seglib.storage.dvc.directory_hashes import Entry, hash_folder
from seglib.storage.dvc.listings import (
    manifest_entries,
    missing_files,
    read_file,
    with_sizes,
)
from seglib.storage.dvc.pins import Pin, default_remote, load_pin, pin_at, read_pin
from seglib.storage.fetching import cache_folder, fetch
from seglib.storage.following import follow
from seglib.storage.pointers import Pointer, latest, pointer_key, set_latest
from seglib.storage.publishing import (
    Published,
    check_place,
    fetch_published,
    publish,
)
from seglib.storage.remotes import check_url, open_remote, portable

__all__ = [
    "ChangedObjectError",
    "DatasetDiff",
    "Entry",
    "MissingObjectError",
    "Pin",
    "Pointer",
    "Published",
    "Remote",
    "Stored",
    "cache_folder",
    "check_place",
    "check_url",
    "default_remote",
    "diff",
    "fetch",
    "fetch_published",
    "follow",
    "hash_folder",
    "latest",
    "load_pin",
    "manifest_entries",
    "missing_files",
    "open_remote",
    "pin_at",
    "pointer_key",
    "portable",
    "publish",
    "read_file",
    "read_pin",
    "set_latest",
    "with_sizes",
]
