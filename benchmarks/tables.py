"""Tables of measurements: printed as Markdown, and written into a page of docs/.

A page holds each table between `<!-- NAME: begin -->` and `<!-- NAME: end -->`.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path


def add_write_option(parser: argparse.ArgumentParser) -> None:
    """Give a benchmark the option `--write PAGE`."""
    parser.add_argument("--write", type=Path, help="page whose table is replaced")


def show(
    name: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    page: Path | None = None,
) -> str:
    """Print a table, and put it into a page.

    Args:
        name: of the page's markers.
        header: titles of the columns.
        rows: cells as text.
        page: Markdown file to change. Default: none.

    Returns:
        The table as Markdown.

    Raises:
        ValueError: the page does not have the two markers once each.
    """
    lines = [f"| {' | '.join(cells)} |" for cells in (header, *rows)]
    table = "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:]])
    print(table, flush=True)
    if page:
        page.write_text(_replaced(page, name, table), encoding="utf-8")
    return table


def _replaced(page: Path, name: str, table: str) -> str:
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = page.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{page}: expected {begin} and {end}, once each.")
    before, rest = text.split(begin)
    after = rest.partition(end)[2]
    return f"{before}{begin}\n{table}\n{end}{after}"
