"""The image of a commit's training, by its digest: found by its inputs, or built."""

import hashlib
import re
import subprocess
from typing import NamedTuple

from pipeline.ci.git import Git
from pipeline.ci.plan import LOCKS
from seglib.errors import SegError, UsageError

# What the Dockerfile copies, and what it is built by.
_INPUTS = ("Dockerfile", ".dockerignore", "pyproject.toml", "requirements-uv.lock")
_PACKAGES = ("seglib",)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REPOSITORY = re.compile(
    r"([a-z0-9][a-z0-9.-]*(:\d+)?/)?[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*"
)


class Image(NamedTuple):
    """An image in a registry."""

    reference: str  # repository@sha256:…
    built: bool  # now, and not earlier


def provide_image(
    git: Git, commit: str, *, repository: str, variant: str = "cpu"
) -> Image:
    """The image of a commit; of the same inputs there is one.

    Its tag is a hash of all that goes into it. If the registry has it, it is taken;
    else it is built and pushed.

    Args:
        commit: the one that is checked out; its files go in.
        repository: in the registry, such as registry.example.com/team/seglib.
        variant: cpu or gpu.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise UsageError(
            "--image-repository: expected a repository without a tag, in small "
            "letters, such as registry.example.com/team/seglib. "
            f"Received: {repository!r}."
        )
    tag = f"{repository}:{variant}-{inputs_hash(git, commit, variant)}"
    if digest := _look_up(tag):
        return Image(f"{repository}@{digest}", built=False)
    done = _run(
        *("buildx", "build", "--push", "--tag", tag),
        *("--build-arg", f"VARIANT={variant}", "--build-arg", f"COMMIT={commit}"),
        str(git.root),
        shown=True,
    )
    if done.returncode:
        raise SegError(
            f"docker buildx build --push: exit status {done.returncode}; its output "
            f"is above. The image is to be {tag}: is the registry logged in to (docker "
            "login), and is there room for the build?"
        )
    # Not every builder tells the digest that the registry gives; the registry does.
    if not (digest := _look_up(tag)):
        raise SegError(
            f"{tag}: was pushed, but the registry gives no digest of it. Expected "
            f"`docker buildx imagetools inspect {tag}` to show one."
        )
    return Image(f"{repository}@{digest}", built=True)


def inputs_hash(git: Git, commit: str, variant: str) -> str:
    """A hash of the files that go into a commit's image, as git has them."""
    paths = (*_INPUTS, LOCKS[variant], *_PACKAGES)
    return hashlib.sha256(git.hashes(commit, paths).encode()).hexdigest()[:16]


def _look_up(tag: str) -> str:
    """The digest of a tag in its registry; empty if there is none.

    Why there is none is of no matter: a registry that says no will say so to the push.
    """
    words = ("buildx", "imagetools", "inspect", tag, "--format", "{{json .Manifest}}")
    done = _run(*words)
    found = _DIGEST.search(done.stdout) if done.returncode == 0 else None
    return found.group() if found else ""


def _run(*words: str, shown: bool = False) -> "subprocess.CompletedProcess[str]":
    """Docker's answer."""
    command = ["docker", *words]
    try:
        return subprocess.run(command, capture_output=not shown, text=True, check=False)
    except OSError as error:
        raise SegError(
            f"docker cannot be run ({error.strerror}). Building the image needs Docker "
            "with buildx; or name one that is there: --image NAME@sha256:…."
        ) from error
