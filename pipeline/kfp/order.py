"""What is to run: a compiled pipeline, a version of the dataset, a configuration."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.dag.document import Document
from pipeline.dag.inputs import (
    PIN,
    REPOSITORY,
    Data,
    code_version,
    find_settings,
    git_commit,
)
from pipeline.kfp.identity import Triple, digest_of, triple_of
from seglib.config import Config
from seglib.errors import SegError, UsageError


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to run."""

    document: Document
    data: Data
    config: Config
    code_version: str
    commit: str

    @property
    def triple(self) -> Triple:
        trials = self.document.defaults.get("trials", ())
        image, data_md5 = self.document.image, self.data.data_md5
        return triple_of(image, data_md5, self.config, trials=trials)

    @property
    def parameters(self) -> dict[str, Any]:
        """Of the run; nothing in it belongs to one run alone, or caching dies."""
        return {
            "data_md5": self.data.data_md5,
            "remote": self.data.remote,
            "code_version": self.code_version,
            **self.config.flat(),
        }

    @property
    def facts(self) -> dict[str, str]:
        """What the name is short for: the lines of a run's description."""
        triple = self.triple
        return {
            "commit": self.commit or "unknown",
            "data": triple.data_md5,
            "config": triple.config_hash,
            "triple": triple.key,
            "image": self.document.image,
        }


def make_order(document: Document, data: Data, config: Config) -> Order:
    """An order of this checkout's.

    The code is the image's, so its digest is the code's version.
    """
    digest = digest_of(document.image).removeprefix("sha256:")
    return Order(
        document=document,
        data=data,
        config=config,
        code_version=digest[:16] or code_version(),
        commit=git_commit(),
    )


def settings_of(
    document: Document, file: Path | None, changes: Iterable[str] = ()
) -> Config:
    """The settings of a run: those that its document was compiled with, and changes.

    Args:
        document: a sweep's has settings of its own, for all its trials.
        file: YAML; `None` leaves the document's settings as they are.
        changes: "name=value" each, on top of both.

    Raises:
        UsageError: an unknown name or unfit value; the file says something else than
            the document was compiled with; or a change is of what trials try.
    """
    changes, usual = list(changes), Config().flat()
    given = find_settings(file, changes).flat()
    changed = {change.partition("=")[0].strip() for change in changes}
    swept = {*str(document.defaults.get("swept", "")).split(",")}
    if tried := sorted(changed & swept):
        raise UsageError(
            f"{document.path} tries several values of {', '.join(tried)}, so --set "
            "cannot change it. Compile the sweep anew."
        )
    own = {
        name: type(usual[name])(value)
        for name, value in document.defaults.items()
        if name in usual
    }
    kept = {
        name: value
        for name, value in own.items()
        if value not in (usual[name], given[name]) and name not in changed
    }
    if file and kept:
        told = ", ".join(
            f"{name}={value} ({file}: {given[name]})" for name, value in kept.items()
        )
        raise UsageError(
            f"{document.path} was compiled with other settings than {file} gives: "
            f"{told}. Leave --config out, as the document has its settings; or change "
            "single ones with --set."
        )
    return Config.from_flat({**given, **kept})


def find_version(
    revision: str = "", *, data_md5: str = "", pin: Path | None = None, remote: str = ""
) -> Data:
    """A version of the dataset that pods can fetch.

    Args:
        revision: of git, at which the pin is read. Default: the pin as it is.
        data_md5: the hash itself, `<md5>.dir`; it needs neither git nor a pin.
        pin: DVC's file. Default: data.dvc here, or that of the repository.
        remote: where its files are. Default: the DVC repository's own remote.

    Raises:
        SegError: there is no such version, or its remote is a folder of this machine.
    """
    from seglib.storage.pins import default_remote, pin_at, read_pin
    from seglib.storage.remotes import portable

    if not pin:
        pin = next(
            (p / PIN for p in (Path.cwd(), REPOSITORY) if (p / PIN).exists()), None
        )
    if not data_md5:
        if not pin:
            raise SegError(
                f"No {PIN} in {Path.cwd()}. Run in a clone of the repository, or give "
                "--data-md5 and --remote."
            )
        data_md5 = pin_at(revision, pin) if revision else read_pin(pin)
    if not remote:
        if not pin:
            raise SegError("--data-md5 without a DVC repository needs --remote, too.")
        remote = portable(default_remote(pin))
        if "://" not in remote:
            raise SegError(
                f"{remote}: a folder of this machine, which pods cannot read. Expected "
                "s3://bucket/prefix: name it with --remote, or make it the default: "
                "`dvc remote add --default NAME s3://bucket/prefix` and `dvc push`."
            )
    return Data(data_md5=data_md5, remote=remote, title=revision or "as pinned")


def check_pushed(data: Data) -> None:
    """See that every object of a version is on its remote.

    Raises:
        SegError: some are not; it names them.
    """
    from seglib.storage.listings import missing_files

    if missing := missing_files(data.data_md5, data.remote):
        shown = "\n".join(f"  {name}" for name in missing[:10])
        more = f"\n  … and {len(missing) - 10:,} more" if len(missing) > 10 else ""
        raise SegError(
            f"{data.remote}: {len(missing):,} object(s) of {data.data_md5} are "
            "missing, so the run would fail. `dvc push` from a machine that has the "
            f"data brings them. `seglib data push-check` lists them:\n{shown}{more}"
        )
