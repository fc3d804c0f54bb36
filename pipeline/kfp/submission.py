"""Submission: one run for one triple, however often and by whomever."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline.dag.compile import require_digest
from pipeline.dag.inputs import refuse_placeholders
from pipeline.kfp.connection import Cluster, model
from pipeline.kfp.ghosts import Trace, create_once
from pipeline.kfp.identity import RunName, Triple
from pipeline.kfp.limits import fitted, sendable
from pipeline.kfp.order import Order
from pipeline.kfp.runs import (
    Run,
    alive_runs,
    get_run,
    run_of,
    terminate,
    to_run,
)
from pipeline.kfp.uploads import ensure_experiment, ensure_version


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """The run of an order."""

    run: Run
    url: str
    new: bool  # whether this call started it


def submit(
    cluster: Cluster,
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
    """Start a run, unless one of the same triple has succeeded or is under way.

    Whoever calls this at the same time for the same triple gets the same run: after
    its creation each looks again; the oldest run goes on, the others are stopped.

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
    require_digest(order.document.image, allow_tag=allow_tag)
    refuse_placeholders(pipeline_root=pipeline_root)
    order.document.check_parameters(order.parameters)
    name = RunName(
        commit=order.commit,
        data_md5=order.data.data_md5,
        key=order.triple.key,
        again=(again or secrets.token_hex(4)) if force else "",
    )
    if known := _known(cluster, order.triple, name):
        if known.finished:
            return _result(cluster, known, new=False)
        # A slow creation may have made a second run meanwhile.
        return replace(_settle(cluster, known, order.triple, known.tag), new=False)
    experiment_id = ensure_experiment(cluster, experiment or order.document.name)
    version = ensure_version(
        cluster, order.document, told=f"image: {order.document.image}"
    )
    say(f"version      {version.name} of {order.document.name}")
    wanted = sendable(
        "V2beta1Run",
        display_name=str(name),
        description=fitted(order.facts),
        experiment_id=experiment_id,
        pipeline_version_reference=version.reference,
        runtime_config=_runtime(order.parameters, pipeline_root),
        service_account=service_account or None,
    )
    made = create_once(
        cluster,
        lambda: to_run(
            cluster.call(
                cluster.client.runs.run_service_create_run,
                run=wanted,
                doing="create the run",
            )
        ),
        lambda: next(iter(alive_runs(cluster, order.triple.key, name.tag)), None),
        Trace.of_run(str(name)),
    )
    time.sleep(cluster.endpoint.settle_s)
    return _settle(cluster, made, order.triple, name.tag)


def _known(cluster: Cluster, triple: Triple, name: RunName) -> Run | None:
    """The run that makes another one needless; a forced one only of the same tag."""
    if name.again:
        return next(iter(alive_runs(cluster, triple.key, name.tag)), None)
    return run_of(cluster, triple)


def _settle(cluster: Cluster, made: Run, triple: Triple, tag: str) -> Submitted:
    """Of the runs with the same tag the oldest goes on."""
    alive = alive_runs(cluster, triple.key, tag)
    if not alive:  # it has ended already, or was stopped
        return _result(cluster, get_run(cluster, made.run_id), new=True)
    first, *others = alive
    for other in others:
        if not other.finished:
            terminate(cluster, other.run_id)
    return _result(cluster, first, new=first.run_id == made.run_id)


def _runtime(parameters: Mapping[str, Any], pipeline_root: str) -> Any:
    return model(
        "V2beta1RuntimeConfig",
        parameters=dict(parameters),
        pipeline_root=pipeline_root or None,
    )


def _result(cluster: Cluster, run: Run, *, new: bool) -> Submitted:
    return Submitted(run=run, url=cluster.url("runs", "details", run.run_id), new=new)
