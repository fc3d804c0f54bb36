"""Components whose source uses what did not travel along with it: P147."""

import builtins
import re
import symtable
import typing
from collections.abc import Iterator

from pipeline.preflight.document import Document, Step
from pipeline.preflight.findings import Finding

# What KFP writes before the source of a lightweight component.
_STARS = {"kfp.dsl", "typing"}
_STAR = re.compile(r"^\s*from\s+([\w.]+)\s+import\s+\*", re.MULTILINE)
_OF_MODULES = {"__name__", "__file__", "__doc__", "__annotations__", "__builtins__"}


def check_sources(document: Document) -> Iterator[Finding]:
    """Names that are neither defined in a component's source nor imported by it."""
    for step in document.steps():
        source = _source(step)
        names = sorted(undefined_names(source)) if source else []
        if names:
            what = f"its source uses {', '.join(names)}, and does not define it"
            yield Finding(code="P147", where=step.where, what=what)


def undefined_names(source: str) -> set[str]:
    """Global names that a module reads and nothing gives a value.

    Nothing is said of a source that another Python wrote, or that imports all names
    of a module that is not known.

    >>> undefined_names("def f(a): import os; return os.sep + a + SUFFIX")
    {'SUFFIX'}
    """
    if set(_STAR.findall(source)) - _STARS:
        return set()
    try:
        module = symtable.symtable(source, "component", "exec")
    except (SyntaxError, ValueError):
        return set()
    tables = [module, *_inner(module)]
    given = {
        symbol.get_name()
        for table in tables
        for symbol in table.get_symbols()
        if (table is module or symbol.is_declared_global())
        and (symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace())
    }
    read = {
        symbol.get_name()
        for table in tables
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (table is module or symbol.is_global())
    }
    return read - given - _known()


def _source(step: Step) -> str:
    """That of a lightweight component; "" for other containers."""
    texts = [text for text in step.texts if "from kfp.dsl import *" in text]
    return texts[0] if texts else ""


def _inner(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    for child in table.get_children():
        yield child
        yield from _inner(child)


def _known() -> set[str]:
    from pipeline.dag.lean_kfp import import_kfp

    import_kfp()
    from kfp import dsl

    return {*dir(builtins), *_OF_MODULES, *typing.__all__, *dsl.__all__}
