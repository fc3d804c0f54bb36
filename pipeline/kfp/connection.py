"""A connection to KFP's API: what every command on a cluster works with.

kfp.Client itself is not used: it tries five times with 5 s in between where nothing
listens, writes into the user's home, follows redirections to login pages, and repeats
every request, creations too.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version as version_of
from typing import Any

import kfp_server_api

from pipeline.http import Connection
from pipeline.kfp.endpoint import Endpoint
from pipeline.kfp.failures import ClusterError, explain, shortened
from seglib.plain_text import without_login

_PAGE = 100
_LOCAL_UI = "http://localhost:8080"


@dataclass(kw_only=True)
class KfpServer:
    """The services of kfp_server_api on one server, over our own HTTP connection."""

    endpoint: Endpoint
    api: kfp_server_api.ApiClient
    version: str = ""  # of the server; empty where it does not say
    multi_user: bool = False
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.runs = kfp_server_api.RunServiceApi(self.api)
        self.recurring_runs = kfp_server_api.RecurringRunServiceApi(self.api)
        self.experiments = kfp_server_api.ExperimentServiceApi(self.api)
        self.pipelines = kfp_server_api.PipelineServiceApi(self.api)
        self.pipeline_uploads = kfp_server_api.PipelineUploadServiceApi(self.api)

    @property
    def address(self) -> str:
        return str(self.api.configuration.host)

    @property
    def namespace(self) -> str:
        """Where the runs' pods are."""
        return self.endpoint.namespace

    @property
    def scope(self) -> dict[str, str]:
        """The namespace of a list: single-user servers refuse any, others need one."""
        return {"namespace": self.namespace} if self.multi_user else {}

    def call(
        self, operation: Callable[..., Any], *given: Any, doing: str, **options: Any
    ) -> Any:
        """Make a call; one that only reads or deletes is repeated where that helps.

        Args:
            operation: of a service, such as `runs.run_service_get_run`.
            doing: the purpose, for messages, such as "create the run".
        """
        try:
            return operation(*given, **options)
        except Exception as error:
            raise explain(error, host=self.address, doing=doing) from error

    def read(self, path: str, *, doing: str) -> str:
        """The text behind a path that the generated API does not have, or not whole."""
        self.call(
            self.api.call_api,
            path,
            "GET",
            header_params={"Accept": "text/plain"},
            auth_settings=["Bearer"],
            response_type="",
            doing=doing,
        )
        return str(self.api.last_response.data)  # decoded by then

    def pages(
        self,
        operation: Callable[..., Any],
        key: str,
        *given: Any,
        named: str = "",
        part: str = "",
        among: Mapping[str, str],
        doing: str,
    ) -> Iterator[Any]:
        """All items of a list, page by page, the newest first.

        Args:
            operation: of a service, such as `runs.run_service_list_runs`.
            key: of the items in its answer.
            named: their display name (KFP compares without case).
            part: of their display name.
            among: the namespace or experiment that the items belong to; empty: any.
            doing: the purpose, for messages.
        """
        options: dict[str, Any] = {"page_size": _PAGE, "sort_by": "created_at desc"}
        if text := named or part:
            kind = "EQUALS" if named else "IS_SUBSTRING"
            wanted = {"operation": kind, "key": "display_name", "string_value": text}
            options["filter"] = json.dumps({"predicates": [wanted]})
        while True:
            page = self.call(operation, *given, doing=doing, **among, **options)
            yield from getattr(page, key) or ()
            if not page.next_page_token:
                return
            options["page_token"] = page.next_page_token

    def url(self, *path: str) -> str:
        """A page of KFP's user interface."""
        host = self.endpoint.ui_host or self.endpoint.host
        if "/proxy" in host or ".svc" in host:
            host = _LOCAL_UI  # see `hint`
        if not host.startswith("http"):
            host = f"https://{host}"
        return f"{without_login(host).rstrip('/')}/#/{'/'.join(path)}"

    @property
    def hint(self) -> str:
        """How the pages are reached where the API's address does not show them."""
        known = self.endpoint.ui_host or "localhost:8080" in self.endpoint.host
        if known or not self.url().startswith(_LOCAL_UI):
            return ""
        return f"kubectl port-forward -n {self.namespace} svc/ml-pipeline-ui 8080:80"


class _Api(kfp_server_api.ApiClient):
    """Leaves out a run's tasks, whose hundreds of models take 20 ms, and nobody reads.

    Steps are read from Argo's workflow.
    """

    def deserialize(self, response: Any, response_type: Any) -> Any:
        if response_type in ("V2beta1Run", "V2beta1ListRunsResponse"):
            content = json.loads(response.data)
            for run in (content, *content.get("runs", ())):
                run.pop("run_details", None)
            response.data = json.dumps(content)
        return super().deserialize(response, response_type)


def connect(endpoint: Endpoint) -> KfpServer:
    """Reach KFP's API, and see that it is one."""
    cookie = endpoint.cookies or None
    api = _Api(endpoint.configuration(), cookie=cookie)
    api.rest_client.pool_manager = Connection(
        timeout_s=endpoint.timeout_s,
        patience=endpoint.patience,
        pool=api.rest_client.pool_manager,
    )
    server = KfpServer(endpoint=endpoint, api=api)
    # All that the server says of itself: the generated API leaves some out.
    text = server.read("/apis/v2beta1/healthz", doing="ask for its health")
    health = server.call(json.loads, text, doing="ask for its health")
    multi_user = health.get("multi_user", False) if isinstance(health, dict) else None
    if not isinstance(multi_user, bool):
        said = shortened(str(health))
        raise ClusterError(
            f"{server.address}: answers, but not as KFP's API: {said}", kind="not-kfp"
        )
    server.version = str(health.get("tag_name", ""))
    server.multi_user = multi_user
    server.warnings = _compare_versions(server.version, server.address)
    server.endpoint = replace(
        endpoint,
        host=endpoint.host or server.address,
        namespace=endpoint.own_namespace() if multi_user else endpoint.namespace,
    )
    return server


def _compare_versions(server: str, host: str) -> tuple[str, ...]:
    """What to say of a server that is older than this SDK."""
    sdk = version_of("kfp")
    found = re.match(r"v?(\d+)\.(\d+)", server)
    own = re.match(r"(\d+)\.(\d+)", sdk)
    if not found or not own:
        return ()
    theirs, ours = (tuple(map(int, match.groups())) for match in (found, own))
    if theirs[0] != ours[0]:
        raise ClusterError(
            f"{host}: is KFP {server}, and this is the SDK {sdk}, which speaks with "
            f"servers of {ours[0]}.x. Use the same major version.",
            kind="version",
        )
    if theirs < ours:
        older = f"the server is KFP {server}, older than the SDK {sdk}"
        return (f"{older}: it may refuse what it does not know",)
    return ()
