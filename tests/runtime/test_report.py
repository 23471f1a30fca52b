"""The first words of a session: told together, in order, and never kept back by one that loads for long."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest

from tests.support.world import run_virtual
from wrangler_py.runtime.channel import BindingLine, Problem, Ready
from wrangler_py.runtime.options import LogLevel
from wrangler_py.runtime.report import TOGETHER, Opening, Reason, Report
from wrangler_py.runtime.screen import Screen

FILE = Path("/project/src/entry.py")


class Told:
    """A screen, and reports of Workers of these names; one alone has none."""

    def __init__(self, *names: str) -> None:
        self.text = io.StringIO()
        self.keys_asked = 0
        screen = Screen(LogLevel.LOG, self.text)
        opening = Opening(screen, Path("/state"), self._open_keyboard)
        self.reports = [
            Report(screen.of(name) if name else screen, opening, f"http://127.0.0.1:{at}", Path("/project"))
            for at, name in enumerate(names)
        ]

    def _open_keyboard(self) -> bool:
        self.keys_asked += 1
        return True

    def serves(self, at, *, broken=None, warnings="", bindings=(), files=()):
        ready = Ready("name", "version", list(bindings), warnings, Problem(broken) if broken else None)
        self.reports[at].serves(ready, Reason(frozenset(files)))

    @property
    def lines(self):
        return self.text.getvalue().splitlines()


def told(act, *names):
    """Run ``act`` under virtual time; return what was told."""

    async def run():
        found = Told(*names)
        await act(found)
        return found

    return run_virtual(run())


KEYS = "[b] open a browser  [c] clear the console  [x] exit"
STATE = "⎔ State in /state, synchronous=NORMAL: survives kill -9, not power loss"


def test_one_worker_has_no_name_and_is_told_at_once():
    async def act(one):
        one.serves(
            0,
            broken="no such class",
            warnings="▲ unknown key",
            bindings=[BindingLine("KV", "KV Namespace", "id")],
        )

    assert told(act, "").lines[0] == "▲ unknown key"
    assert told(act, "").lines[2:] == [
        "Your Worker has access to the following bindings:",
        "  Binding       Resource",
        "  env.KV (id)   KV Namespace",
        STATE,
        "✘ [ERROR] no such class",
        "  Requests are answered with this error until it is mended and saved.",
        "⎔ Ready on http://127.0.0.1:0",
        KEYS,
    ]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_several_are_told_together_in_the_order_they_were_named(order):
    async def act(pair):
        for at in order:
            assert pair.lines == []
            pair.serves(at)

    assert told(act, "shop", "mailer").lines[1:] == [
        "Worker shop has no bindings.",
        "Worker mailer has no bindings.",
        STATE,
        "⎔ Ready on http://127.0.0.1:0 (shop)",
        "⎔ Ready on http://127.0.0.1:1 (mailer)",
        KEYS,
    ]


def test_one_that_loads_long_is_waited_for_a_moment_and_told_when_it_comes():
    async def act(pair):
        pair.serves(1)
        await asyncio.sleep(TOGETHER + 0.1)
        assert pair.lines[1:] == [
            "Worker mailer has no bindings.",
            STATE,
            "⎔ Ready on http://127.0.0.1:1 (mailer)",
            KEYS,
        ]
        pair.serves(0)

    found = told(act, "shop", "mailer")
    assert found.lines[5:] == ["Worker shop has no bindings.", "⎔ Ready on http://127.0.0.1:0 (shop)"]
    assert found.keys_asked == 1


@pytest.mark.parametrize("first", ["fails", "serves"])
def test_one_that_cannot_serve_is_not_waited_for(first):
    async def act(pair):
        steps = [pair.reports[0].fails, lambda: pair.serves(1)]
        for step in steps if first == "fails" else reversed(steps):
            step()
        assert pair.lines[1] == "Worker mailer has no bindings."

    assert told(act, "shop", "mailer").keys_asked == 1


def test_nothing_is_told_of_nothing():
    async def act(pair):
        for report in pair.reports:
            report.fails()
        await asyncio.sleep(TOGETHER + 0.1)

    assert told(act, "shop", "mailer").lines == []


def test_later_lines_bear_the_name_of_the_worker_and_tell_what_changed():
    async def act(pair):
        for at in (0, 1):
            pair.serves(at)
        pair.serves(1, files=[FILE])
        pair.serves(1, broken="no such class", warnings="▲ one\n▲ two", files=[FILE])

    lines = told(act, "shop", "mailer").lines[7:]
    assert lines[0].startswith("[mailer] ⎔ Reloaded (src/entry.py changed) in ")
    assert lines[1:] == [
        "[mailer] ▲ one",
        "[mailer] ▲ two",
        "[mailer] ✘ [ERROR] no such class",
        "[mailer]   Requests are answered with this error until it is mended and saved.",
    ]
