"""The tables of docs/api/config.md: every setting with its default and its range.

python -m tools.settings_page
"""

import re
from pathlib import Path
from typing import Any

from seglib.config import Config

PAGE = Path(__file__).resolve().parent.parent / "docs" / "api" / "config.md"
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"
_LIMITS = {
    "minimum": "≥",
    "exclusiveMinimum": ">",
    "maximum": "≤",
    "exclusiveMaximum": "<",
}


def main() -> None:
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def replaced(page: str) -> str:
    """The page with the tables of today's settings between its marks."""
    before, rest = page.split(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


def tables() -> str:
    """One Markdown table a section, from the JSON schema."""
    schema = Config.json_schema()
    parts = []
    for section, reference in schema["properties"].items():
        name = _name_of(reference)
        described = schema["$defs"][name]
        summary = " ".join(described.get("description", "").split())
        rows = [_row(*item) for item in described["properties"].items()]
        head = ["| setting | type | default | description |", "|---|---|---|---|"]
        parts.append("\n".join([f"## `{section}`\n\n{summary}\n", *head, *rows]))
    return "\n\n".join(parts)


def _name_of(reference: dict[str, Any]) -> str:
    found = re.search(r"#/\$defs/(\w+)", str(reference))
    if found is None:
        raise ValueError(f"Expected a reference to a section. Received: {reference}.")
    return found[1]


def _row(name: str, schema: dict[str, Any]) -> str:
    default = schema.get("default")
    shown = str(default).lower() if isinstance(default, bool) else str(default)
    shown = f"`{shown}`" if shown else "empty"
    text = schema.get("description", "").replace("|", "\\|")
    return f"| `{name}` | {_kind(schema)} | {shown} | {text} |"


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    limits = [
        f"{sign} {schema[key]:.15g}" for key, sign in _LIMITS.items() if key in schema
    ]
    names = {"boolean": "true or false", "string": "text", "array": "list"}
    return ", ".join([names.get(schema["type"], schema["type"]), *limits])


if __name__ == "__main__":
    main()
