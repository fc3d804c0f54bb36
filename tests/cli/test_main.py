"""The command line as its user meets it: outputs, messages and exit codes."""

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from benchmarks.waiting import HANG_S, wait_until
from seglib.cli import main as cli
from seglib.data.image_io import read_mask, write_image
from seglib.models import build_model
from seglib.models.model import load_model
from seglib.policies import policies, policy_names

# A training whose steps take no time.
SMALL = ["--model", "compact_small", "--batch-size", "4"]
SMALL += ["--image-height", "32", "--image-width", "48"]


@pytest.fixture(scope="module")
def trained(tiny_root, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "model"
    with pytest.MonkeyPatch.context() as patch:
        options = ["--out", str(out), "--epochs", "3", *SMALL]
        patch.setattr(sys, "argv", ["seglib", "train", str(tiny_root), *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert ended.value.code == 0
    return out


def test_a_clean_dataset_exits_with_zero(seglib, tiny_root, tmp_path):
    code, printed = seglib("verify", tiny_root, "--out", tmp_path / "report")
    assert code == 0
    assert "clean: 8 train, 3 val, 3 test pairs, 8 classes" in printed
    assert (tmp_path / "report" / "report.html").exists()
    assert (tmp_path / "report" / "manifest.json").exists()


def test_a_dataset_with_problems_exits_with_one_and_names_the_file(
    seglib, tiny_root, tmp_path
):
    root = tmp_path / "broken"
    shutil.copytree(tiny_root, root)
    (root / "train_segmentation" / "train_3.png").unlink()
    code, printed = seglib("verify", root)
    assert code == 1
    assert "train_3" in printed
    code, printed = seglib("verify", tiny_root, "--num-classes", 3)
    assert code == 1


def test_a_failed_verification_tells_its_problems_before_its_warnings(
    tmp_path, tiny_root
):
    root = shutil.copytree(tiny_root, tmp_path / "broken")
    (root / "val_segmentation" / "val_0.png").write_bytes(b"")
    (root / "old_masks").mkdir()  # is warned of
    # One stream, as a person sees the two, and no line that is broken.
    command = [sys.executable, "-m", "seglib.cli", "verify", str(root)]
    started = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "400"},
    )
    printed, _ = started.communicate()
    assert started.returncode == 1
    assert printed.startswith("error:")
    assert printed.index("the file is empty") < printed.index("warning:")


@pytest.mark.parametrize("command", ["train", "augment"])
def test_masks_are_verified_before_they_are_used(seglib, command, tiny_root, tmp_path):
    root = shutil.copytree(tiny_root, tmp_path / "stretched")
    (root / "dataset.yaml").unlink()
    for path in root.glob("*_segmentation/*"):
        write_image(path, np.uint8(255) * (read_mask(path) == 5))
    code, printed = seglib(command, root, "--out", tmp_path / "out")
    assert code == 1
    assert "divide the ids by 255 (or, if 255 is void, pass --ignore-index" in printed
    assert not (tmp_path / "out").exists()


def test_wrong_use_exits_with_two(seglib, tiny_root, tmp_path):
    code, printed = seglib("verify", tmp_path / "missing")
    assert code == 2
    assert "no such folder" in printed
    code, printed = seglib("verify", tiny_root, "--num-klasses", 3)
    assert code == 2
    assert "--num-klasses" in printed
    code, printed = seglib("train", tiny_root, "--model", "unett")
    assert code == 2
    assert "Did you mean `unet`?" in printed
    config = tmp_path / "config.yaml"
    config.write_text("train:\n  epoch: 3\n")
    code, printed = seglib("train", tiny_root, "--config", config)
    assert code == 2
    assert "Did you mean `epochs`?" in printed


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere; run as a user")
def test_an_output_that_cannot_be_written_is_told_before_the_work(
    seglib, tiny_root, tmp_path
):
    tmp_path.chmod(0o500)
    code, printed = seglib("train", tiny_root, "--out", tmp_path / "model")
    tmp_path.chmod(0o700)
    assert code == 1
    assert "cannot be written" in printed


def test_an_output_below_a_file_is_told_before_the_work(seglib, tiny_root, tmp_path):
    (tmp_path / "file").write_text("mine")
    code, printed = seglib("train", tiny_root, "--out", tmp_path / "file" / "model")
    assert code == 1
    assert "cannot be written" in printed
    assert (tmp_path / "file").read_text() == "mine"


def test_the_steps_follow_one_another(seglib, trained, tiny_root, tmp_path):
    assert load_model(trained).contract.class_names[0] == "sky"
    code, printed = seglib(
        *("evaluate", trained, tiny_root, "--out", tmp_path / "e"),
        *("--against", trained),
    )
    assert code == 0
    assert "not better beyond doubt" in printed
    assert "+0.0000 … +0.0000" in printed
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert f"mIoU {metrics['miou']:.4f} on test" in printed
    code, printed = seglib(
        "predict", trained, tiny_root / "test_images", "--out", tmp_path / "p"
    )
    assert code == 0
    assert len(list((tmp_path / "p" / "ids").iterdir())) == 3
    code, printed = seglib("export", trained, "--out", tmp_path / "x")
    assert code == 0
    assert "equal pixels" in printed


def _writing(trained, root):
    """Each command that writes to --out, with what it is given."""
    return {
        "verify": [root],
        "augment": [root],
        "visualize": [root, "--count", 1],
        "train": [root, *SMALL],
        "plan": [root],
        "evaluate": [trained, root],
        "compare": [trained],
        "predict": [trained, root / "val_images"],
        "export": [trained, "--format", "saved_model"],
    }


def test_no_command_replaces_what_it_did_not_write(
    seglib, trained, tiny_root, tmp_path
):
    (tmp_path / "thesis.txt").write_text("mine")
    for overwrite in ([], ["--overwrite"]):
        for name, given in _writing(trained, tiny_root).items():
            code, printed = seglib(name, *given, "--out", tmp_path, *overwrite)
            assert code == 2, (name, printed)
            expected = "is a folder" if name == "plan" else "such as thesis.txt"
            assert expected in printed, name
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_what_a_command_wrote_is_replaced_when_it_is_told_to(
    seglib, trained, tiny_root, tmp_path
):
    for name in ("verify", "augment", "visualize", "evaluate", "export"):
        out = tmp_path / name
        words = [name, *_writing(trained, tiny_root)[name], "--out", out]
        assert seglib(*words)[0] == 0
        before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
        code, printed = seglib(*words)
        assert code == 2, printed
        assert "is there already" in printed
        assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*")}
        if name == "verify":  # the rule is one for all
            assert seglib(*words, "--overwrite")[0] == 0


def test_predictions_of_other_settings_are_not_replaced_unasked(
    seglib, trained, tiny_root, tmp_path
):
    words = ["predict", trained, tiny_root / "val_images", "--out", tmp_path / "out"]
    assert seglib(*words)[0] == 0
    code, printed = seglib(*words)
    assert code == 0
    assert "3 done before" in printed
    code, printed = seglib(*words, "--tta", "flip")
    assert code == 2, printed
    assert "holds predictions of another model, or of other settings" in printed
    assert seglib(*words, "--tta", "flip", "--overwrite")[0] == 0


def test_a_finished_and_different_training_is_not_replaced_unasked(
    seglib, trained, tiny_root, tmp_path
):
    out = shutil.copytree(trained, tmp_path / "model")
    before = (out / "model.keras").read_bytes()
    words = ["train", tiny_root, "--out", out, *SMALL]
    code, printed = seglib(*words, "--epochs", 2)
    assert code == 2, printed
    assert "holds the model of another training" in printed
    assert (out / "model.keras").read_bytes() == before
    code, printed = seglib(*words, "--epochs", 3)  # the same, which gives the same
    assert code == 0, printed
    assert seglib(*words, "--epochs", 1, "--overwrite")[0] == 0
    assert len(json.loads((out / "history.json").read_text())) == 1


def test_a_batch_larger_than_the_split_is_told_before_training(
    seglib, tiny_root, tmp_path
):
    words = ["train", tiny_root, "--out", tmp_path / "model", *SMALL]
    code, printed = seglib(*words, "--batch-size", 9)
    assert code == 2
    assert "larger than the train split, of 8 images" in printed
    assert not (tmp_path / "model").exists()


def test_a_training_on_a_terminal_is_readable(tiny_root, tmp_path):
    """Everything that a person sees at 80 columns, in the order it comes."""
    command = [sys.executable, "-m", "seglib.cli", "train", str(tiny_root), *SMALL]
    command += ["--out", str(tmp_path / "model"), "--epochs", "2"]
    terminal, end = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_CPP")}
    environment |= {"COLUMNS": "80", "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdout=end, stderr=end, env=environment) as process:
        os.close(end)
        seen = b""
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while chunk := os.read(terminal, 65536):
                seen += chunk
    os.close(terminal)
    assert process.returncode == 0
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", seen.decode())
    places = [text.index(stage) for stage in STAGES]
    assert places == sorted(places)
    lines = [
        line.rpartition("\r")[2] for line in text.replace("\r\n", "\n").split("\n")
    ]
    assert re.match(r"(\d+ CPU core|.*GPU|.*NVIDIA)", lines[0])
    assert max(map(len, lines)) <= 80
    assert not re.search(r"absl|oneDNN|cuda|cuInit|jax|\[\d\d:\d\d:\d\d\]|INFO", text)


STAGES = (
    "verifying",
    "loading TensorFlow …",
    "building the network …",
    "compiling the first step …",
    "training ━",
    "epoch 1/2",
    "epoch 2/2",
    "best val mIoU",
)


def test_evaluate_takes_the_classes_from_the_model(
    seglib, trained, tiny_root, tmp_path
):
    """A folder without dataset.yaml cannot say which id is ignored; the model can."""
    for name in ("val_images", "val_segmentation"):
        shutil.copytree(tiny_root / name, tmp_path / "data" / name)
    code, printed = seglib(
        "evaluate", trained, tmp_path / "data", "--out", tmp_path / "e"
    )
    assert code == 0
    assert "on val" in printed


def test_augment_and_visualize_write_what_they_say(seglib, tiny_root, tmp_path):
    code, printed = seglib(
        "augment", tiny_root, "--out", tmp_path / "s", "--policy", "photometric"
    )
    assert code == 0
    assert "16 pairs" in printed
    code, printed = seglib(
        "visualize", tiny_root, "--out", tmp_path / "v", "--count", 2
    )
    assert code == 0
    assert list((tmp_path / "v").glob("*.png"))
    code, printed = seglib(
        *("visualize", tiny_root, "--out", tmp_path / "v.html", "--class", "pole"),
        *("--augment", "--policy", "light", "--draws", 2, "--layout", "overlay"),
    )
    assert code == 0
    assert "v.html" in printed
    assert (tmp_path / "v.html").read_text().count("<img") % 3 == 0


def test_models_lists_what_can_be_built(seglib):
    code, printed = seglib("models")
    assert code == 0
    for name in ("compact", "unet", "fcn_8", "fcn_16", "fcn_32", "efficientnet_lite0"):
        assert name in printed


def test_the_json_schema_of_configurations_is_printed(seglib):
    code, printed = seglib("schema")
    assert code == 0
    assert {"data", "model", "train", "gate"} <= json.loads(printed)[
        "properties"
    ].keys()


def test_a_problem_is_a_message_and_not_a_traceback(seglib, tiny_root, tmp_path):
    code, printed = seglib("evaluate", tmp_path, tiny_root)
    assert code == 1
    assert "not a model. Expected a folder with model.keras" in printed
    assert "Traceback" not in printed


def test_ctrl_c_while_training_loses_nothing(trained, tiny_root, tmp_path):
    out = tmp_path / "model"
    older = load_model(trained).save(out)
    before = (older / "model.keras").read_bytes()
    command = [sys.executable, "-m", "seglib.cli", "train", str(tiny_root)]
    command += ["--out", str(out), "--overwrite", "--epochs", "500", *SMALL]
    log = tmp_path / "log"
    with (
        log.open("w") as output,
        subprocess.Popen(command, stdout=output, stderr=output) as process,
    ):
        # The state of the first epoch is the last thing that its end writes.
        wait_until(
            lambda: list(tmp_path.glob("model.checkpoints/*/*.checkpoint")),
            process=process,
            log=log,
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(HANG_S) == 130
    printed = log.read_text()
    assert "Traceback" not in printed
    assert "model.unfinished" in "".join(printed.split())
    assert (out / "model.keras").read_bytes() == before
    assert load_model(tmp_path / "model.unfinished")
    assert "Ctrl-C: ended after step" in printed
    assert "The same command goes on after step" in " ".join(printed.split())


@pytest.mark.slow
def test_after_ctrl_c_the_same_command_goes_on_and_leaves_only_the_model(
    tiny_root, tmp_path
):
    command = [sys.executable, "-m", "seglib.cli", "train", str(tiny_root)]
    command += ["--out", str(tmp_path / "model"), "--epochs", "40", *SMALL]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout:
            if "epoch 2/40" in line:
                process.send_signal(signal.SIGINT)
                break
        printed, _ = process.communicate(timeout=HANG_S)
    assert process.returncode == 130
    done = re.search(r"goes on after step (\d+)", " ".join(printed.split()))
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    printed = " ".join((again.stdout + again.stderr).split())
    assert f"going on after step {done[1]} of 40" in printed
    assert "epoch 1/40" not in printed
    history = json.loads((tmp_path / "model" / "history.json").read_text())
    assert [row["epoch"] for row in history] == list(range(1, 41))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    fresh = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "going on" not in fresh.stdout


def test_names_of_classes_are_neither_markup_nor_lost(
    seglib, trained, tiny_root, tmp_path
):
    names = ["[/k]", "[red]", "$x_{", "a|b", "<b>", "*c*", ":car:", "{d}"]
    shutil.copytree(tiny_root, tmp_path / "data")
    described = json.dumps({"class_names": names, "ignore_index": 255})
    (tmp_path / "data" / "dataset.yaml").write_text(described)
    out = ["--out", tmp_path / "out"]
    code, printed = seglib("evaluate", trained, tmp_path / "data", *out)
    assert code == 0
    assert all(f" {name} " in printed for name in names)


def test_a_file_name_steers_no_terminal(seglib, trained, tmp_path):
    bad = tmp_path / "a\x1b[2J[red].png"
    bad.write_bytes(b"x")
    code, printed = seglib("predict", trained, bad, "--out", tmp_path / "out")
    assert code == 1
    assert r"a\x1b[2J[red].png" in printed
    assert "\x1b" not in printed


def test_a_model_of_other_classes_is_told_before_anything_is_scored(
    seglib, trained, tiny_root, tmp_path
):
    other = build_model("compact", num_classes=3, image_size=(64, 64))
    other.save(tmp_path / "other")
    out = ["--out", tmp_path / "out"]
    for words in ([tmp_path / "other"], [trained, "--against", tmp_path / "other"]):
        code, printed = seglib("evaluate", words[0], tiny_root, *words[1:], *out)
        assert code == 1
        assert "the dataset has 8 classes, the model 3" in printed
        assert not (tmp_path / "out").exists()


def test_a_plan_is_not_made_where_it_could_not_be_kept(seglib, tiny_root, tmp_path):
    out = tmp_path / "config.yaml"
    out.write_text("train: {epochs: 3}\n")
    code, printed = seglib("plan", tiny_root, "--out", out)
    assert code == 2
    assert "is there already. Choose another with --out" in printed
    assert out.read_text() == "train: {epochs: 3}\n"
    code, printed = seglib("plan", tmp_path / "nowhere", "--out", tmp_path / "new.yaml")
    assert code == 2
    assert "no such folder" in printed
    assert not (tmp_path / "new.yaml").exists()


def test_policies_are_listed_and_each_is_printed_so_that_it_can_be_read_again(
    seglib,
):
    code, printed = seglib("policies")
    assert code == 0
    for name in policies():
        assert f"{name} {', '.join(policy_names(name))}".strip() in printed
        shown = CliRunner().invoke(cli.app, ["policies", name]).stdout
        assert yaml.safe_load(shown) == policies()[name]


def test_an_unknown_policy_is_wrong_use_and_the_nearest_is_named(seglib):
    code, printed = seglib("policies", "drivng")
    assert code == 2
    assert "Did you mean `driving`?" in printed


def test_a_policy_file_of_ones_own_is_checked_down_to_albumentations(seglib, tmp_path):
    path = tmp_path / "my.yaml"
    for text, status, told in (
        ("- hflip: {p: 0.3}\n- CLAHE: {clip_limit: 3}", 0, "- hflip: {p: 0.3}"),
        ("- hflpi: {}", 2, "my.yaml: Unknown transform at `[0].hflpi`"),
        ("- CLAHE: {clip_limt: 3}", 2, "`[0].CLAHE` must have arguments of"),
        ("- hflip: {p: 2}", 2, "`[0].hflip.p` must be a number from 0 to 1"),
    ):
        path.write_text(text)
        code, printed = seglib("policies", path)
        assert (code, told in printed) == (status, True), printed
