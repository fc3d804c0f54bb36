"""The log of a step's pod, as KFP's API gives it."""

import json
import re
from collections.abc import Iterable, Iterator

# Of KFP's launcher and executor, and of Argo's own helper.
_LAUNCHER = re.compile(r"[IW]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [\w.-]+\.go:\d+\] ")
_EXECUTOR = re.compile(r"\[KFP Executor [\d ,:.-]+ \w+\]: ")
_ARGO = re.compile(r'time="?[\d:TZ.+-]+"? level=(info|debug|warning) msg=', re.I)
_BLOCK = re.compile(r"Got executor_input:$")  # JSON over many lines follows


def path_of_log(run_id: str, pod: str) -> str:
    """The path of the log, which only this version of the API has."""
    return f"/apis/v1alpha1/runs/{run_id}/nodes/{pod}/log"


def refusal(text: str) -> str:
    """Why there is no log; KFP says so in its place, with status 200."""
    if not text.startswith('{"error_message"'):
        return ""
    try:
        return str(json.loads(text)["error_message"])
    except (ValueError, KeyError, TypeError):
        return ""


def own_lines(lines: Iterable[str]) -> Iterator[str]:
    """The lines of the step itself, without those of KFP and Argo.

    Error lines of KFP's launcher stay.
    """
    in_block = False
    for line in lines:
        text = line.rstrip("\r\n")
        if in_block and (text[:1] in "{ }" or not text):
            in_block = not text.startswith("}")
            continue
        in_block = False
        if _EXECUTOR.match(text):
            in_block = bool(_BLOCK.search(text))
        elif not (_LAUNCHER.match(text) or _ARGO.match(text)):
            yield line
