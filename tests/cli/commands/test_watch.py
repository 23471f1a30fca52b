"""How often `watch` looks: seldom enough to cost little, often enough to see what happens."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from wrangler_py.cli.commands.instances import watch


@pytest.mark.parametrize(
    ("answer_s", "pause_s"),
    [(0.0, watch.INTERVAL), (0.1, 0.1 * watch.SHARE), (20.0, watch.LONGEST)],
    ids=["a quick answer", "a slow one", "one that waited for a new worker"],
)
def test_a_slow_answer_stretches_the_pause_but_not_for_long(monkeypatch, answer_s, pause_s):
    now, paused, left = [0.0], [], ["running", "running", "complete"]

    def instance(name, instance_id):
        now[0] += answer_s
        return {"status": left.pop(0)}

    client = SimpleNamespace(
        instance=instance, is_stored=False, follow=lambda *_: nullcontext(SimpleNamespace(wait=lambda: None))
    )
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=paused.append))
    seen = [detail["status"] for detail in watch.states(client, "w", "i")]
    assert seen == ["running", "running", "complete"]
    assert paused == pytest.approx([pause_s, pause_s])
