"""Files of events."""

from pathlib import Path

from seglib.runtime.events import EventReader


def test_an_event_is_read_once_when_its_line_is_complete(
    tmp_path: Path,
) -> None:
    path = tmp_path / "events.jsonl"
    events = EventReader(path)
    assert list(events.read()) == [], "it is not there yet"
    path.write_text('{"kind": "started"}\n{"kind": "epo')
    assert list(events.read()) == [{"kind": "started"}]
    assert list(events.read()) == []
    with path.open("a") as file:
        file.write('ch"}\n{"kind": "cut o{"kind": "lost"}\n{"kind": "close"}\n')
    assert list(events.read()) == [{"kind": "epoch"}, {"kind": "close"}]
