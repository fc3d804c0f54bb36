"""Weights by address: of a registered model of MLflow, of S3, or of this machine."""

import re
from dataclasses import replace
from pathlib import Path

from seglib.arguments import checked
from seglib.config import ModelConfig
from seglib.environment import TRACKING_URI
from seglib.errors import SegError, UsageError, unknown
from seglib.registry.champion import ModelVersion, Registry
from seglib.storage.downloads import Download, cached, digest_of, fetch_s3
from seglib.tracking.mlflow_address import tracking_uri
from seglib.tracking.mlflow_client import answering

_S3, _MODELS = "s3://", "models:/"
_REGISTERED = re.compile(
    r"models:/(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<number>\d+))"
)


@checked
def fetch_weights(
    address: str, *, uri: str = "", cache: Path | None = None
) -> Download | str:
    """Fetch weights into the cache, for `build_model(weights=…)` and the like.

    Args:
        address: `models:/name@alias` or `models:/name/3` of the MLflow server that
            MLFLOW_TRACKING_URI names; `s3://bucket/path`, a file or a model's folder;
            anything else is returned as it is.
        uri: of MLflow. Default: that of MLFLOW_TRACKING_URI.
        cache: Default: SEGLIB_CACHE, or ~/.cache/seglib.

    Raises:
        UsageError: MLflow is not configured, or no such model, alias or version.
        SegError: nothing there, or the store cannot be reached or refuses.
    """
    if address.startswith(_S3):
        return fetch_s3(address, cache=cache)
    if address.startswith(_MODELS):
        return _fetch_registered(address, uri or tracking_uri(), cache)
    return address


def pin_weights(model: ModelConfig, *, uri: str = "") -> ModelConfig:
    """The same settings with an address of one content, and its digest.

    So a training whose alias or object has changed since is another training, for
    KFP's cache as for ours. One with `weights_sha256` is pinned already.

    Raises:
        SegError: as `fetch_weights`.
    """
    if model.weights_sha256:
        return model
    found = fetch_weights(model.weights, uri=uri)
    if isinstance(found, str):
        return model
    return replace(model, weights=found.address, weights_sha256=found.sha256)


def _fetch_registered(address: str, uri: str, cache: Path | None) -> Download:
    matched = _REGISTERED.fullmatch(address)
    if not matched:
        raise UsageError(
            "`weights` expects `models:/name@alias` or `models:/name/3` of MLflow. "
            f"Received: {address}."
        )
    if not uri:
        raise UsageError(
            f"{address}: MLflow is not configured. Set {TRACKING_URI} to its server, "
            "such as http://host:5000."
        )
    with answering(uri):
        registry = Registry(uri)
        version = _find(registry, **matched.groupdict())
        pinned = f"{_MODELS}{version.name}/{version.number}"

        def bring(folder: Path) -> None:
            registry.download(version, folder)

        identity = [uri, pinned, version.created_ms]
        path = _model_in(cached(identity, bring, cache=cache), pinned)
    received = digest_of(path)
    if version.digest not in ("", received):
        raise SegError(
            f"{pinned}: not the model that was registered. Expected: digest "
            f"{version.digest}. Received: {received}. Register the model again."
        )
    return Download(pinned, path, received)


def _find(
    registry: Registry, name: str, alias: str | None, number: str | None
) -> ModelVersion:
    if name not in (names := registry.names()):
        raise unknown("registered model", name, names)
    if alias is not None:
        aliases = registry.numbers(name)
        if alias not in aliases:
            raise unknown(f"alias of the model `{name}`", alias, aliases)
        return registry.get(name, aliases[alias])
    numbers = {version.number: version for version in registry.versions(name)}
    if int(number or 0) not in numbers:
        raise unknown(f"version of the model `{name}`", str(number), map(str, numbers))
    return numbers[int(number or 0)]


def _model_in(folder: Path, address: str) -> Path:
    """The folder that holds the model itself, at whatever depth MLflow put it."""
    found = sorted(folder.rglob("contract.json"))
    if not found:
        raise UsageError(
            f"{address}: not a model of seglib: expected a folder with model.keras and "
            "contract.json, as `seglib train` writes it."
        )
    return found[0].parent
