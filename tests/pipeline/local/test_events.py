"""What is heard of a run: KFP's lines, in the words of the pinned version."""

from pathlib import Path

from pipeline.local.events import Event, MessageFile, RunnerOutput

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
        Event("cached", "verify"),
        Event("started", "train"),
        Event("printed", "train", "training compact"),
        Event("printed", "train", "epoch 1/2"),
        Event("muttered", "train", "ModuleNotFoundError: No module named 'grain'"),
        Event("failed", "train"),
    ]


def test_messages_are_read_once_and_only_when_their_line_is_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_text('{"kind": "started"}\n{"kind": "epo')
    messages = MessageFile(path)
    assert list(messages.read()) == [{"kind": "started"}]
    assert list(messages.read()) == []
    with path.open("a") as file:
        file.write('ch"}\n')
    assert list(messages.read()) == [{"kind": "epoch"}]
