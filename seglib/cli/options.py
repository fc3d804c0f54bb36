"""The options that several commands have, and those that are settings."""

from pathlib import Path
from typing import Annotated, Any

import typer

from seglib.config import Config


def setting(name: str, *names: str, group: str | None = None) -> Any:
    """The option for a setting: its help, default and range are the configuration's.

    Args:
        name: of the setting.
        names: such as "--policy"; default: the parameter's name.
        group: of the options in the help.
    """
    facts = Config.facts(name)
    default = '""' if facts.default == "" else facts.default
    known = f"[default: {default}{facts.allowed and f'; {facts.allowed}'}]"
    text = f"{facts.description[:1].upper()}{facts.description[1:]}. {known}"
    return typer.Option(*names, help=text, rich_help_panel=group)


def option(text: str, *names: str, group: str | None = None, **given: Any) -> Any:
    """An option whose help shows its default, if that is a value.

    Args:
        text: the help.
        names: such as "--json"; default: the parameter's name.
        group: of the options in the help.
        given: further arguments of `typer.Option`.
    """
    return typer.Option(*names, help=text, rich_help_panel=group, **given)


DATA, OUTPUT = "The data", "Output and state"

Data = Annotated[
    Path, typer.Argument(help="Folder in the format of docs/data-format.md.")
]
Model = Annotated[Path, typer.Argument(help="Folder that `seglib train` wrote.")]
ConfigFile = Annotated[
    Path | None, option("YAML file of settings; see configs/.", "--config", "-c")
]
NumClasses = Annotated[int | None, setting("num_classes", group=DATA)]
IgnoreIndex = Annotated[int | None, setting("ignore_index", group=DATA)]
Overwrite = Annotated[
    bool,
    option("Replace what an earlier command wrote to --out.", "--overwrite"),
]
