"""The names that `import seglib` promises, and what may be counted on of them."""

import subprocess
import sys

import seglib

CONFIGURATIONS = {
    "AugmentConfig",
    "Config",
    "EvaluateConfig",
    "ExportConfig",
    "TrainConfig",
}
CLASSES = {
    "Dataset",
    "Distillation",
    "ExportedModel",
    "Predictor",
    "SegmentationModel",
}
EXCEPTIONS = {"DatasetError", "DivergedError", "RefusedError", "SegError", "UsageError"}
FUNCTIONS = {
    "augment",
    "compare_evaluations",
    "build_custom",
    "build_model",
    "convert",
    "evaluate",
    "export",
    "fetch_weights",
    "fix",
    "load_dataset",
    "load_model",
    "pack",
    "plan",
    "predict",
    "predict_uncertainty",
    "train",
    "transfer_weights",
    "verify",
    "visualize",
}


DRAWING = {
    "Album",
    "class_color",
    "colorize",
    "comparison",
    "contact_sheet",
    "error_map",
    "image_and_overlay",
    "legend",
    "overlay",
    "plot_confusion",
    "plot_curves",
}
DISTRIBUTED = {"LostProcessError", "ProcessGroup", "join", "launch", "run_processes"}


def test_the_public_names_are_these_and_no_others() -> None:
    names = CONFIGURATIONS | CLASSES | EXCEPTIONS | FUNCTIONS
    assert set(seglib.__all__) == names | {"distributed", "drawing"}
    assert set(seglib.distributed.__all__) == DISTRIBUTED
    assert set(seglib.drawing.__all__) == DRAWING
    assert set(seglib.__all__) <= set(dir(seglib))


def test_each_public_name_has_a_docstring() -> None:
    missing = [n for n in seglib.__all__ if not getattr(seglib, n).__doc__]
    assert not missing


def test_every_exception_is_a_value_error_with_an_exit_code() -> None:
    """Programs that caught ValueError before the classes had names go on working."""
    for name in EXCEPTIONS:
        error = getattr(seglib, name)
        assert issubclass(error, seglib.SegError)
        assert issubclass(error, ValueError)
    assert issubclass(seglib.distributed.LostProcessError, seglib.SegError)
    assert (seglib.SegError.exit_code, seglib.UsageError.exit_code) == (1, 2)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(seglib, "no_such_name")


def test_the_module_of_the_command_line_is_runnable() -> None:
    command = [sys.executable, "-m", "seglib.cli", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "verify" in done.stdout
