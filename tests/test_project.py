"""The promises that the repository as a whole makes."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PACKAGES = ("seglib", "components", "pipeline")
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-gpu.lock")
DOCS_LOCK = "requirements-docs.lock"  # of an environment of its own
LARGEST_FILE_BYTES = 2**20


@pytest.fixture(scope="module")
def pyproject(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def locks(repository: Path) -> dict[str, dict[str, str]]:
    """The version of every package in each lock file."""
    pin = re.compile(r"^([\w.-]+)==([^\s;\\]+)", re.MULTILINE)
    names = (*LOCKS, DOCS_LOCK)
    return {name: dict(pin.findall(_text(repository / name))) for name in names}


@pytest.mark.parametrize("name", [*LOCKS, DOCS_LOCK])
def test_a_lock_file_names_no_address_and_no_path(repository: Path, name: str) -> None:
    text = _text(repository / name)
    assert not re.search(r"://|--\S*(index|find-links)|file:|# via", text)


@pytest.mark.parametrize("name", [*LOCKS, DOCS_LOCK])
def test_every_line_of_a_lock_file_is_a_pin_or_a_hash(
    repository: Path, name: str
) -> None:
    names, hashes = [], []
    for line in _text(repository / name).splitlines():
        if re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line):
            hashes[-1] += 1
        else:
            assert re.fullmatch(r"[\w.-]+==\S+( ; .+)? \\", line), line
            hashes.append(0)
            names.append(line.split("==")[0])
    assert len(names) > (20 if name == DOCS_LOCK else 100)
    assert len(names) == len(set(names)), "one version for every Python and platform"
    assert all(hashes), "a package without a hash"


def test_uv_itself_is_pinned_by_its_hashes(repository: Path) -> None:
    first, *hashes = _text(repository / "requirements-uv.lock").splitlines()
    assert re.fullmatch(r"uv==[\d.]+ \\", first)
    assert len(hashes) > 10, "of the wheels for all platforms"
    pattern = r"    --hash=sha256:[0-9a-f]{64}( \\)?"
    assert all(re.fullmatch(pattern, line) for line in hashes)
    for name in ("Makefile", "Dockerfile"):
        words = " ".join(_text(repository / name).replace("\\\n", " ").split())
        assert re.search(r"--require-hashes -r \S*requirements-uv\.lock", words), name
        assert not re.search(r"pip install [^&]*uv==", words), name


def test_the_lock_files_agree_in_every_version(
    locks: dict[str, dict[str, str]],
) -> None:
    runtime, dev, gpu = (locks[name] for name in LOCKS)
    assert runtime.items() <= dev.items()
    assert runtime.items() <= gpu.items()
    assert all(version == dev.get(n, version) for n, version in gpu.items())


@pytest.mark.parametrize(
    ("name", "extras", "group"),
    [
        ("requirements.lock", ("pretrained", "mlflow", "convert"), "pipeline"),
        ("requirements-dev.lock", ("pretrained", "mlflow", "convert", "demo"), "dev"),
        (
            "requirements-gpu.lock",
            ("pretrained", "mlflow", "convert", "gpu"),
            "pipeline",
        ),
        (DOCS_LOCK, (), "docs"),
    ],
)
def test_a_lock_file_satisfies_pyproject(
    pyproject: dict,
    locks: dict[str, dict[str, str]],
    name: str,
    extras: tuple[str, ...],
    group: str,
) -> None:
    project = pyproject["project"]
    wanted = _group(pyproject, group)
    if name != DOCS_LOCK:
        wanted += project["dependencies"]
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    stale = []
    for requirement in map(Requirement, wanted):
        version = locks[name].get(requirement.name.lower().replace("_", "-"))
        if version is None or version not in requirement.specifier:
            stale.append(f"{requirement}: {version}")
    assert not stale, "run `make lock`"


def test_no_tracked_file_is_larger_than_a_mebibyte(repository: Path) -> None:
    large = [
        str(path)
        for path in _tracked(repository)
        if path.is_file() and path.stat().st_size > LARGEST_FILE_BYTES
    ]
    assert not large


def test_components_import_only_the_standard_library_and_kfp_at_module_level(
    repository: Path,
) -> None:
    allowed = {*sys.stdlib_module_names, "kfp", "components.base"}
    wrong = [
        f"{path.name}: {name}"
        for path in sorted((repository / "components").glob("*.py"))
        if "\n@component\n" in path.read_text()  # KFP copies no other's source
        for name in _module_level_imports(path)
        if not {name, name.split(".")[0]} & allowed
    ]
    assert not wrong


def test_importing_seglib_loads_no_framework() -> None:
    script = (
        "import sys, seglib\n"
        "print(*sorted({'tensorflow', 'keras', 'mlflow', 'kfp'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_modules_define_and_do_nothing_when_imported(repository: Path) -> None:
    wrong = [
        f"{path.relative_to(repository)}:{node.lineno}"
        for package in PACKAGES
        for path in sorted((repository / package).rglob("*.py"))
        for node in ast.parse(_text(path)).body
        if not _defines(node)
    ]
    assert not wrong


def test_every_target_of_the_makefile_is_described(repository: Path) -> None:
    makefile = _text(repository / "Makefile")
    targets = set(re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE))
    assert targets == set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    listed = subprocess.run(
        ["make", "-s"], cwd=repository, capture_output=True, text=True, check=True
    )
    assert all(f"  make {target} " in listed.stdout for target in targets)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _group(pyproject: dict, name: str) -> list[str]:
    """The requirements of a dependency group and of the groups that it includes."""
    found = []
    for one in pyproject["dependency-groups"][name]:
        found += [one] if isinstance(one, str) else _group(pyproject, *one.values())
    return found


def _tracked(repository: Path) -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=repository, capture_output=True, check=False
    )
    if listing.returncode:
        pytest.skip("Not a git checkout. To run it: clone the repository.")
    return [repository / name for name in listing.stdout.decode().split("\0") if name]


def _module_level_imports(path: Path) -> list[str]:
    names = []
    for node in ast.parse(_text(path)).body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return names


def _defines(node: ast.stmt) -> bool:
    """Whether a statement at module level only names something."""
    match node:
        case ast.Expr():
            return isinstance(node.value, ast.Constant)  # a docstring
        case ast.Assign():
            return all(isinstance(t, (ast.Name, ast.Tuple)) for t in node.targets)
        case ast.If():
            return ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'")
        case _:
            definitions = (ast.FunctionDef, ast.ClassDef, ast.AnnAssign, ast.AugAssign)
            return isinstance(node, (ast.Import, ast.ImportFrom, *definitions))
