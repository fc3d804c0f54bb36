"""Each way in which a cluster is absent or refuses, as one line with its remedy.

`look_again` asks again and again, and tolerates a server that is away for a while.
"""

import json
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from seglib.errors import SegError

_AWAY_S = 600.0  # that a server may be away
_LONGEST = 400  # characters of what a server says itself
_FORWARD = "kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80"
_NO_API = (
    "no KFP API at this address (404). Expected one whose /apis/v2beta1/healthz "
    "answers: often the address of the user interface, with its path "
    "(https://HOST/pipeline)."
)
_STATUSES = {
    401: "unauthenticated",
    403: "forbidden",
    404: "missing",
    409: "conflict",
    429: "busy",
}
# A class among the causes or their bases, and its kind: the first that fits decides.
_CAUSES = {
    "NameResolutionError": "dns",
    "gaierror": "dns",
    "SSLError": "tls",
    "ReadTimeoutError": "timeout",
    "ConnectionRefusedError": "refused",
    "NewConnectionError": "unreachable",
    "ConnectTimeoutError": "unreachable",
    "ProtocolError": "dropped",
    "RemoteDisconnected": "dropped",
    "ConnectionResetError": "dropped",
    "OSError": "unreachable",
    "MaxRetryError": "unreachable",
    "Exception": "not-kfp",
}
_MEANINGS = {
    "unauthenticated": (
        "unknown sender (401){said}. Expected a token (KFP_TOKEN, --token-file), the "
        "cookies of a session (KFP_COOKIES), or, in a pod, a projected token with the "
        "audience pipelines.kubeflow.org. A token that was given has expired, or is "
        "for another audience."
    ),
    "forbidden": (
        "not allowed to {doing} (403){said}. In single-user mode the proxy in front of "
        "KFP decided this; in multi-user mode you need the role kubeflow-edit (to "
        "read: kubeflow-view) in the namespace: ask its owner, or name your own with "
        "--namespace."
    ),
    "missing": "cannot {doing}: not found{said}",
    "conflict": "cannot {doing}: there is one already{said}",
    "busy": "too many requests (429){said}. Try later.",
    "broken": (
        "failed to {doing} ({status}){said}. The server's own log says more: kubectl "
        "logs -n kubeflow deploy/ml-pipeline"
    ),
    "invalid": "refuses to {doing} ({status}){said}",
    "dns": (
        "no such host. Check the address; names such as ml-pipeline.kubeflow.svc exist "
        f"inside of the cluster only: from outside, {_FORWARD}, and "
        "--host http://localhost:8080."
    ),
    "tls": "no secure connection: {said}. {remedy}",
    "timeout": (
        "did not answer in time ({doing}). A server that is overloaded, or a proxy "
        "that leads nowhere; --timeout gives it longer."
    ),
    "refused": (
        "nothing listens there. Is KFP's API up, and the port-forward still running? "
        f"{_FORWARD}"
    ),
    "unreachable": (
        "cannot be reached: {said}. A firewall, a missing VPN, or a cluster that is "
        "switched off."
    ),
    "dropped": "closed the connection without an answer ({doing}).",
    "not-kfp": (
        "answers, but not as KFP's API does ({said}). Does the address lead to a login "
        "page, or need a path such as …/pipeline?"
    ),
}

Seen = TypeVar("Seen")


class ClusterError(SegError):
    """KFP, or the Kubernetes below it, cannot be reached, or refuses.

    Attributes:
        kind: a word for programs, such as "refused" or "forbidden".
        answered: whether KFP itself failed, so that it does not work on it any more.
    """

    exit_code = 6

    def __init__(self, message: str, *, kind: str, answered: bool = False):
        super().__init__(message)
        self.kind = kind
        self.answered = answered

    @property
    def undecided(self) -> bool:
        """Whether the request may have been carried out all the same."""
        return self.kind in ("timeout", "dropped", "broken")

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed later."""
        return self.undecided or self.kind in ("unreachable", "refused", "busy")


def kind_of(status: int) -> str:
    """The word for an HTTP status of 400 or more."""
    usual = "broken" if status >= 500 and status != 501 else "invalid"
    return _STATUSES.get(status, usual)


def explain(error: Exception, *, host: str, doing: str) -> ClusterError:
    """The meaning of a failed call of KFP's API.

    Args:
        error: as urllib3 or kfp-server-api raised it.
        host: the address that was asked.
        doing: what the call was to do, such as "create the run".
    """
    if isinstance(error, ClusterError):
        return error
    status = getattr(error, "status", None)
    if isinstance(status, int) and status:
        return _explain_answer(error, status, host=host, doing=doing)
    causes = list(_causes(error))
    names = {base.__name__ for cause in causes for base in type(cause).__mro__}
    kind = next(kind for name, kind in _CAUSES.items() if name in names)
    said = str(causes[-1])
    if kind == "tls":
        said = next((str(c) for c in causes if isinstance(c, ssl.SSLError)), said)
    if kind == "not-kfp":
        said = f"{type(error).__name__}: {error}"
    is_plain = "WRONG_VERSION_NUMBER" in said or "HTTP_REQUEST" in said
    remedy = (
        "It speaks plain HTTP: begin the address with http://."
        if is_plain
        else "Name the file of the authority that signed it: --ca-cert FILE."
    )
    meaning = _MEANINGS[kind].format(
        said=shortened(said).rstrip("."), doing=doing, remedy=remedy
    )
    return ClusterError(f"{host}: {meaning}", kind=kind)


def look_again(
    look: Callable[[], Seen],
    *,
    every_s: float,
    longest_s: float = 0.0,
    away: Callable[[ClusterError], None] = lambda _: None,
) -> Iterator[Seen]:
    """What is seen at once, and then after each pause.

    A server that is away for less than ten minutes ends nothing.

    Args:
        look: asks the cluster.
        every_s: pause between two looks.
        longest_s: stop looking after that; 0: never.
        away: is told why the server does not answer, once until it answers again.
    """
    begun = heard = time.monotonic()
    is_away = False
    while True:
        try:
            seen = look()
        except ClusterError as error:
            if not error.passing or time.monotonic() - heard > _AWAY_S:
                raise
            if not is_away:
                away(error)
            is_away = True
        else:
            heard, is_away = time.monotonic(), False
            yield seen
        if 0 < longest_s <= time.monotonic() - begun:
            return
        time.sleep(every_s)


def shortened(text: str) -> str:
    """One line of at most 400 characters. The cause is at the end, which stays."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"… {line[-_LONGEST:]}"


def _explain_answer(error: Any, status: int, *, host: str, doing: str) -> ClusterError:
    said = _said(error.body)
    # The API's own errors are JSON with a message; others come from before it.
    from_kfp = bool(said) and said not in (": Not Found", ": 404 page not found")
    if 300 <= status < 400:
        headers = {k.lower(): v for k, v in dict(error.headers or {}).items()}
        place = headers.get("location", "another address").partition("?")[0]
        return ClusterError(
            f"{host}: leads on to {place}. If that is a login page, KFP wants "
            "credentials: a cookie (KFP_COOKIES), or a token (KFP_TOKEN, "
            "--token-file); else give that address as --host.",
            kind="login",
        )
    if status == 404 and not from_kfp:
        return ClusterError(f"{host}: {_NO_API}", kind="not-kfp")
    kind = kind_of(status)
    meaning = _MEANINGS[kind].format(doing=doing, status=status, said=said)
    is_answered = status == 500 and from_kfp
    return ClusterError(f"{host}: {meaning}", kind=kind, answered=is_answered)


def _said(body: Any) -> str:
    """KFP's own message, with a colon before it; empty where there is none."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body or ""
    try:
        content = json.loads(text)
        found = (content.get(n) for n in ("message", "error_message", "error"))
        text = next(filter(None, found), "")
    except (ValueError, AttributeError):
        text = "" if "<html" in text.lower() else text
    return f": {shortened(str(text))}" if text else ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and the errors that it comes from."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [getattr(one, "reason", None), one.__cause__, one.__context__]
            waiting += one.args
