"""The exceptions for users, and messages with the nearest valid name."""

import difflib
import errno
from collections.abc import Iterable

from seglib.plain_text import first_line, without_login

FINAL = 78  # exit status of an error that comes every time; EX_CONFIG of sysexits.h
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LONGEST = 300  # characters, of what a library tells
_REFUSED = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO),
    *(errno.EISDIR, errno.ENAMETOOLONG, errno.ENOTDIR),
}
# As TensorFlow, HDF5, array_record and SQLite tell it, each by an exception of its own.
_FULL_TEXTS = (
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "disk is full",
)


class SegError(ValueError):
    """A problem that its reader can solve; the message says how.

    The command line prints its message without a traceback and exits with
    `exit_code`. Its message holds no login: it is printed, logged and told to others.
    """

    exit_code = 1

    def __init__(self, message: str = ""):
        super().__init__(without_login(message))


class UsageError(SegError):
    """An invalid argument, option or setting."""

    exit_code = 2


class DivergedError(SegError):
    """A training whose loss is no longer finite; a retry would diverge too."""


class DatasetError(SegError):
    """All problems of a dataset, one `path: reason` a line."""

    def __init__(self, summary: str, problems: Iterable[str] = (), *, limit: int = 20):
        self.problems = tuple(problems)
        lines = [summary, *(f"  {problem}" for problem in self.problems[:limit])]
        if len(self.problems) > limit:
            lines.append(f"  … and {len(self.problems) - limit} more.")
        super().__init__("\n".join(lines))


class RefusedError(SegError):
    """A store refuses: the bucket is missing, or access is denied."""


def is_final(error: BaseException | None) -> bool:
    """Whether an error is permanent, so that a retry cannot help.

    An unreachable server, a full disk or a lost process may recover.
    """
    return isinstance(error, UsageError | DatasetError | DivergedError | RefusedError)


def disk_problem(error: BaseException) -> SegError | None:
    """The error for a file system that is full or refuses; None for any other error.

    Args:
        error: as any library raises it.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, SegError):
        code = cause.errno if isinstance(cause, OSError) else None
        text = str(cause)
        if code in _FULL or any(full in text for full in _FULL_TEXTS):
            return SegError(
                f"{_place(cause, text)}: cannot be written. Free some space, or choose "
                "another disk, and run the same command again. Earlier outputs are as "
                "they were."
            )
        if code in _REFUSED:
            return SegError(
                f"{_place(cause, text)}: cannot be used. Check its name, its "
                "permissions and its disk."
            )
        cause = cause.__cause__
    return None


def in_a_line(error: BaseException, *, longest: int = 300) -> str:
    r"""The class of an error and the first line of its message, without logins.

    >>> in_a_line(OSError("no route to http://me:password@host\nTry later."))
    'OSError: no route to http://host'
    """
    message = str(error).strip() or "?"
    return first_line(f"{type(error).__name__}: {message}", longest=longest)


def _place(error: BaseException, text: str) -> str:
    """The file, if it is known, and what is wrong with it."""
    if name := getattr(error, "filename", None):
        return f"{name} ({getattr(error, 'strerror', '')})"
    first = text.partition("\n")[0]
    return first if len(first) <= _LONGEST else f"… {first[-_LONGEST:]}"


def unknown(kind: str, name: str, options: Iterable[str]) -> UsageError:
    """The error for a name that is not among `options`; names the nearest."""
    options = sorted(options)
    near = difflib.get_close_matches(name, options, n=1, cutoff=0.4)
    hint = f" Did you mean `{near[0]}`?" if near else ""
    return UsageError(
        f"Unknown {kind}: `{name}`.{hint} Expected one of: {', '.join(options)}."
    )
