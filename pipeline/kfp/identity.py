"""The identity of a run: image digest, data hash, configuration.

The three make a key of 16 hexadecimal digits. It ends the run's name, where KFP's
filter finds it, and its parts are written out in the run's description.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from seglib.config import Config

_DIGEST = re.compile(r"@(sha256:[0-9a-f]{64})$")
_NAME = re.compile(r"(?P<head>.+)-(?P<key>[0-9a-f]{16})(-(?P<again>[0-9a-f]{8}))?")


@dataclass(frozen=True, kw_only=True)
class Triple:
    """What computes, what it computes on, and how."""

    image: str  # the digest sha256:…; for trials, a whole name with a tag
    data_md5: str
    config_hash: str
    trials: tuple[str, ...] = ()  # of a sweep, as JSON

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits; equal triples have equal ones."""
        parts = [self.image, self.data_md5, self.config_hash, *self.trials]
        text = json.dumps(parts)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class RunName:
    """A run's name: commit, data, key; of a forced run also what tells it apart."""

    commit: str
    data_md5: str
    key: str
    again: str = ""  # 8 hexadecimal digits

    def __str__(self) -> str:
        commit = self.commit.removesuffix("-dirty")[:7] or "unknown"
        dirty = "-dirty" if self.commit.endswith("-dirty") else ""
        again = f"-{self.again}" if self.again else ""
        return f"{commit}{dirty}-{self.data_md5[:7]}-{self.key}{again}"

    @property
    def tag(self) -> str:
        """Of the runs with the same tag only one is to go on: key, or key and again."""
        return f"{self.key}-{self.again}" if self.again else self.key


def triple_of(
    image: str, data_md5: str, config: Config, *, trials: Iterable[str] = ()
) -> Triple:
    """The triple of an image's whole name, a dataset and a configuration."""
    return Triple(
        image=digest_of(image) or image,
        data_md5=data_md5,
        config_hash=config_hash(config),
        trials=tuple(trials),
    )


def config_hash(config: Config) -> str:
    """As the row's tag of the same name."""
    text = json.dumps(config.flat(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def digest_of(image: str) -> str:
    """The digest that an image's name ends in; empty where it is a tag."""
    found = _DIGEST.search(image)
    return found[1] if found else ""


def tag_of(name: str) -> str:
    """The tag in a run's name; empty for a run that was not submitted here."""
    match = _NAME.fullmatch(name)
    if not match:
        return ""
    return match["key"] + (f"-{match['again']}" if match["again"] else "")
