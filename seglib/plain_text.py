"""Foreign text made safe: file and class names, messages, addresses.

Such text may hold terminal controls, marks that reverse a line, ends of table cells, or
passwords. Everything that is printed, logged or written goes through here.
"""

import logging
import re

# C0 and C1 controls, marks of direction, separators of lines, and bytes that are no
# text (Python gives them in file names as lone surrogates).
_STEERS = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
_HIDDEN = re.compile(f"[{_STEERS}\ud800-\udfff]")
_HIDDEN_IN_A_LINE = re.compile(f"[\t\n{_STEERS}\ud800-\udfff]")
# Within a word an underscore means nothing.
_MARKDOWN = re.compile(r"[\\`*{}\[\]<>|#@~]|(?<![^\W_])_|_(?![^\W_])")

# From :// to the last @, where an authority begins with a user or a password. One that
# holds / ? or @ itself, which it should not, is covered, too: rather too much is left
# out than too little. A path, as in sqlite:////tmp/a@b or s3://bucket/a@b, stays.
_LOGIN = re.compile(r"(?<=://)(?=[^\s/?#]*[:@])\S*@")
_PARAMETER = re.compile(r"(?i)([?&][\w-]*(?:passw|pwd|secret|token)[\w-]*=)[^&\s'\"]+")


def visible(text: object) -> str:
    r"""The text with control characters escaped; line ends and tabs stay.

    >>> print(visible("a\x1b[2Jb\u202ec"))
    a\x1b[2Jb\u202ec
    """
    return _HIDDEN.sub(_written_out, str(text))


def visible_line(text: object) -> str:
    r"""The text on one line: line ends and tabs are escaped too.

    >>> print(visible_line("a\nb"))
    a\nb
    """
    return _HIDDEN_IN_A_LINE.sub(_written_out, str(text))


def table_cell(text: object) -> str:
    r"""The text as it is, in a cell of a Markdown table.

    >>> print(table_cell("a|b *c*\n`d` e_f __g__"))
    a\|b \*c\* \`d\` e_f \_\_g\_\_
    """
    line = visible(" ".join(str(text).split()))
    return _MARKDOWN.sub(r"\\\g<0>", line).replace("\\@", "@\u200b")


def without_login(text: str) -> str:
    """A text, such as an address or what an error says of one, without logins.

    >>> without_login("Nothing answers at http://me:p@ss/w@host:80/x.")
    'Nothing answers at http://host:80/x.'
    >>> without_login("postgresql://db/mlflow?user=me&password=pw")
    'postgresql://db/mlflow?user=me&password=***'
    >>> without_login("sqlite:////home/me@work/mlflow.db")
    'sqlite:////home/me@work/mlflow.db'
    """
    return _PARAMETER.sub(r"\1***", _LOGIN.sub("", text))


def first_line(text: object, *, longest: int = 300) -> str:
    r"""The first line of a text that is not empty, without logins, cut with `…`.

    >>> first_line("\n no GPU \n and more")
    'no GPU'
    >>> first_line("too long", longest=4)
    'too…'
    """
    line = without_login(str(text).strip().partition("\n")[0].strip())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


class VisibleFormatter(logging.Formatter):
    """Formats records for the log of a pod, which ends up on terminals."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def _written_out(found: "re.Match[str]") -> str:
    return found[0].encode("unicode_escape").decode()
