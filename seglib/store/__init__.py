"""Datasets by their DVC hash: read a remote without git and without DVC.

A remote, on S3 or in a folder, keeps every file under its md5 (`files/md5/ab/cdef…`);
a dataset is one more object, `<md5>.dir`, that lists paths and md5s and whose own name
is its md5. So every byte can be checked while it is read, and it is. No other package
imports boto3.
"""

from seglib.store.fetching import fetch, manifest_entries
from seglib.store.folders import Entry, hash_folder
from seglib.store.pins import default_remote, read_pin

__all__ = [
    "Entry",
    "default_remote",
    "fetch",
    "hash_folder",
    "manifest_entries",
    "read_pin",
]
