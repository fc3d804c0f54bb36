"""`seglib demo`."""

from pathlib import Path
from typing import Annotated

import typer

from seglib.cli import options as opt
from seglib.cli.console import load_framework, tell_device
from seglib.cli.terminal import console


def demo(
    model: Annotated[
        Path, typer.Argument(help="Folder that `seglib train` or `export` wrote.")
    ],
    export_format: Annotated[
        str, opt.option("Of an export, such as onnx or litert_int8.", "--format")
    ] = "",
    host: Annotated[str, opt.option("Address to listen on; 0.0.0.0: on all.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, opt.option("Of the page.", min=1, max=65535)] = 7860,
    no_browser: Annotated[
        bool, opt.option("Only print the page's address.", "--no-browser")
    ] = False,
) -> None:
    """Open a page to drop an image on: mask, overlay and legend.

    For example: seglib demo export --format litert_int8
    """
    from seglib.inference.demo_page import open_page, require_gradio

    require_gradio()  # before the model is loaded
    tell_device()
    load_framework()
    from seglib.exports.exported import open_model

    page, address = open_page(
        open_model(model, export_format),
        f"{model.resolve().name} {export_format}".strip(),
        host=host,
        port=port,
        browser=not no_browser,
    )
    console.print(f"The page: {address}   Ctrl-C ends it.")
    page.block_thread()
