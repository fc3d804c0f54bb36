"""Versions of a dataset: what is in their masks, and what changed from one to another.

A version is known by its DVC hash; its files stay where they are. How many pixels each
mask has of each class is known where somebody verified or counted it: here, in the
cache, or anywhere, and then it lies beside the data on the remote.
"""

from seglib.data.versions.changes import ClassChange, ClassDiff, SplitChange
from seglib.data.versions.comparing import VersionDiff, compare_versions
from seglib.data.versions.known import Counted, count_version, keep_counts
from seglib.data.versions.markdown import to_markdown

__all__ = [
    "ClassChange",
    "ClassDiff",
    "Counted",
    "SplitChange",
    "VersionDiff",
    "compare_versions",
    "count_version",
    "keep_counts",
    "to_markdown",
]
