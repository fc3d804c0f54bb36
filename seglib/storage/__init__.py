"""Datasets and other folders on a remote: read and written without git and DVC.

A remote, on S3 or in a folder, keeps every file under its md5 (`files/md5/ab/cdef…`);
a dataset is one more object, `<md5>.dir`, that lists paths and md5s and whose own name
is its md5. So every byte is checked while it is read. Writes are atomic and carry a
checksum; a conditional write fails if another writer was faster.

This module imports nothing, so that a cached result depends on the modules used alone.
"""
