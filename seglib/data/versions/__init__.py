"""Versions of a dataset: the classes in their masks, and what differs between two.

A version is named by its DVC hash. The pixels of each class in its masks are one small
object beside the data on the remote, written by the pipeline's verify step or by
`seglib data count`.
"""

from seglib.data.versions.class_changes import ClassChange, ClassDiff, SplitChange
from seglib.data.versions.comparing import (
    Counted,
    VersionDiff,
    compare_versions,
    count_version,
    record_counts,
)
from seglib.data.versions.rendering import to_markdown, to_text

__all__ = [
    "ClassChange",
    "ClassDiff",
    "Counted",
    "SplitChange",
    "VersionDiff",
    "compare_versions",
    "count_version",
    "record_counts",
    "to_markdown",
    "to_text",
]
