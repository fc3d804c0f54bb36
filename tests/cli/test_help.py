"""`--help`, `--version`, and mistakes that are told before TensorFlow is loaded."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from seglib.cli import main as cli
from seglib.cli.options import setting
from seglib.config import Config

COMMANDS = [
    *("verify", "fix", "convert", "visualize", "augment", "plan", "train", "evaluate"),
    *("compare", "predict", "export", "publish", "fetch", "follow", "data"),
    *("schema", "policies", "models"),
]


def _help(words: list[str], width: int) -> str:
    ran = CliRunner().invoke(cli.app, [*words, "--help"], env={"COLUMNS": f"{width}"})
    assert ran.exit_code == 0
    return ran.stdout


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_help_of_every_command_fits_the_terminal(width):
    assert all(f"  {name} " in _help([], 200) for name in COMMANDS)
    for name in COMMANDS:
        lines = _help([name], width).splitlines()
        too_long = [line for line in lines if len(line) > width]
        assert not [line for line in too_long if " " in line.strip()], name


def test_a_wide_terminal_is_used_and_a_narrow_one_puts_the_text_below():
    assert max(map(len, _help(["train"], 200).splitlines())) > 120
    narrow = _help(["train"], 40).splitlines()
    at = next(i for i, line in enumerate(narrow) if line.startswith("  --epochs"))
    assert narrow[at + 1].startswith("      Passes over")


def test_the_help_of_a_setting_is_its_declaration():
    facts = Config.facts("epochs")
    shown = " ".join(_help(["train"], 200).split())
    assert f"[default: {facts.default}; {facts.allowed}]" in shown
    assert (
        "Passes over the training split; see steps_per_epoch. [default: 30; ≥ 1]"
        in shown
    )
    assert "[default: auto; auto or train or val or test]" in setting("split").help


def test_options_are_grouped():
    shown = _help(["train"], 80)
    places = [shown.index(f"\n{name}:\n") for name in ("The network", "The training")]
    assert places[0] < shown.index("--encoder") < places[1] < shown.index("--epochs")


def test_the_version_is_told(seglib):
    code, printed = seglib("--version")
    assert code == 0
    assert printed.startswith("seglib ")


MISTAKES = {
    "an option": (["train", ".", "--epoch", "3"], "--epochs"),
    "a command": (["trian", "."], "train"),
    "a model": (["train", ".", "--model", "unett"], "Did you mean `unet`?"),
    "an encoder": (["train", ".", "--encoder", "resnet5"], "Did you mean `resnet5"),
    "a misfit": (["train", ".", "--model", "segnet", "--encoder", "mobilenet"], "2×2"),
    "a loss": (["train", ".", "--loss", "dicee"], "Did you mean `dice`?"),
    "a range": (["train", ".", "--epochs", "0"], "`epochs` must be ≥ 1"),
    "a folder": (["train", "streeets"], "streeets: no such folder"),
    "a config": (["train", ".", "--config", "CONFIG"], "belongs in the section"),
    "a model's folder": (["evaluate", "modle", "."], "modle: no such folder"),
    "a split": (["evaluate", "modle", ".", "--split", "vall"], "Did you mean `val`?"),
    "an input": (["predict", ".", "a.jpg", "--input", "depth"], "NAME=FOLDER"),
}


def test_mistakes_are_told_before_tensorflow_is_loaded(tmp_path):
    """In one process; it has no TensorFlow at the end."""
    (tmp_path / "config.yaml").write_text("model:\n  epochs: 3\n")
    config = str(tmp_path / "config.yaml")
    script = (
        "import json, sys\nfrom seglib.cli.main import main\n"
        "codes = []\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    sys.argv[1:] = words\n"
        "    print('---', file=sys.stderr, flush=True)\n"
        "    try:\n        main()\n"
        "    except SystemExit as ended:\n        codes.append(ended.code)\n"
        "heavy = {'tensorflow', 'keras'} & sys.modules.keys()\n"
        "print(json.dumps([codes, sorted(heavy)]))\n"
    )
    given = [
        [config if word == "CONFIG" else word for word in words]
        for words, _ in MISTAKES.values()
    ]
    command = [sys.executable, "-c", script, json.dumps([*given, ["models"]])]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    codes, heavy = json.loads(done.stdout.splitlines()[-1])
    assert codes == [2] * len(MISTAKES) + [0]
    assert heavy == []
    for (name, (_, told)), printed in zip(
        MISTAKES.items(), done.stderr.split("---")[1:-1], strict=True
    ):
        assert told in printed, name
    assert "efficientnet_lite0" in done.stdout  # of `models`


def test_a_key_at_the_root_of_a_configuration_is_sent_to_its_section(seglib, tmp_path):
    (tmp_path / "config.yaml").write_text("epochs: 3\n")
    code, printed = seglib("train", ".", "--config", tmp_path / "config.yaml")
    assert code == 2
    assert "`epochs` belongs in the section `train:`" in printed
