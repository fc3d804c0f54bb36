"""Pictures of a run, under keys that line up in MLflow's grid of images."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PREVIEW_SIZE = (256, 256)  # of the small copy that the grid shows, at the most


def log_pictures(client: Any, run_id: str, pictures: Mapping[str, Path]) -> None:
    """Log pictures under their keys; those that are there stay as they are.

    Args:
        client: an MlflowClient.
    """
    from PIL import Image

    names = [Path(file.path).name for file in client.list_artifacts(run_id, "images")]
    for key, path in pictures.items():
        stem = f"{key.replace('/', '~')}+"  # as MLflow writes it
        full = [n for n in names if n.startswith(stem) and n.endswith(".png")]
        small = [n for n in names if n.startswith(stem) and n.endswith(".webp")]
        with Image.open(path) as picture:
            if not full:
                client.log_image(run_id, picture, key=key, step=0)
            elif not small:  # it broke off between the two
                _log_preview(client, run_id, picture, Path(full[0]).stem)
    if pictures:
        client.set_tag(run_id, "mlflow.loggedImages", "True")


def _log_preview(client: Any, run_id: str, picture: Any, stem: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{stem}+compressed.webp"
        picture.thumbnail(_PREVIEW_SIZE)
        picture.save(path)
        client.log_artifact(run_id, str(path), "images")
