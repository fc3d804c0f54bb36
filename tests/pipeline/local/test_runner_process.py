"""What is heard of a run: KFP's lines, in the words of the pinned version."""

from pipeline.local.runner_process import RunnerEvent, RunnerOutput

LINES = """\
14:03:36.689 - INFO - Running pipeline: \x1b[95m'segmentation-training'\x1b[0m
--------------------------------------------------------------------------------
Task verify-data cache hit (key=8cc97a5bfb36); skipping execution.
14:03:36.690 - INFO - Executing task \x1b[96m'train-model'\x1b[0m
14:03:36.690 - INFO - Streamed logs:

    [KFP Executor 2026-11-22 14:03:36,921 INFO]: Got executor_input:
    {
        "inputs": {
        }
    }
    I0000 00:00:1795356975.517941    3917 port.cc:153] oneDNN custom operations are on.
    training compact
    \x1b[1mepoch 1/2\x1b[0m
    Traceback (most recent call last):
      File "<frozen runpy>", line 198, in _run_module_as_main
    ModuleNotFoundError: No module named 'grain'


14:03:37.926 - INFO - Task \x1b[96m'train-model'\x1b[0m finished with status \x1b[91mFAILURE\x1b[0m
    report: HTML( name='report',
"""  # noqa: E501


def test_a_runners_lines_become_events_and_its_noise_does_not() -> None:
    output = RunnerOutput()
    events = [output.read(line) for line in LINES.splitlines(keepends=True)]
    assert [event for event in events if event] == [
        RunnerEvent("cached", "verify"),
        RunnerEvent("started", "train"),
        RunnerEvent("printed", "train", "training compact"),
        RunnerEvent("printed", "train", "epoch 1/2"),
        RunnerEvent(
            "muttered", "train", "ModuleNotFoundError: No module named 'grain'"
        ),
        RunnerEvent("failed", "train"),
    ]
