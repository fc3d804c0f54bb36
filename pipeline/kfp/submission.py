"""Submission: one run for one image, dataset and configuration, whoever submits it."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import kfp_server_api

from pipeline.dag.compile import require_digest
from pipeline.dag.inputs import refuse_placeholders
from pipeline.kfp.connection import KfpServer
from pipeline.kfp.ghosts import Trace, create_once
from pipeline.kfp.kubernetes_api import WORKFLOWS
from pipeline.kfp.objects import ensure_experiment, ensure_version, fitted, sendable
from pipeline.kfp.order import Order, run_name
from pipeline.kfp.runs import Run, alive_runs, get_run, run_of, terminate, to_run

# KFP's times of creation are whole seconds: only when that of a new run is over does
# everybody see the same runs of it, and choose the same one.
_SETTLE_S = 1.2


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """The run of an order."""

    run: Run
    url: str
    new: bool  # whether this call started it


def submit(
    server: KfpServer,
    order: Order,
    *,
    experiment: str = "",
    force: bool = False,
    again: str = "",
    allow_tag: bool = False,
    service_account: str = "",
    pipeline_root: str = "",
    say: Callable[[str], None] = lambda _: None,
) -> Submitted:
    """Start a run, unless one of the same key has succeeded or is under way.

    Whoever calls this at the same time for the same key gets the same run: after its
    creation each looks again; the oldest run goes on, the others are stopped.

    Args:
        experiment: that the run belongs to. Default: the pipeline's name.
        force: start one all the same.
        again: of a forced run: what tells it apart, 8 hexadecimal digits. The same ones
            give the same run. Default: it is another one each time.
        allow_tag: take an image that is not pinned by digest.
        say: is told what happens, a line at a time.

    Raises:
        UsageError: the image is not pinned, or a placeholder.
        SegError: the document takes other parameters.
        ClusterError: the cluster refuses.
    """
    document = order.document
    require_digest(document.image, allow_tag=allow_tag)
    refuse_placeholders(pipeline_root=pipeline_root)
    document.check_parameters(order.parameters)
    tag = f"{order.key}-{again or secrets.token_hex(4)}" if force else order.key
    name = run_name(order.commit, order.data.data_md5, tag)

    def find() -> Run | None:
        return next(iter(alive_runs(server, tag)), None)

    if known := find() if force else run_of(server, order.key):
        # A slow creation may have made a second run meanwhile.
        return _result(server, known if known.finished else _settle(server, known))
    experiment_id = ensure_experiment(server, experiment or document.name)
    version = ensure_version(server, document)
    say(f"version      {document.version} of {document.name}")
    wanted = sendable(
        kfp_server_api.V2beta1Run(
            display_name=name,
            description=fitted(order.facts),
            experiment_id=experiment_id,
            pipeline_version_reference=version,
            runtime_config=kfp_server_api.V2beta1RuntimeConfig(
                parameters=order.parameters, pipeline_root=pipeline_root or None
            ),
            service_account=service_account or None,
        )
    )
    create = server.runs.run_service_create_run
    made = create_once(
        server,
        lambda: to_run(server.call(create, run=wanted, doing="create the run")),
        find,
        Trace(resource=WORKFLOWS, name=name),
    )
    time.sleep(_SETTLE_S)
    first = _settle(server, made)
    return _result(server, first, new=first.run_id == made.run_id)


def _settle(server: KfpServer, made: Run) -> Run:
    """Of the runs with the same tag the oldest goes on."""
    alive = alive_runs(server, made.tag)
    if not alive:  # it has ended already, or was stopped
        return get_run(server, made.run_id)
    first, *others = alive
    for other in others:
        if not other.finished:
            terminate(server, other.run_id)
    return first


def _result(server: KfpServer, run: Run, *, new: bool = False) -> Submitted:
    return Submitted(run=run, url=server.url("runs", "details", run.run_id), new=new)
