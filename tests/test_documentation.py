"""Every command that the documentation shows exists, with the options shown."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer.main

import seglib
from benchmarks.tables import show
from pipeline.__main__ import app as pipeline_app
from seglib.cli.main import app as seglib_app
from seglib.policies import GROUPS, policies, transforms
from tools.settings_page import replaced

_BLOCK = re.compile(
    r"^```(?:sh|bash|shell|console)\n(.*?)^```", re.MULTILINE | re.DOTALL
)
_BLOCKS = re.MULTILINE | re.DOTALL
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@pytest.fixture(scope="module")
def shown(repository: Path) -> list[tuple[str, list[str]]]:
    """The commands of all pages and configurations, as (file, words)."""
    pages = [*repository.glob("*.md"), *repository.glob("docs/**/*.md")]
    found = [
        (page.name, command)
        for page in sorted(pages)
        for command in _commands(page.read_text(encoding="utf-8"))
    ]
    header = re.compile(r"^# +command: +(.*)$", re.MULTILINE)
    for config in sorted(repository.glob("configs/*.yaml")):
        commands = header.findall(config.read_text(encoding="utf-8"))
        assert commands, f"{config.name} has no command in its header"
        found += [
            (config.name, words) for c in commands for words in _commands(f"`{c}`")
        ]
    return found


def test_every_make_command_shown_has_its_target_and_options(
    repository: Path, shown: list[tuple[str, list[str]]]
) -> None:
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE))
    known |= {f"{n}=" for n in re.findall(r"^([A-Z]+) =", makefile, re.MULTILINE)}
    known |= {"UPGRADE="}
    wrong = [
        f"{page}: {' '.join(words)}"
        for page, words in shown
        if words[0] == "make"
        for word in words[1:]
        if re.sub(r"=.*", "=", word) not in known and not word.startswith("-")
    ]
    assert not wrong


def test_every_link_leads_to_a_file_and_a_heading_that_are_there(
    repository: Path,
) -> None:
    wrong = []
    for page in (*repository.glob("*.md"), *repository.glob("docs/**/*.md")):
        text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=_BLOCKS)
        in_site = page.is_relative_to(repository / "docs")
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            place, _, heading = link.partition("#")
            target = page.parent / place if place else page
            if "://" in place:
                continue
            there = target.exists() and (not heading or heading in _headings(target))
            outside = not target.resolve().is_relative_to(repository / "docs")
            if not there or (in_site and outside):
                wrong.append(f"{page.name}: {link}")
    assert not wrong


def test_every_page_is_in_the_navigation_of_the_site(repository: Path) -> None:
    site = (repository / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"- (?:[\w ,]+: )?(\S+\.md)$", site, re.MULTILINE)
    docs = repository / "docs"
    pages = sorted(str(page.relative_to(docs)) for page in docs.rglob("*.md"))
    assert sorted(listed) == pages


def test_the_reference_shows_every_public_name(repository: Path) -> None:
    pages = (repository / "docs" / "api").glob("*.md")
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    shown = set(re.findall(r"^::: seglib\.(\w+)", text, re.MULTILINE))
    assert set(seglib.__all__) <= shown


def test_the_architecture_lists_every_room(repository: Path) -> None:
    page = (repository / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {
        f"{package}/{path.parent.name}"
        for package in ("seglib", "pipeline")
        for path in (repository / package).glob("*/__init__.py")
    }
    assert rooms <= set(re.findall(r"^\| `([\w/]+)` \|", page, re.MULTILINE))


def test_the_reference_lists_the_settings_of_today(repository: Path) -> None:
    page = (repository / "docs" / "api" / "config.md").read_text(encoding="utf-8")
    assert page == replaced(page), "run `python -m tools.settings_page`"


def test_the_page_of_augmentation_has_every_policy_and_every_transform(
    repository: Path,
) -> None:
    page = (repository / "docs" / "augmentation.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in [*policies(), *GROUPS])
    for name, kind in transforms().items():
        limits, usual = (
            f"{low:g} … {high:g}" for low, high in (kind.limits, kind.usual)
        )
        number = f"`{kind.number}` | {limits} | {usual}" if kind.number else "| |"
        assert f"| `{name}` | {number} | {kind.meaning} |" in page


def test_the_site_builds_without_a_warning(repository: Path, tmp_path: Path) -> None:
    python = repository / "build" / "docs-venv" / "bin" / "python"
    if not python.exists():
        pytest.skip("MkDocs is not installed. To run it: make docs.")
    done = subprocess.run(
        [python, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        cwd=repository,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_benchmark_replaces_its_table_in_a_page(tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    page.write_text("a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n")
    table = show("x", ["model", "mIoU"], [["unet", "0.5"]], page)
    assert table == "| model | mIoU |\n|---|---|\n| unet | 0.5 |"
    assert page.read_text() == f"a\n<!-- x: begin -->\n{table}\n<!-- x: end -->\nb\n"
    with pytest.raises(ValueError, match=r"expected <!-- y: begin -->"):
        show("y", ["model"], [], page)


def test_every_table_of_a_benchmark_has_its_place_in_the_results(
    repository: Path,
) -> None:
    page = (repository / "docs" / "results.md").read_text(encoding="utf-8")
    for path in (repository / "benchmarks").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r'^ *show\("([\w-]+)", .*write', text, re.MULTILINE):
            assert f"<!-- {name}: begin -->" in page, path.name


@pytest.mark.parametrize(
    ("start", "app"),
    [(["seglib"], seglib_app), (["python", "-m", "pipeline"], pipeline_app)],
    ids=["seglib", "pipeline"],
)
def test_every_subcommand_and_option_shown_exists(
    shown: list[tuple[str, list[str]]], start: list[str], app: typer.Typer
) -> None:
    commands = typer.main.get_group(app).commands
    wrong = []
    for page, words in shown:
        rest = words[len(start) :]
        if words[: len(start)] != start or not rest or rest[0].startswith("-"):
            continue
        command = commands.get(rest[0])
        if inner := getattr(command, "commands", None):  # such as `seglib data fetch`
            rest = rest[1:]
            command = inner.get(rest[0]) if rest else command
        options = {"--help"}
        for parameter in command.params if command else ():
            options |= {*parameter.opts, *parameter.secondary_opts}
        given = [w.split("=")[0] for w in rest[1:] if re.match(r"--?[a-z]", w)]
        if command is None or not set(given) <= options:
            wrong.append(f"{page}: {' '.join(words)}")
    assert not wrong


def _commands(text: str) -> list[list[str]]:
    """The shell commands in code blocks and in inline code."""
    lines = [
        line
        for block in _BLOCK.findall(text)
        for line in block.replace("\\\n", " ").splitlines()
    ]
    commands = []
    for line in [*lines, *_INLINE.findall(text)]:
        for part in re.split(r"&&|;|\|", line.removeprefix("$ ")):
            try:
                words = shlex.split(re.sub(r"[\[\]…]", " ", part), comments=True)
            except ValueError:  # prose with an apostrophe
                continue
            if words:
                commands.append(words)
    return commands


def _headings(page: Path) -> set[str]:
    """The headings of a page, as GitHub names them in links."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=_BLOCKS)
    titles = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}
