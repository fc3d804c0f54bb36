"""A plan as a configuration file: each line with its reason, the facts above them."""

import dataclasses
from collections.abc import Iterable, Sequence

import yaml

from seglib.config import Config
from seglib.plain_text import visible_line
from seglib.planning.fingerprint import Fingerprint
from seglib.planning.rules import Choice

Rows = Sequence[Sequence[str]]
_SHOWN_CLASSES = 40
_PLAIN_WIDTH = 10**6  # of a value, which YAML would break


def dataset_rows(facts: Fingerprint) -> Rows:
    """What was found in a dataset: names and values."""
    rows = []
    for split in facts.dataset.splits:
        images, opened = facts.images(split), facts.opened[split]
        sampled = "" if opened == images else f", a sample of {opened:,} was opened"
        rows.append((f"{split} images", f"{images:,}{sampled}"))
    height, width = facts.sizes.T
    sizes = [(height.min(), width.min()), facts.size, (height.max(), width.max())]
    named = [f"{h}×{w}" for h, w in sizes]
    one_size = "all" if len(set(named)) == 1 else "median"
    text = f"{named[1]} ({one_size})"
    if one_size != "all":
        text += f", from {named[0]} to {named[2]}"
    rows.append(("height×width", text))
    stored = ", ".join(f"{c} of {bits} bits" for c, bits in sorted(facts.stored))
    rows.append(("channels", stored))
    for name, count in facts.dataset.others.items():
        rows.append((f"input {name}", f"channels: {count}"))
    rows.append(("classes", str(facts.dataset.num_classes)))
    rows.append(("largest : smallest", f"{facts.imbalance:,.1f} : 1, in pixels"))
    rows.append(("void", f"{facts.void_share:.1%} of the pixels"))
    return rows


def class_rows(facts: Fingerprint) -> Rows:
    """The training masks' classes in id order; of many, those with the fewest pixels.

    The first row is the head.
    """
    shares, presence = facts.shares, facts.presence
    count = len(facts.class_pixels)
    shown = sorted(sorted(range(len(shares)), key=lambda i: shares[i])[:_SHOWN_CLASSES])
    rows = [("id", "class", "pixels", "images", "thickness")]
    for i in shown:
        name, inside = facts.dataset.class_names[i], round(presence[i] * count)
        objects = facts.objects.get(i)
        thick = f"{objects.median_side} px" if objects else ""
        rows.append((str(i), name, f"{shares[i]:.2%}", f"{inside:,}", thick))
    if left := len(shares) - len(shown):
        rows.append(("", f"{left} larger ones", "", "", ""))
    return rows


def to_yaml(head: Rows, tables: Iterable[Rows], choices: Iterable[Choice]) -> str:
    """The file's text: head and tables as comments, then the settings by section.

    Args:
        head: such as ("source", "…"), in the order of the recipes in configs/.
    """
    lines = [f"# {f'{key}:':9} {visible_line(text)}" for key, text in head]
    for table in tables:
        lines += ["#", *(f"#   {visible_line(line)}" for line in _aligned(table))]
    by_name = {choice.name: choice for choice in choices}
    for part in dataclasses.fields(Config):
        names = [setting.name for setting in dataclasses.fields(part.type)]  # type: ignore[arg-type]
        chosen = [by_name[name] for name in names if name in by_name]
        if chosen:
            settings = [(_setting(choice), _comment(choice)) for choice in chosen]
            lines += ["", f"{part.name}:"]
            lines += [f"  {line}" for line in _aligned(settings)]
    return "\n".join(lines) + "\n"


def _setting(choice: Choice) -> str:
    tree = {choice.name: choice.value}
    text: str = yaml.safe_dump(tree, width=_PLAIN_WIDTH, allow_unicode=True)
    return text.strip()


def _comment(choice: Choice) -> str:
    return f"# {visible_line(choice.reason)}" if choice.reason else ""


def _aligned(rows: Rows) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = (map(str.ljust, row, widths) for row in rows)
    return ["  ".join(row).rstrip() for row in cells]
