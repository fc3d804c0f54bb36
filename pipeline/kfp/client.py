"""The generated API of Kubeflow Pipelines, kfp_server_api, over our own connection.

kfp.Client itself is not used: it tries five times with 5 s in between where nothing
listens, writes into the user's home, follows redirections to login pages, and repeats
every request, creations too.
"""

import kfp_server_api

from pipeline.http import Connection
from pipeline.kfp.endpoint import Endpoint, configuration_of


class Client:
    """The services of one server.

    Attributes:
        runs, recurring_runs, experiments, pipelines, pipeline_uploads: kfp_server_api's
            services.

    Raises:
        ClusterError: nothing names a server, or a file of credentials is not there.
    """

    def __init__(self, endpoint: Endpoint):
        configuration = configuration_of(endpoint)
        api = kfp_server_api.ApiClient(configuration, cookie=endpoint.cookies or None)
        api.rest_client.pool_manager = Connection(
            timeout_s=endpoint.timeout_s,
            patience=endpoint.patience,
            pool=api.rest_client.pool_manager,
        )
        self._api = api
        self.address = str(configuration.host)
        self.runs = kfp_server_api.RunServiceApi(api)
        self.recurring_runs = kfp_server_api.RecurringRunServiceApi(api)
        self.experiments = kfp_server_api.ExperimentServiceApi(api)
        self.pipelines = kfp_server_api.PipelineServiceApi(api)
        self.pipeline_uploads = kfp_server_api.PipelineUploadServiceApi(api)

    def read(self, path: str) -> str:
        """The text behind a path that the generated API does not have, or not whole."""
        self._api.call_api(
            path,
            "GET",
            header_params={"Accept": "text/plain"},
            auth_settings=["Bearer"],
            response_type="",
        )
        return str(self._api.last_response.data)  # decoded by then
