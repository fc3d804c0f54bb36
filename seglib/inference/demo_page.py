"""The page of `seglib demo`: an image in; mask, overlay and legend out."""

import os
import tempfile
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from seglib.data.samples import read_sample
from seglib.drawing.pictures import colorize, legend, overlay
from seglib.errors import SegError, UsageError
from seglib.inference.outputs import write_png
from seglib.inference.predictor import Model
from seglib.models.contract import Contract

_CLEANED_S, _KEPT_S = 600, 3600  # files of the page: how often, and how old
_LARGEST_FILE = "200mb"


def require_gradio() -> None:
    """Raise a UsageError where the page's package is not installed."""
    if find_spec("gradio") is None:
        raise UsageError(
            "The page needs the package gradio. Install it with: "
            "pip install 'seglib[demo]'."
        )


def open_page(
    model: Model, title: str, *, host: str, port: int, browser: bool
) -> tuple[Any, str]:
    """Serve the page from a thread of its own.

    Nothing is sent to other hosts. Images that are dropped on the page are removed an
    hour later, and all its files when the process ends.

    Args:
        browser: whether to open it in the browser of this machine.

    Returns:
        The page, with `block_thread` to wait until it is interrupted; its address.

    Raises:
        UsageError: Gradio is not installed, or the address is taken.
    """
    require_gradio()
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1")
    folder = tempfile.TemporaryDirectory(prefix="seglib-demo-")  # gone at exit
    os.environ["GRADIO_TEMP_DIR"] = folder.name
    page = _page(model, title, folder)
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            inbrowser=browser,
            prevent_thread_lock=True,
            share=False,
            quiet=True,
            ssr_mode=False,
            footer_links=[],
            max_file_size=_LARGEST_FILE,
        )
    except OSError as error:
        raise UsageError(
            f"{host}:{port}: cannot be listened on. It is taken, or no address of this "
            "machine. Give another --port or --host."
        ) from error
    return page, address


def _page(model: Model, title: str, folder: tempfile.TemporaryDirectory[str]) -> Any:
    import gradio

    contract = model.contract

    def answer(*files: str | None) -> Any:
        paths = [Path(file) for file in files if file]
        if len(paths) < len(contract.inputs):
            return [None] * 4
        try:
            image = read_sample(paths, contract.inputs)
            ids = model.predict_batch(image[None])[0]
        except SegError as error:
            told = str(error)
            for path in paths:  # the folder is the page's own
                told = told.replace(str(path), path.name)
            raise gradio.Error(
                escape(told), duration=None, print_exception=False
            ) from error
        place = Path(tempfile.mkdtemp(dir=folder.name), paths[0].stem + ".png")
        write_png(place, ids)
        return [*_pictures(image, ids, contract), str(place)]

    with gradio.Blocks(
        title=title, analytics_enabled=False, delete_cache=(_CLEANED_S, _KEPT_S)
    ) as page:
        gradio.Markdown(f"# {title}")
        with gradio.Row():
            with gradio.Column(scale=1):
                files = [
                    gradio.File(label=name.capitalize()) for name in contract.inputs
                ]
                names = _picture("Classes")
                ids = gradio.File(label="Mask of class ids", interactive=False)
            with gradio.Column(scale=2):
                above, mask = _picture("Overlay"), _picture("Mask")
        gradio.on(
            [file.change for file in files],
            answer,
            inputs=files,
            outputs=[above, mask, names, ids],
            show_progress_on=above,
            api_visibility="private",
        )
    return page


def _picture(label: str) -> Any:
    import gradio

    return gradio.Image(
        label=label,
        format="png",
        interactive=False,
        elem_id=label.lower(),
        buttons=["download", "fullscreen"],  # `share` would send it to another host
    )


def _pictures(
    image: np.ndarray, ids: np.ndarray, contract: Contract
) -> list[np.ndarray]:
    """Overlay, mask and legend with the share of each class that was found."""
    palette = contract.palette
    first = image[..., : next(iter(contract.inputs.values()))]
    pixels = np.bincount(ids.ravel(), minlength=contract.num_classes)
    found = np.argsort(-pixels, kind="stable")[: np.count_nonzero(pixels)]
    names = legend(
        [contract.class_names[each] for each in found],
        [palette[each] for each in found],
        shares=(pixels[found] / ids.size).tolist(),
    )
    return [overlay(first, ids, palette), colorize(ids, palette), names]
