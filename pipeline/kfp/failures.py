"""Each way in which a cluster is absent or refuses, as one line with its remedy."""

import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from seglib.errors import SegError

_LONGEST = 400  # characters of what KFP says itself
_ROLES = (
    "In single-user mode the proxy in front of KFP decided this; in multi-user mode "
    "you need the role kubeflow-edit (to read: kubeflow-view) in the namespace: ask "
    "its owner, or name your own with --namespace."
)


class ClusterError(SegError):
    """The cluster cannot be reached, or refuses.

    Attributes:
        kind: a word for programs, such as "refused" or "forbidden".
        undecided: whether the request may have been carried out all the same.
        passing: whether the same request may succeed later.
        answered: whether KFP itself failed, so that it does not work on it any more.
    """

    exit_code = 6

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        undecided: bool = False,
        passing: bool = False,
        answered: bool = False,
    ):
        super().__init__(message)
        self.kind = kind
        self.undecided = undecided
        self.passing = passing
        self.answered = answered


def explain(error: Exception, *, host: str, doing: str) -> ClusterError:
    """The meaning of a failed call.

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
    names = {type(cause).__name__ for cause in causes}
    if "NameResolutionError" in names or _any(causes, socket.gaierror):
        return ClusterError(
            f"{host}: no such host. Check the address; names such as "
            "ml-pipeline.kubeflow.svc exist inside of the cluster only: from outside, "
            "kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80, and "
            "--host http://localhost:8080.",
            kind="dns",
        )
    if _any(causes, ssl.SSLError) or "SSLError" in names or "SSLError" in str(error):
        return _explain_tls(causes, host)
    if "ReadTimeoutError" in names:
        return ClusterError(
            f"{host}: did not answer in time ({doing}). A server that is overloaded, "
            "or a proxy that leads nowhere; --timeout gives it longer.",
            kind="timeout",
            undecided=True,
            passing=True,
        )
    if "ConnectTimeoutError" in names:
        return ClusterError(
            f"{host}: cannot be reached: no answer to the connection. A firewall, a "
            "missing VPN, or a cluster that is switched off.",
            kind="unreachable",
            passing=True,
        )
    if _any(causes, ConnectionRefusedError):
        return ClusterError(
            f"{host}: nothing listens there. Is KFP's API up, and the port-forward "
            "still running? kubectl port-forward -n kubeflow svc/ml-pipeline-ui "
            "8080:80",
            kind="refused",
            passing=True,
        )
    if names & {"ProtocolError", "RemoteDisconnected", "ConnectionResetError"}:
        return ClusterError(
            f"{host}: closed the connection without an answer ({doing}).",
            kind="dropped",
            undecided=True,
            passing=True,
        )
    if isinstance(error, OSError) or "MaxRetryError" in names:
        text = str(causes[-1])
        return ClusterError(f"{host}: cannot be reached: {text}", kind="unreachable")
    return ClusterError(
        f"{host}: answers, but not as KFP's API does ({type(error).__name__}: "
        f"{shortened(str(error))}). Does the address lead to a login page, or need a "
        "path such as …/pipeline?",
        kind="not-kfp",
    )


def shortened(text: str) -> str:
    """One line of at most 400 characters. The cause is at the end, which stays."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"… {line[-_LONGEST:]}"


def _explain_answer(error: Any, status: int, *, host: str, doing: str) -> ClusterError:
    said = _said(error)
    headers = {k.lower(): v for k, v in dict(error.headers or {}).items()}
    if 300 <= status < 400:
        place = headers.get("location", "another address")
        return ClusterError(
            f"{host}: leads on to {place.partition('?')[0]}. If that is a login page, "
            "KFP wants credentials: a cookie (KFP_COOKIES), or a token (KFP_TOKEN, "
            "--token-file); else give that address as --host.",
            kind="login",
        )
    if status == 401:
        return ClusterError(
            f"{host}: unknown sender (401){said}. Expected a token (KFP_TOKEN, "
            "--token-file), the cookies of a session (KFP_COOKIES), or, in a pod, a "
            "projected token with the audience pipelines.kubeflow.org. A token that "
            "was given has expired, or is for another audience.",
            kind="unauthenticated",
        )
    if status == 403:
        return ClusterError(
            f"{host}: not allowed to {doing} (403){said}. {_ROLES}", kind="forbidden"
        )
    if status == 404:
        if not _from_kfp(error):
            return ClusterError(
                f"{host}: no KFP API at this address (404). Expected one whose "
                "/apis/v2beta1/healthz answers: often the address of the user "
                "interface, with its path (https://HOST/pipeline).",
                kind="not-kfp",
            )
        return ClusterError(f"{host}: cannot {doing}: not found{said}", kind="missing")
    if status == 409:
        return ClusterError(
            f"{host}: cannot {doing}: there is one already{said}", kind="conflict"
        )
    if status == 429:
        return ClusterError(
            f"{host}: too many requests (429){said}. Try later.",
            kind="busy",
            passing=True,
        )
    if status >= 500:
        return ClusterError(
            f"{host}: failed to {doing} ({status}){said}. The server's own log says "
            "more: kubectl logs -n kubeflow deploy/ml-pipeline",
            kind="broken",
            undecided=True,
            passing=status != 501,
            answered=status == 500 and _from_kfp(error),
        )
    return ClusterError(f"{host}: refuses to {doing} ({status}){said}", kind="invalid")


def _explain_tls(causes: list[BaseException], host: str) -> ClusterError:
    text = next(
        (str(c) for c in causes if isinstance(c, ssl.SSLError)), str(causes[-1])
    )
    if "WRONG_VERSION_NUMBER" in text or "HTTP_REQUEST" in text:
        remedy = "It speaks plain HTTP: begin the address with http://."
    else:
        remedy = "Name the file of the authority that signed it: --ca-cert FILE."
    return ClusterError(
        f"{host}: no secure connection: {shortened(text)}. {remedy}", kind="tls"
    )


def _said(error: Any) -> str:
    """KFP's own message, with a colon before it; empty where there is none."""
    body = error.body
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    try:
        content = json.loads(body or "")
        text = content.get("message") or content.get("error_message") or ""
        text = text or content.get("error") or ""
    except (ValueError, AttributeError):
        text = "" if "<html" in (body or "").lower() else body or ""
    return f": {shortened(str(text))}" if text else ""


def _from_kfp(error: Any) -> bool:
    """Whether a 404 is about a thing; the API's own ones are JSON with a message."""
    said = _said(error)
    return bool(said) and said not in (": Not Found", ": 404 page not found")


def _any(causes: list[BaseException], kind: type[BaseException]) -> bool:
    return any(isinstance(cause, kind) for cause in causes)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and the errors that it comes from."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [getattr(one, "reason", None), one.__cause__, one.__context__]
        waiting += [arg for arg in one.args if isinstance(arg, BaseException)]
