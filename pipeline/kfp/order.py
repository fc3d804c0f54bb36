"""What is to run: a compiled pipeline, a version of the dataset, a configuration.

Image digest, data hash and configuration identify a run. They make a key of 16
hexadecimal digits, which ends the run's name, where KFP's filter finds it; its parts
are written out in the run's description.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.dag.document import Document, read_document
from pipeline.dag.inputs import (
    PIN,
    REPOSITORY,
    Data,
    code_version,
    find_settings,
    git_commit,
)
from seglib.config import Config
from seglib.errors import SegError, UsageError
from seglib.registry.weights import pin_weights

_DIGEST = re.compile(r"@(sha256:[0-9a-f]{64})$")
_NAME = re.compile(r".+-(?P<tag>[0-9a-f]{16}(-[0-9a-f]{8})?)")


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to run."""

    document: Document
    data: Data
    config: Config
    commit: str

    @cached_property
    def code_version(self) -> str:
        """The code is the image's, so its digest is the code's version."""
        digest = digest_of(self.document.image).removeprefix("sha256:")
        return digest[:16] or code_version()

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits of what computes, what it computes on, and how."""
        image = digest_of(self.document.image) or self.document.image
        parts = [image, self.data.data_md5, self.config_hash, *self.trials]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @property
    def config_hash(self) -> str:
        """As the row's tag of the same name."""
        text = json.dumps(self.config.flat(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def trials(self) -> tuple[str, ...]:
        """Of a sweep, as JSON."""
        return tuple(self.document.defaults.get("trials", ()))

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
        return {
            "commit": self.commit or "unknown",
            "data": self.data.data_md5,
            "config": self.config_hash,
            "triple": self.key,
            "image": self.document.image,
        }


def make_order(
    document: Document, data: Data, config: Config, *, commit: str = ""
) -> Order:
    """An order of a commit, by default this checkout's; its weights are pinned."""
    config = replace(config, model=pin_weights(config.model))
    commit = commit or git_commit()
    return Order(document=document, data=data, config=config, commit=commit)


def run_name(commit: str, data_md5: str, tag: str) -> str:
    """A run's name: commit, data, and a key or what else tells it apart."""
    short = commit.removesuffix("-dirty")[:7] or "unknown"
    dirty = "-dirty" if commit.endswith("-dirty") else ""
    return f"{short}{dirty}-{data_md5[:7]}-{tag}"


def tag_of(name: str) -> str:
    """The key in a run's name; empty for a run that was not submitted here.

    Of a forced run, "-" and 8 hexadecimal digits follow, which tell it apart. Of the
    runs with the same tag only one is to go on.
    """
    match = _NAME.fullmatch(name)
    return match["tag"] if match else ""


def digest_of(image: str) -> str:
    """The digest that an image's name ends in; empty where it is a tag."""
    found = _DIGEST.search(image)
    return found[1] if found else ""


@contextmanager
def document_of(
    file: Path | None,
    *,
    image: str = "",
    cluster: Path | None = None,
    checkpoints: str = "",
    allow_tag: bool = False,
) -> Iterator[Document]:
    """A compiled file, or the pipeline compiled now into a folder that is removed.

    Args:
        file: what `compile` wrote; it names its image. `None`: compile.
        image: of every step, by its digest.
        cluster: the YAML file of what the steps' pods need.
        checkpoints: where the training step keeps its state: s3://bucket/prefix.

    Raises:
        UsageError: neither file nor image, or both and they differ.
    """
    if file:
        document = read_document(file)
        if document.is_manifest:
            raise UsageError(
                f"{file} is a Kubernetes manifest. Expected a file that `compile` "
                "wrote without --manifest. `kubectl apply -f` takes this one."
            )
        if image and image != document.image:
            raise UsageError(
                f"{file} is compiled for {document.image}. Received: image={image!r}. "
                "Leave one of them out."
            )
        yield document
        return
    if not image:
        raise UsageError(
            "Expected --image NAME@sha256:… (or SEGLIB_IMAGE), or --pipeline FILE."
        )
    from pipeline.dag.cluster_config import ClusterConfig
    from pipeline.dag.compile import compile_pipeline

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "pipeline.yaml"
        compile_pipeline(
            path,
            image=image,
            cluster=ClusterConfig.load(cluster),
            checkpoints=checkpoints,
            allow_tag=allow_tag,
        )
        yield read_document(path)


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
    kept = {}
    for name, value in document.defaults.items():
        if name in usual and name not in changed:
            own = type(usual[name])(value)
            if own not in (usual[name], given[name]):
                kept[name] = own
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

    places = (place / PIN for place in (Path.cwd(), REPOSITORY))
    pin = pin or next((place for place in places if place.exists()), None)
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
