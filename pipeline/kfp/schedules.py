"""Recurring runs, brought in line with a file.

A recurring run keeps the pipeline and the parameters that it was made with, the hash of
the data among them. So a changed one is made anew, and then the old one is deleted.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import kfp_server_api

from pipeline.kfp.connection import KfpServer
from pipeline.kfp.failures import ClusterError
from pipeline.kfp.ghosts import Trace, create_once
from pipeline.kfp.kubernetes_api import SCHEDULES
from pipeline.kfp.objects import ensure_experiment, ensure_version, fitted, sendable
from pipeline.kfp.order import Order
from pipeline.kfp.schedule_file import Schedule


class Act(StrEnum):
    """What is done to a recurring run."""

    create = "create"
    renew = "renew"
    enable = "enable"
    disable = "disable"
    delete = "delete"
    keep = "keep"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A recurring run as it is to be."""

    group: str
    name: str
    schedule: Schedule
    order: Order
    experiment: str
    service_account: str = ""
    pipeline_root: str = ""

    @property
    def content(self) -> str:
        """A hash of all that it cannot change later."""
        parts = [
            self.schedule.trigger,
            self.schedule.catchup,
            self.schedule.max_concurrency,
            self.order.parameters,
            self.order.document.digest,
            self.experiment,
            self.service_account,
            self.pipeline_root,
        ]
        text = json.dumps(parts, sort_keys=True, default=datetime.isoformat)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Existing:
    """A recurring run as it is."""

    recurring_run_id: str
    group: str
    name: str
    content: str
    enabled: bool
    created: datetime
    parameters: Mapping[str, Any]
    trigger: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One step of a plan."""

    act: Act
    name: str
    why: str = ""
    wanted: Wanted | None = None
    old: tuple[Existing, ...] = ()  # deleted, enabled or disabled


def existing_schedules(server: KfpServer, group: str) -> list[Existing]:
    """The group's recurring runs, the oldest first."""
    found = server.pages(
        server.recurring_runs.recurring_run_service_list_recurring_runs,
        "recurring_runs",
        part=f"{group}-",
        among=server.scope,
        doing="list recurring runs",
    )
    mine = {one.recurring_run_id: one for one in map(_to_existing, found) if one}
    return sorted(
        (one for one in mine.values() if one.group == group),
        key=lambda one: (one.created, one.recurring_run_id),
    )


def plan(wanted: Iterable[Wanted], existing: Iterable[Existing]) -> list[Change]:
    """What makes the one into the other; equal ones stay as they are."""
    left = list(existing)
    changes: list[Change] = []
    for one in wanted:
        mine = [old for old in left if old.name == one.name]
        left = [old for old in left if old.name != one.name]
        changes += _changes_of(one, mine)
    for old in left:
        gone = Change(act=Act.delete, name=old.name, why="not in the file", old=(old,))
        changes.append(gone)
    return changes


def apply(server: KfpServer, changes: Iterable[Change]) -> None:
    """Carry a plan out. Deleting comes after making, so that no date is missed."""
    for change in changes:
        if change.act in (Act.create, Act.renew) and change.wanted:
            _create(server, change.wanted)
        for old in change.old:
            _act_on(server, change.act, old)


def _changes_of(wanted: Wanted, mine: list[Existing]) -> Iterator[Change]:
    name, enabled = wanted.name, wanted.schedule.enabled
    same = [old for old in mine if old.content == wanted.content]
    if not same:
        act = Act.renew if mine else Act.create
        why = "; ".join(_differences(wanted, mine[-1])) if mine else ""
        yield Change(act=act, name=name, why=why, wanted=wanted, old=tuple(mine))
        return
    kept = same[0]
    if kept.enabled == enabled:
        yield Change(act=Act.keep, name=name, wanted=wanted)
    else:
        act = Act.enable if enabled else Act.disable
        yield Change(act=act, name=name, wanted=wanted, old=(kept,))
    # Left over from a change that was interrupted, or made twice at once.
    if others := tuple(old for old in mine if old is not kept):
        yield Change(act=Act.delete, name=name, why="superseded", old=others)


def _differences(wanted: Wanted, old: Existing) -> Iterator[str]:
    now, was = wanted.order.parameters, old.parameters
    shown = [
        f"{name}: {_short(was.get(name))} → {_short(now.get(name))}"
        for name in sorted(now.keys() | was.keys())
        if now.get(name) != was.get(name)
    ]
    yield from shown[:5]
    if len(shown) > 5:
        yield f"{len(shown) - 5} more settings"
    if _plain(wanted.schedule.trigger) != _plain(old.trigger):
        yield f"runs {wanted.schedule.when}"
    elif not shown:
        yield "another pipeline, experiment or option"


def _create(server: KfpServer, wanted: Wanted) -> None:
    if _equal(server, wanted):
        return  # somebody was faster than this plan
    order, schedule = wanted.order, wanted.schedule
    told = {  # by which it is known; its parameters say data and configuration
        "schedule": f"{wanted.group}/{wanted.name}",
        "content": wanted.content,
        "commit": order.facts["commit"],
        "image": order.document.image,
    }
    version = ensure_version(server, order.document)
    experiment = wanted.experiment or order.document.name
    body = sendable(
        kfp_server_api.V2beta1RecurringRun(
            display_name=f"{wanted.group}-{wanted.name}",
            description=fitted(told),
            experiment_id=ensure_experiment(server, experiment),
            pipeline_version_reference=version,
            runtime_config=kfp_server_api.V2beta1RuntimeConfig(
                parameters=order.parameters, pipeline_root=wanted.pipeline_root or None
            ),
            trigger=kfp_server_api.V2beta1Trigger(**schedule.trigger),
            mode="ENABLE" if schedule.enabled else "DISABLE",
            max_concurrency=str(schedule.max_concurrency),
            no_catchup=not schedule.catchup,
            service_account=wanted.service_account or None,
        )
    )
    create = server.recurring_runs.recurring_run_service_create_recurring_run
    spec = {
        "experimentId": body.experiment_id,
        "pipelineVersionId": version.pipeline_version_id,
    }
    create_once(
        server,
        lambda: [server.call(create, recurring_run=body, doing="create the schedule")],
        lambda: _equal(server, wanted),
        Trace(resource=SCHEDULES, name=body.display_name, spec=spec),
    )
    for doubled in _equal(server, wanted)[1:]:  # somebody did the same just now
        _act_on(server, Act.delete, doubled)


def _equal(server: KfpServer, wanted: Wanted) -> list[Existing]:
    return [
        old
        for old in existing_schedules(server, wanted.group)
        if old.name == wanted.name and old.content == wanted.content
    ]


def _act_on(server: KfpServer, act: Act, old: Existing) -> None:
    runs = server.recurring_runs
    calls = {
        Act.enable: runs.recurring_run_service_enable_recurring_run,
        Act.disable: runs.recurring_run_service_disable_recurring_run,
        Act.delete: runs.recurring_run_service_delete_recurring_run,
        Act.renew: runs.recurring_run_service_delete_recurring_run,
    }
    try:
        server.call(calls[act], old.recurring_run_id, doing=f"{act} {old.name}")
    except ClusterError as error:
        if error.kind != "missing":  # somebody was faster, or it had worked
            raise


def _to_existing(found: Any) -> Existing | None:
    lines = (found.description or "").splitlines()
    said = dict(line.split(": ", 1) for line in lines if ": " in line)
    group, slash, name = said.get("schedule", "").partition("/")
    if not slash or found.display_name != f"{group}-{name}":
        return None
    config = found.runtime_config
    return Existing(
        recurring_run_id=found.recurring_run_id,
        group=group,
        name=name,
        content=said.get("content", ""),
        enabled=found.status == "ENABLED" or found.mode == "ENABLE",
        created=found.created_at,
        parameters=dict((config.parameters if config else None) or {}),
        trigger=found.trigger.to_dict() if found.trigger else {},
    )


def _plain(trigger: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not said; times as they compare."""
    return {
        kind: {name: value for name, value in inner.items() if value}
        for kind, inner in trigger.items()
        if inner
    }


def _short(value: Any) -> str:
    text = "unset" if value is None else str(value) or '""'
    return text if len(text) <= 20 else f"{text[:19]}…"
