"""Which forge the surroundings name, and what there is instead if they name none."""

from collections.abc import Mapping, MutableMapping

from pipeline.ci.forge import Forge, ForgeError
from pipeline.ci.github import ADDRESS, HEADERS, GitHub
from pipeline.ci.http import Api

TOKENS = ("GITHUB_TOKEN", "GH_TOKEN")
_FOREIGN = ("AWS_", "KFP_", "KF_", "MLFLOW_")


def find_forge(environment: Mapping[str, str]) -> Forge | None:
    """The forge that the environment names.

    Args:
        environment: GITHUB_REPOSITORY (owner/name), GITHUB_TOKEN or GH_TOKEN, and
            GITHUB_API_URL where it is not GitHub itself.

    Returns:
        None where there is no token or no repository.

    Raises:
        ForgeError: the repository's name is none, or the address would not be safe.
    """
    token = next(filter(None, map(environment.get, TOKENS)), "")
    repository = environment.get("GITHUB_REPOSITORY", "")
    if not token or not repository:
        return None
    owner, slash, name = repository.partition("/")
    if not (owner and slash and name) or "/" in name:
        raise ForgeError(
            "GITHUB_REPOSITORY: expected owner/name. "
            f"Received: GITHUB_REPOSITORY={repository!r}."
        )
    address = environment.get("GITHUB_API_URL") or ADDRESS
    return GitHub(Api(address, token=token, headers=HEADERS), repository)


def missing(environment: Mapping[str, str]) -> str:
    """What is not there for a forge to be found, for people."""
    lacks = []
    if not any(environment.get(name) for name in TOKENS):
        lacks.append(TOKENS[0])
    if not environment.get("GITHUB_REPOSITORY"):
        lacks.append("GITHUB_REPOSITORY")
    return " and ".join(lacks)


def forget_empty(environment: MutableMapping[str, str]) -> None:
    """CI sets variables that are not there to nothing, and boto3 balks at that."""
    for name in [name for name, value in environment.items() if not value]:
        if name.startswith(_FOREIGN):
            del environment[name]
