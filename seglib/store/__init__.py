"""Datasets by their DVC hash: read a remote without git and without DVC.

A remote, on S3 or in a folder, keeps every file under its md5 (`files/md5/ab/cdef…`);
a dataset is one more object, `<md5>.dir`, that lists paths and md5s and whose own name
is its md5. So every byte can be checked while it is read, and it is. No other package
imports boto3.
"""

from seglib.store.diffing import DatasetDiff, diff
from seglib.store.fetching import (
    fetch,
    manifest_entries,
    missing_files,
    with_sizes,
)
from seglib.store.folders import Entry, hash_folder
from seglib.store.pins import default_remote, pin_at, read_pin

__all__ = [
    "DatasetDiff",
    "Entry",
    "default_remote",
    "diff",
    "fetch",
    "hash_folder",
    "manifest_entries",
    "missing_files",
    "pin_at",
    "read_pin",
    "with_sizes",
]
