"""kfp.Client without its surprises. Importing it loads KFP's whole client: 2 s."""

import json
import warnings
from collections.abc import Mapping
from typing import Any

import urllib3
from kfp.client import Client
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

_HEALTH_S = 30.0


class QuietClient(Client):
    """As kfp.Client reaches and authenticates, and not more.

    kfp.Client tries five times with 5 s in between where nothing listens, writes into
    the user's home, follows redirections to login pages, and sends every request up to
    four times by itself.
    """

    def __init__(self, *, timeout_s: float, token_file: str = "", **options: Any):
        self._timeout_s = timeout_s
        if token_file:
            credentials = ServiceAccountTokenVolumeCredentials(token_file)
            options["credentials"] = credentials
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            super().__init__(**options)

    @property
    def address(self) -> str:
        """Where the API is."""
        return str(self._existing_config.host)

    @property
    def user_namespace(self) -> str:
        """The namespace of multi-user mode; empty where none is known."""
        return str(self.get_user_namespace() or "")

    def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
        """Ask once."""
        return self._healthz_api.healthz_service_get_healthz(
            _request_timeout=(self._timeout_s, min(self._timeout_s, _HEALTH_S))
        )

    def set_user_namespace(self, namespace: str) -> None:
        """Remember it in here; kfp.Client writes a file in the user's home."""
        self._context_setting["namespace"] = namespace.strip()

    def health(self) -> Mapping[str, Any]:
        """All that the server says of itself, more than its specification has."""
        self.get_kfp_healthz()
        return dict(json.loads(self._healthz_api.api_client.last_response.data))

    def read(self, path: str, *, _request_timeout: tuple[float, float]) -> str:
        """The text behind a path that the specification does not have."""
        client = self._healthz_api.api_client
        client.call_api(
            path,
            "GET",
            header_params={"Accept": "text/plain"},
            auth_settings=["Bearer"],
            response_type="",
            _request_timeout=_request_timeout,
        )
        return str(client.last_response.data)  # decoded by then

    def _load_config(self, *options: Any) -> Any:
        config = super()._load_config(*options)
        # Behind the Kubernetes API's proxy the paths would begin with two slashes.
        host = config.host = config.host.rstrip("/")
        config.retries = urllib3.Retry(total=0, redirect=False)
        if refresh := config.refresh_api_key_hook:
            # kubeconfig's hook puts the bare server back, without the proxy's path,
            # and itself: so kfp.Client's second request goes astray.
            def refresh_only_the_key(given: Any) -> None:
                refresh(given)
                given.host = host
                given.refresh_api_key_hook = refresh_only_the_key

            config.refresh_api_key_hook = refresh_only_the_key
        return config
