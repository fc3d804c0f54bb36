"""What all components share: the image they run in, and their Kubernetes settings."""

import functools
from collections.abc import Mapping
from typing import Any

from kfp import dsl

IMAGE = "seglib:cpu"  # the local build's tag; `compile --image` pins another by digest

# The image brings seglib, components and kfp along: nothing is installed at run time.
component = functools.partial(
    dsl.component, base_image=IMAGE, install_kfp_package=False
)


def on_kubernetes(
    task: dsl.PipelineTask,
    *,
    image: str,
    gpus: int = 0,
    environment: Mapping[str, str] | None = None,
    retries: int = 0,
) -> None:
    """Say what the task's pod needs; the local runner takes no notice.

    The dictionary is what kfp.kubernetes' helpers would write; that package takes two
    seconds to import, which is more than all of the compilation.

    Args:
        task: a task of a component in this package.
        image: the image of its pod, best pinned by digest: KFP's cache knows an image
            by its name alone.
        gpus: NVIDIA GPUs; a task with some also gets shared memory, of which a pod
            has 64 MB, too little for several loading processes.
        environment: of its container, the same in every run.
        retries: how often a pod that failed is started again.
    """
    task.set_container_image(image)
    for name, value in (environment or {}).items():
        task.set_env_variable(name, value)
    if retries:
        task.set_retry(num_retries=retries, backoff_duration="30s", backoff_factor=2.0)
    task.set_env_variable("SEGLIB_IMAGE", image)  # a tag of the run's row
    settings: dict[str, Any] = task.platform_config.setdefault("kubernetes", {})
    # What belongs to one run must not be a parameter, or nothing is ever reused.
    settings["fieldPathAsEnv"] = [
        {"name": "KFP_RUN_ID", "fieldPath": "metadata.labels['pipeline/runid']"}
    ]
    if gpus:
        task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(gpus)
        settings["emptyDirMounts"] = [
            {"volumeName": "shm", "mountPath": "/dev/shm", "medium": "Memory"}
        ]
