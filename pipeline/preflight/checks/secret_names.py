"""Which names promise a secret, and which texts are in the form of one."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_SECRET_ENDS = (
    "password", "passwd", "passphrase", "passcode", "apikey", "accesskey", "secretkey",
    "privatekey", "authtoken",
)  # fmt: skip
_SECRET_WORDS = {"credential", "credentials", "pwd", "secret", "secrets", "token"}
_KEYS = {
    "access", "account", "api", "auth", "encryption", "license", "master", "private",
    "secret", "signing", "ssh", "storage",
}  # fmt: skip
# DB_PASS, and neither first_pass nor pass
_PASSES = {
    "admin", "database", "db", "ftp", "login", "mysql", "pg", "postgres", "redis",
    "root", "smtp", "user",
}  # fmt: skip
# Tokens of a text, and not those that open doors.
_TEXT_TOKENS = {
    "begin", "bos", "cls", "end", "eos", "mask", "pad", "sep", "special", "start",
    "stop", "unk",
}  # fmt: skip
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/?#'\"<>@:]*:([^\s/?#'\"<>]+)@")
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
# In a command: password = "…", --password=…, TOKEN: '…', export SECRET=…
_ASSIGNED = re.compile(
    r"(?P<name>(?:--)?[A-Za-z_][\w.-]*)[\"']?(?P<sign>\s*[=:]\s*)"
    r"(?:\"(?P<double>[^\"\n]+)\"|'(?P<single>[^'\n]+)'|(?P<bare>[^\s\"'=(){}\[\],;]+))"
)
_CAPITALS = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
_TEMPLATE = re.compile(r"\{[^{}]*\}|%\(?\w*\)?s|<[^<>]*>|\*+|\.\.\.|…")
_REFERENCE = re.compile(r"\{\{\$[^{}]*\}\}|\$\([A-Za-z_]\w*\)")
_VARIABLE = re.compile(r"\$\{?[A-Za-z_]\w*\}?")  # of a shell


class Secret(NamedTuple):
    """A secret in a text: its finding's code, what it is, and the text of it."""

    code: str
    what: str
    value: str


def names_a_secret(name: str) -> bool:
    """Whether what is called so is a credential, and not its name, place or number.

    >>> [names_a_secret(n) for n in ("DB_PASSWORD", "secret_name", "awsAccessKeyId")]
    [True, False, True]
    """
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    if words[-1:] == ["value"]:
        words.pop()
    before, last = ["", "", *words][-2:]
    if last == "id":
        return words[-3:-1] == ["access", "key"]
    if last == "key":
        return before in _KEYS
    if last == "pass":
        return before in _PASSES
    if last == "token" and before in _TEXT_TOKENS:
        return False
    return last in _SECRET_WORDS or last.endswith(_SECRET_ENDS)


def is_reference(value: str, *, in_command: bool = False) -> bool:
    """Whether a text only says where a value is.

    Args:
        value: a placeholder of KFP, or `$(NAME)`, which Kubernetes replaces.
        in_command: where a shell's variables are references, too.

    >>> is_reference("$(DB_PASSWORD)"), is_reference("$DB_PASSWORD")
    (True, False)
    """
    text = value.strip()
    if in_command and _VARIABLE.fullmatch(text):
        return True
    return not text or _REFERENCE.fullmatch(text) is not None


def secrets_in(text: str) -> Iterator[Secret]:
    """What is in the form of a secret, wherever the text stands."""
    if _PRIVATE_KEY.search(text):
        yield Secret("P113", "it holds a private key", text)
        return
    for match in _URL.finditer(text):
        if not (
            is_reference(match[1], in_command=True) or _TEMPLATE.fullmatch(match[1])
        ):
            yield Secret("P111", "it holds a URL with a password", match[1])
    for what, pattern in _TOKENS.items():
        for match in pattern.finditer(text):
            yield Secret("P112", f"it holds {what}", match[0])


def secrets_in_code(text: str) -> Iterator[Secret]:
    """Literal values that a script or a program gives to names of secrets."""
    for match in _ASSIGNED.finditer(text):
        quoted = match["double"] or match["single"]
        value = quoted or match["bare"]
        name = match["name"]
        if not names_a_secret(name.lstrip("-")):
            continue
        is_elsewhere = is_reference(value, in_command=True)
        if len(value) < 4 or is_elsewhere or _TEMPLATE.fullmatch(value):
            continue
        in_shell = match["sign"] == "=" and (name.startswith("--") or name.isupper())
        if quoted:  # in capitals it is mostly the name of a variable
            is_name = _CAPITALS.fullmatch(value) is not None
        else:
            is_name = not in_shell and _IDENTIFIER.fullmatch(value) is not None
        if not is_name:
            yield Secret("P110", f"it gives `{name}` a literal value", value)
