"""A digest of the code that computes a result: sources that are imported, libraries.

The sources are found without importing them: from a module's syntax tree to those that
it imports, also inside of functions, and on. Docstrings, comments and line breaks do
not count, so that rewriting them invalidates no checkpoint and no cached result.
"""

import ast
import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import platform
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

OURS = ("components", "seglib")  # packages that are followed; others are libraries
# Distributions that are not called as their package is.
_DISTRIBUTIONS = {
    "PIL": ("pillow",),
    "cv2": ("opencv-python-headless", "opencv-python"),
    "yaml": ("PyYAML",),
}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_DATA = {".css", ".html", ".js", ".yaml"}  # that modules read


def code_digest(
    *modules: str, without: Collection[str] = (), root: Path | None = None
) -> str:
    """Digest of everything that these modules run.

    Args:
        modules: full names, such as `seglib.training.trainer`.
        without: packages and modules that do not decide the result, and what only they
            import.
        root: folder that holds the packages. Default: where Python finds them.

    Returns:
        64 hexadecimal digits. They change with the syntax tree of a module, with a page
        template beside it, with a library's version and with Python's minor version.

    Raises:
        FileNotFoundError: there is no such module.
    """
    sources, libraries = _closure(modules, frozenset(without), root)
    major, minor, *_ = platform.python_version_tuple()  # syntax trees differ with it
    digest = hashlib.sha256(f"{major}.{minor}".encode())
    for name, path in sorted(sources.items()):
        digest.update(f"\n{name} ".encode())
        digest.update(_read(path)[1])
    for library in sorted(libraries):
        digest.update(f"\n{library}=={_version(library)}".encode())
    return digest.hexdigest()


def git_commit(folder: Path | None = None) -> str:
    """The commit of a folder, "-dirty" where files differ from it; empty if unknown.

    Args:
        folder: Default: the working directory.
    """
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _closure(
    modules: Collection[str], without: Collection[str], root: Path | None
) -> tuple[dict[str, Path], set[str]]:
    """Source files by module (or package/file, for data), and names of libraries."""
    sources: dict[str, Path] = {}
    libraries: set[str] = set()
    left = [name for module in modules for name in _with_parents(module)]
    for name in modules:
        if _find(name, root) is None:
            raise FileNotFoundError(f"There is no module {name}.")
    while left:
        name = left.pop()
        top = name.partition(".")[0]
        if top not in OURS:
            if top not in sys.stdlib_module_names:
                libraries.add(top)
            continue
        path = _find(name, root)
        excluded = any(parent in without for parent in _with_parents(name))
        if path is None or name in sources or excluded:
            continue
        sources[name] = path
        for file in _data_beside(path):
            sources[f"{name}/{file.name}"] = file
        left += [
            parent for imported in _read(path)[0] for parent in _with_parents(imported)
        ]
    return sources, libraries


def _data_beside(path: Path) -> Iterator[Path]:
    """Templates and the like of a package, in it and in its folders of data alone."""
    folders = [path.parent] if path.name == "__init__.py" else []
    for folder in folders:  # grows
        for file in folder.iterdir():
            if file.suffix in _DATA:
                yield file
            elif file.is_dir() and not (file / "__init__.py").exists():
                folders.append(file)


def _with_parents(name: str) -> list[str]:
    """`a.b.c` → a, a.b, a.b.c: importing it runs all of them."""
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts) + 1)]


def _find(name: str, root: Path | None) -> Path | None:
    """The file of a module; None for a name that is no module."""
    top, _, rest = name.partition(".")
    folder = root / top if root else _package_folder(top)
    path = folder.joinpath(*rest.split(".")) if rest else folder
    for candidate in (path / "__init__.py", path.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None


@functools.cache
def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"There is no package {name}.")
    return Path(spec.submodule_search_locations[0])


def _read(path: Path) -> tuple[frozenset[str], bytes]:
    """What a file imports, and what of its content counts."""
    return _read_version(path, path.stat().st_mtime_ns)


@functools.cache
def _read_version(path: Path, _mtime_ns: int) -> tuple[frozenset[str], bytes]:
    if path.suffix != ".py":
        return frozenset(), path.read_bytes()
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    imports = frozenset(_imports(tree))
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:]
    return imports, ast.dump(tree).encode()


def _imports(tree: ast.Module) -> Iterator[str]:
    """Everything that a module may import; names within modules are among it."""
    for node in _nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            continue
        yield node
        yield from _nodes(node)


def _is_type_checking(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


@functools.cache
def _version(library: str) -> str:
    """Of the distribution that holds a package; "" where it is not installed."""
    for name in (library, *_DISTRIBUTIONS.get(library, ())):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return f"{name} {importlib.metadata.version(name)}"
    if importlib.util.find_spec(library) is None:
        return ""
    names = importlib.metadata.packages_distributions().get(library, ())  # seconds
    return ", ".join(f"{n} {importlib.metadata.version(n)}" for n in sorted(set(names)))
