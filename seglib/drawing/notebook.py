"""What objects show of themselves in notebooks: small HTML with all names escaped.

It has no colours of its own but those of classes, lines of a middle grey, and pictures
on their own background, so that it can be read on light and on dark pages.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import repeat

from markupsafe import Markup

from seglib.plain_text import visible_line

_MOST_ROWS = 200  # of a table
_CARD = Markup(
    '<div style="font-size:13px;line-height:1.5;max-width:100%"><div><b>{}</b> {}</div>'
    "{}</div>"
)
_TABLE = Markup(
    '<div style="overflow:auto;max-height:26em;margin:.5em 0"><table cellpadding="3" '
    'style="border-collapse:collapse;font-size:inherit;margin:0"><thead>{}</thead>'
    "<tbody>{}</tbody></table></div>"
)
_ROW = Markup(
    '<tr valign="top" style="background:none;border-bottom:1px solid rgba(128,128,128,'
    '.35)">{}</tr>'
)
_CELL = Markup('<{0} align="{1}">{2}</{0}>')
_SWATCH = Markup(
    '<span style="white-space:nowrap"><span style="display:inline-block;width:1.2em;'
    "height:.8em;margin-right:.4em;border:1px solid rgba(128,128,128,.6);"
    'background:rgb({},{},{})"></span>{}</span>'
)
_PICTURE = Markup(
    '<img alt="{}" src="{}" style="display:block;max-width:100%;height:auto;'
    'margin:.5em 0;background:none">'
)
_FOLD = Markup("<details><summary>{}</summary>{}</details>")


def card(title: object, told: object, *parts: Markup | str) -> str:
    """A heading, a sentence beside it, and parts below each other."""
    return _CARD.format(_text(title), _text(told), Markup().join(parts))


def class_name(name: str, colour: tuple[int, int, int]) -> Markup:
    """A class's name behind its colour."""
    return _SWATCH.format(*colour, _text(name))


def class_list(names: Sequence[str], colours: Sequence[tuple[int, int, int]]) -> Markup:
    """All classes in a few lines."""
    found = map(class_name, names[:_MOST_ROWS], colours)
    more = f"… and {len(names) - _MOST_ROWS} more" * (len(names) > _MOST_ROWS)
    return Markup("<div>{} {}</div>").format(Markup(" &emsp; ").join(found), more)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup:
    """A table; numbers stand at the right. What is no Markup is escaped."""
    listed = [*rows]
    sides = list(map(_side, listed[0] if listed else header))

    def line(tag: str, cells: Sequence[object]) -> Markup:
        return _ROW.format(Markup().join(map(_cell, repeat(tag), cells, sides)))

    body = [line("td", row) for row in listed[:_MOST_ROWS]]
    if len(listed) > _MOST_ROWS:
        body.append(_ROW.format(_cell("td", f"… and {len(listed) - _MOST_ROWS} more")))
    return _TABLE.format(line("th", header), Markup().join(body))


def picture(source: str, alt: str) -> Markup:
    """A picture.

    Args:
        source: a data URI.
        alt: text in its place.
    """
    return _PICTURE.format(_text(alt), source)


def folded(summary: str, *parts: Markup | str) -> Markup:
    """Parts that a click opens."""
    return _FOLD.format(_text(summary), Markup().join(parts))


def number(value: float, digits: int = 3) -> str:
    """A score; a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def share(value: float) -> str:
    """A share of pixels, in percent."""
    if math.isnan(value):
        return "–"
    return f"{value:.1%}" if value >= 0.0005 or not value else "< 0.1%"


def _cell(tag: str, content: object, side: str = "left") -> Markup:
    return _CELL.format(tag, side, _text(content))


def _text(content: object) -> Markup | str:
    return content if isinstance(content, Markup) else visible_line(content)


def _side(cell: object) -> str:
    """Of a cell with a number, as these functions write it, the right one."""
    is_number = str(cell).removeprefix("< ")[:1] in "–0123456789"
    return "right" if is_number and not isinstance(cell, Markup) else "left"
