"""The task `finalize`: close the MLflow run, however the pipeline ended."""

from collections.abc import Mapping
from typing import Any

from seglib.config import Config
from seglib.delivery.pod import closing
from seglib.runtime.events import source_tags
from seglib.runtime.kfp_run import ending


def finalize(*, status: Any, data_md5: str, remote: str, code_version: str) -> None:
    """Tell how the run ended, and send what its steps could not.

    Args:
        status: KFP's PipelineTaskFinalStatus; a hint, where KFP's API says more.
    """
    end = ending(status.state)
    with closing() as events:
        events.append(
            "close",
            **{key: value for key, value in end.items() if key != "parameters"},
            parameters=settings_of(end.get("parameters", {})),
            data_md5=data_md5,
            remote=remote,
            code_version=code_version,
            tags=source_tags(),
        )


def settings_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run among its parameters, as KFP's API tells them.

    Each has its setting's type (JSON writes 1 for 1.0). Those that differ by trial are
    left out: the chosen trial's are the run's.
    """
    swept = str(parameters.get("swept", "")).split(",")
    return {
        name: type(default)(parameters[name])
        for name, default in Config().flat().items()
        if name in parameters and name not in swept
    }
