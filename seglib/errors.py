"""The one exception a user is meant to read, and how near misses are named."""

import difflib
from collections.abc import Iterable

from seglib.addresses import without_login


class SegError(ValueError):
    """A problem that its reader can solve: says what is wrong and what to do.

    The command line prints its message without a traceback and exits with
    `exit_code`. Its message holds no login: it is printed, logged and told to others.
    """

    exit_code = 1

    def __init__(self, message: str = ""):
        super().__init__(without_login(message))


class UsageError(SegError):
    """An argument, option or config value that cannot be right."""

    exit_code = 2


class DivergedError(SegError):
    """A training whose loss is no longer finite: so it is each time it is tried."""


class DatasetError(SegError):
    """Problems of a dataset, gathered: one `path: reason` a line."""

    def __init__(self, summary: str, problems: Iterable[str] = (), *, limit: int = 20):
        self.problems = tuple(problems)
        lines = [summary, *(f"  {problem}" for problem in self.problems[:limit])]
        if len(self.problems) > limit:
            lines.append(f"  … and {len(self.problems) - limit} more.")
        super().__init__("\n".join(lines))


def unknown(kind: str, name: str, options: Iterable[str]) -> UsageError:
    """The error for a name that is not among `options`; names the nearest."""
    options = sorted(options)
    near = difflib.get_close_matches(name, options, n=1, cutoff=0.4)
    hint = f" Did you mean `{near[0]}`?" if near else ""
    return UsageError(
        f"Unknown {kind}: `{name}`.{hint} Expected one of: {', '.join(options)}."
    )
