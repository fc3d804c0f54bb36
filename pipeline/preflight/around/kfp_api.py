"""Whether Kubeflow Pipelines answers, and of which version it is: S230 … S232."""

import os
import re
from pathlib import Path

from pipeline.preflight.around.looking import Seen
from pipeline.preflight.around.questions import Answer, ask
from pipeline.preflight.findings import Finding
from seglib.plain_text import without_login

_HEALTH = "/apis/v2beta1/healthz"
_OLD_HEALTH = "/apis/v1beta1/healthz"  # whose answer has the version
_REFUSED = (301, 302, 303, 307, 308, 401, 403)


def check_kfp(host: str, *, sdk_version: str, timeout_s: float) -> Seen:
    """Ask for its health, and its version.

    Args:
        host: where the API, or the user interface before it, is.
        sdk_version: that compiled the document; "": not compared.
        timeout_s: of each of the two questions.
    """
    address = without_login(host).rstrip("/")
    where = f"Kubeflow Pipelines at {address}"
    headers = _login()
    answer = ask(f"{address}{_HEALTH}", timeout_s=timeout_s, headers=headers)
    if wrong := _problem(answer, where):
        return Seen((wrong,))
    version = version_of(answer)
    if not version:
        old = ask(f"{address}{_OLD_HEALTH}", timeout_s=timeout_s, headers=headers)
        version = version_of(old) if old.status == 200 else ""
    if not version:
        return Seen(notes=(f"{where}: it answers; it does not say its version",))
    if is_older(version, sdk_version):
        what = f"the server is {version}, the document was compiled by {sdk_version}"
        return Seen((Finding(code="S232", where=where, what=what),))
    return Seen(notes=(f"{where}: version {version}",))


def version_of(answer: Answer) -> str:
    """The API server's version, as it or its user interface says it."""
    said = answer.json if isinstance(answer.json, dict) else {}
    text = str(said.get("apiServerTagName") or said.get("tag_name") or "")
    match = re.search(r"\d+\.\d+(\.\d+)?", text)
    return match[0] if match else ""


def is_older(version: str, than: str) -> bool:
    """Whether a version is older, by major and minor number.

    >>> is_older("2.5.0", "2.17.0"), is_older("2.17.3", "2.17.0"), is_older("2.5", "")
    (True, False, False)
    """
    first, second = (re.match(r"(\d+)\.(\d+)", text) for text in (version, than))
    if not first or not second:
        return False
    return tuple(map(int, first.groups())) < tuple(map(int, second.groups()))


def _problem(answer: Answer, where: str) -> Finding | None:
    if answer.status in _REFUSED:
        to = answer.headers.get("location", "")
        to = f" and leads to {without_login(to.partition('?')[0])}" if to else ""
        what = f"it answers {answer.status}{to}"
        return Finding(code="S231", where=where, what=what)
    if answer.status == 200 and "text/html" in answer.headers.get("content-type", ""):
        what = "a page answers where the API should: mostly one for logging in"
        return Finding(code="S231", where=where, what=what)
    if answer.status == 200 and isinstance(answer.json, dict):
        return None
    what = f"it answers {answer.status}" if answer.status else answer.reason
    return Finding(code="S230", where=where, what=what)


def _login() -> dict[str, str]:
    """As `submit` takes it: KFP_TOKEN, KFP_TOKEN_FILE or KFP_COOKIES."""
    headers = {}
    token = os.environ.get("KFP_TOKEN", "")
    if not token and (path := os.environ.get("KFP_TOKEN_FILE")):
        try:
            token = Path(path).read_text(encoding="utf-8").strip()
        except OSError:
            token = ""
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if cookies := os.environ.get("KFP_COOKIES"):
        headers["Cookie"] = cookies
    return headers
