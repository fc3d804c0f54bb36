"""Credentials that must not stand in a file: recognised by name or by form."""

import re
from typing import NamedTuple

# DB_PASSWORD, apiKey, AWS_ACCESS_KEY_ID; not secret_name, tokenizer, compass.
_NAME = re.compile(
    r"(passw(or)?d|passphrase|secret|credentials?|apikey|(^|_)(key(_id)?|pass|pwd|token))"
    r"(_?value)?$"
)
_REFERENCE = re.compile(r"\{\{\$[^{}]*\}\}|\$\([A-Za-z_]\w*\)")  # KFP's, Kubernetes'
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/?#'\"<>@:]*:([^\s/?#'\"<>]*)@")
_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
_TOKENS = {
    "an AWS access key id": re.compile(r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    "a GitHub token": re.compile(
        r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_\w{22,255})\b"
    ),
    "a GitLab token": re.compile(r"\bglpat-[\w-]{20,}"),
    "a Slack token": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    "a Google API key": re.compile(r"\bAIza[\w-]{35}"),
    "a Hugging Face token": re.compile(r"\bhf_[A-Za-z0-9]{30,}\b"),
    "a PyPI token": re.compile(r"\bpypi-AgEI[\w-]{20,}"),
    "a JSON Web Token": re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"),
}


class Credential(NamedTuple):
    """A credential in a text: its kind, in words, and the text itself."""

    kind: str
    value: str


PRIVATE_KEY, URL_PASSWORD = "a private key", "a URL with a password"


def names_credential(name: str) -> bool:
    """Whether a value of this name is a credential, and not its name or place.

    >>> [names_credential(n) for n in ("DB_PASSWORD", "secret_name", "apiKey")]
    [True, False, True]
    """
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return _NAME.search(snake) is not None


def is_reference(value: str) -> bool:
    """Whether a text is empty or only says where the value is.

    >>> is_reference("$(DB_PASSWORD)"), is_reference("$DB_PASSWORD")
    (True, False)
    """
    return not value.strip() or _REFERENCE.fullmatch(value.strip()) is not None


def find_credential(text: str) -> Credential | None:
    """The first credential in a text that is recognised by its form.

    >>> find_credential("postgres://me:hunter2@db.example/x").kind
    'a URL with a password'
    """
    if _PRIVATE_KEY.search(text):
        return Credential(PRIVATE_KEY, text)
    for login in _URL.finditer(text):
        if not is_reference(login[1]):
            return Credential(URL_PASSWORD, login[1])
    for kind, pattern in _TOKENS.items():
        if token := pattern.search(text):
            return Credential(kind, token[0])
    return None
