"""Kinds of findings: their page, their severities, and the options of `verify`."""

import ast
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import seglib.data
from seglib.cli.main import app
from seglib.data.fixing.fixer import FIXABLE
from seglib.data.image_io import write_image
from seglib.data.problems import KINDS
from seglib.data.verification.loading import load_dataset
from seglib.data.verification.verifier import verify
from seglib.errors import DatasetError, UsageError

PAGE = Path(__file__).parents[3] / "docs" / "findings.md"
ROOM = Path(seglib.data.__path__[0])


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["verify", *map(str, arguments)])
    assert result.exception is None or isinstance(
        result.exception, SystemExit | UsageError | DatasetError
    )
    return result.exit_code, result.output or str(result.exception)


def repeat(folder) -> None:
    write_image(folder.image("train", "b"), folder.pixels("a"))


def used_kinds() -> set[str]:
    """The kinds that the source gives to problems, as constants."""
    found = set()
    for path in ROOM.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem":
                for argument in node.args[3:4]:
                    found |= {
                        leaf.value
                        for leaf in ast.walk(argument)
                        if isinstance(leaf, ast.Constant)
                    }
    return found


def test_each_kind_that_is_found_is_listed_with_its_severity():
    assert used_kinds() <= set(KINDS)


def test_the_page_explains_every_kind_with_its_severity():
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    told = {}
    for row in rows:
        kinds, severity, _, *fixed = (cell.strip() for cell in row.split("|")[1:-1])
        severities = severity.split(", ")
        names = [name.strip(" `") for name in kinds.split(",")]
        each = severities if len(names) == len(severities) > 1 else None
        for index, name in enumerate(names):
            told[name] = (tuple([each[index]] if each else severities), fixed == ["✓"])
    assert {kind: severities for kind, (severities, _) in told.items()} == KINDS
    assert {kind for kind, (_, fixed) in told.items() if fixed} == FIXABLE


def test_a_warning_fails_where_it_is_asked_for(folder):
    repeat(folder)
    assert run(folder.root)[0] == 0
    assert run(folder.root, "--fail-on", "warning")[0] == 1
    assert run(folder.root, "--fail-on", "warning", "--ignore", "duplicate")[0] == 0


def test_a_note_is_shown_where_it_fails(folder):
    for split in ("train", "val"):
        for stem in "abc" if split == "train" else "de":
            ids = folder.ids()
            ids[ids == 2] = 1 if split == "val" else 2
            write_image(folder.mask(split, stem), ids)
    code, printed = run(folder.root, "--fail-on", "note")
    assert code == 1
    assert "absent from val" in printed


def test_json_holds_all_findings_and_nothing_else_is_printed(folder):
    repeat(folder)
    folder.mask("val", "d").unlink()
    code, printed = run(folder.root, "--json")
    assert code == 1
    told = json.loads(printed[printed.index("{") :])
    assert told["format_version"] == 1
    assert not told["ok"]
    assert [each["kind"] for each in told["problems"]] == ["image-without-mask"]
    assert [each["kind"] for each in told["warnings"]] == ["duplicate"]
    assert set(told["warnings"][0]) == {"path", "reason", "remedy", "kind"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--ignore", "duplicates"), "Did you mean `duplicate`?"),
        (("--ignore", "damaged-file"), "is a problem, without whose remedy"),
        (("--fail-on", "warnings"), "Did you mean `warning`?"),
    ],
)
def test_an_unknown_kind_or_severity_names_the_nearest(folder, arguments, told):
    code, printed = run(folder.root, *arguments)
    assert code != 0
    assert told in printed


def described(folder, severities: str) -> None:
    folder.describe(
        f"class_names: [sky, road, car]\nignore_index: 255\nseverities: {severities}\n"
    )


def test_the_description_makes_a_warning_a_problem_for_whoever_loads(folder):
    repeat(folder)
    described(folder, "{duplicate: problem}")
    assert [p.kind for p in verify(folder.root).problems] == ["duplicate"]
    with pytest.raises(DatasetError, match="the same pixels as"):
        load_dataset(folder.root)


@pytest.mark.parametrize("severity", ["note", "ignore"])
def test_the_description_makes_a_warning_less(folder, severity):
    repeat(folder)
    described(folder, f"{{duplicate: {severity}}}")
    found = verify(folder.root)
    assert not found.warnings
    assert len(found.notes) == (severity == "note")


@pytest.mark.parametrize(
    ("severities", "told"),
    [
        ("[duplicate]", "must give kinds of findings another severity"),
        ("{duplicate: error}", "must be one of problem, warning, note, ignore"),
        ("{dupe: note}", "Unknown kind of finding"),
        ("{damaged-file: note}", "cannot become `note`"),
    ],
)
def test_a_wrong_severity_of_the_description_is_told(folder, severities, told):
    described(folder, severities)
    with pytest.raises(DatasetError, match=told):
        verify(folder.root)
