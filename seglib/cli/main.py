"""The command line: `seglib COMMAND --help` explains each step."""

import json
from importlib.metadata import version
from typing import Annotated

import typer
from rich.table import Table

from seglib import catalogue
from seglib.cli import checks, publish, use
from seglib.cli import data as cli_data
from seglib.cli.augment import augment
from seglib.cli.compare import compare
from seglib.cli.console import set_up_logging
from seglib.cli.convert import convert
from seglib.cli.demo import demo
from seglib.cli.help import App
from seglib.cli.pack import pack
from seglib.cli.plan import plan
from seglib.cli.terminal import console, echo, run_commands
from seglib.cli.train import train
from seglib.config import Config

_GROUPS = {
    "The dataset": (
        checks.verify,
        checks.fix,
        convert,
        checks.visualize,
        augment,
        pack,
    ),
    "The model": (plan, train, use.evaluate, compare, use.predict, use.export, demo),
    "Remotes, on S3 or in a folder": (publish.publish, publish.fetch, publish.follow),
}


def _new_app() -> App:
    app = App(
        name="seglib",
        help="Semantic segmentation: verify, train, evaluate, predict, export.",
    )
    for group, commands in _GROUPS.items():
        for command in commands:
            app.command(rich_help_panel=group)(command)
    app.add_typer(cli_data.app, name="data", rich_help_panel=group)
    return app


app = _new_app()


def main() -> None:
    """Run the command line; a problem is one message and a non-zero exit code."""
    set_up_logging()
    run_commands(app)


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        echo(f"seglib {version('seglib')}")
        raise typer.Exit


@app.callback()
def seglib(
    is_version_asked: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Show the version and exit.",
            callback=_tell_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Semantic segmentation: verify, train, evaluate, predict, export."""


@app.command()
def schema() -> None:
    """Print the JSON schema of configuration files, for editors and validators."""
    echo(json.dumps(Config.json_schema(), indent=2, ensure_ascii=False))


@app.command("policies")
def print_policies(
    name: Annotated[
        str | None, typer.Argument(help="Print this one, or check this YAML file.")
    ] = None,
) -> None:
    """List the policies of augmentation, or what one of them does.

    A YAML file of your own is checked, down to the arguments of albumentations.
    """
    import yaml

    from seglib.policies import policies, policy_names, policy_text

    if name is None:
        for policy in policies():
            console.print(f"{policy:18}{', '.join(policy_names(policy))}")
        return
    text = policy_text(name)
    if text in policies():
        tree = policies()[text]
    else:
        from seglib.data.augmentation.augmenter import Augmenter

        Augmenter(text, None)  # raises what is wrong
        tree = json.loads(text)
    written = yaml.safe_dump(tree, default_flow_style=None, sort_keys=False)
    console.print(written, end="")


@app.command()
def models() -> None:
    """List the architectures, the encoders, and what goes with what."""
    table = Table("architecture", "own encoder", "others", "what it is")
    encoders = catalogue.ENCODERS
    for name, architecture in catalogue.ARCHITECTURES.items():
        fitting = len(catalogue.fitting_encoders(name))
        others = f"{fitting - 1} of {len(encoders) - 1}"
        table.add_row(name, architecture.encoder, others, architecture.summary)
    console.print(table)
    table = Table("encoder", "strides", "trained weights")
    for name, encoder in encoders.items():
        strides = f"{2 ** encoder.levels[0]} … {2 ** encoder.levels[-1]}"
        table.add_row(name, strides, encoder.weights or "–")
    console.print(table)
    table = Table("keras_segmentation's name", "architecture", "encoder")
    for name, parts in catalogue.NAMES.items():
        table.add_row(name, *parts)
    console.print(table)
