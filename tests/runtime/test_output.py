"""User output says where it comes from; lines stay whole."""

from __future__ import annotations

import asyncio
import contextvars
import io
import json
import logging
import sys
import threading

import msgspec
import pytest

from wrangler_py.engine.instance.place import StepPlace, current_instance, current_step
from wrangler_py.runtime import output
from wrangler_py.runtime.jsonlog import JsonConsole, JsonStream
from wrangler_py.runtime.options import LogLevel
from wrangler_py.runtime.output import Console, UserStream, shown_id, shown_step

INSTANCE = StepPlace("my-workflow", "3f2a9c11-0000-4000-8000-000000000000")
STEP = msgspec.structs.replace(INSTANCE, step="charge-1", number=1)


def on_screen(test):
    """Run a test with both streams on one screen, and `print` going through the console.

    No fixture: pytest puts its own streams in place between a fixture and its test.
    """

    def run(monkeypatch):
        text = io.StringIO()
        text.console = Console(text, text)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", sys.stdout)
            patch.setattr(sys, "stderr", sys.stderr)
            text.console.install()
            test(text, monkeypatch) if "monkeypatch" in test.__code__.co_varnames else test(text)

    run.__name__ = test.__name__
    return run


def inside(place, function, *arguments):
    def run():
        (current_step if place.step else current_instance).set(place)
        return function(*arguments)

    return contextvars.copy_context().run(run)


@on_screen
def test_lines_of_an_instance_and_of_a_step_are_marked(screen):
    print("free")
    inside(INSTANCE, print, "in run")
    inside(STEP, print, "one\ntwo")
    inside(msgspec.structs.replace(STEP, step="charge-2"), print, "again")
    assert screen.getvalue().splitlines() == [
        "free",
        "[my-workflow 3f2a…] in run",
        "[my-workflow 3f2a… charge] one",
        "[my-workflow 3f2a… charge] two",
        "[my-workflow 3f2a… charge-2] again",
    ]


@on_screen
def test_a_line_is_written_when_it_is_whole_and_the_rest_in_the_end(screen):
    inside(STEP, lambda: print("half", end=""))
    assert screen.getvalue() == ""
    inside(INSTANCE, print, "other")
    inside(STEP, lambda: print(" whole"))
    inside(STEP, lambda: print("left", end="", flush=True))
    screen.console.finish()
    lines = screen.getvalue().splitlines()
    assert lines == [
        "[my-workflow 3f2a…] other",
        "[my-workflow 3f2a… charge] half whole",
        "[my-workflow 3f2a… charge] left",
    ]


@on_screen
def test_text_outside_of_instances_is_written_as_it_comes(screen):
    print("progress ..", end="")
    assert screen.getvalue() == "progress .."
    screen.console.line("ours")
    assert screen.getvalue() == "progress ..\nours\n"


def test_the_name_of_the_worker_stands_before_each_line_and_only_there():
    screen = io.StringIO()
    console = Console(screen, screen, label="shop")
    console.line("ours\nof two lines")
    for text in ("half", " whole\nnext", "\n", "left"):
        console.write(screen, text, own_line=False)
    console.line("ours")
    console.write(screen, "\n", own_line=False)
    assert screen.getvalue().splitlines() == [
        "[shop] ours",
        "[shop] of two lines",
        "[shop] half whole",
        "[shop] next",
        "[shop] left",
        "[shop] ours",
        "[shop] ",
    ]


@on_screen
def test_unfinished_lines_are_not_kept_without_limit(screen, monkeypatch):
    monkeypatch.setattr(output, "MAX_PARTIALS", 2)
    monkeypatch.setattr(output, "MAX_PARTIAL", 10)
    for number in range(3):
        inside(msgspec.structs.replace(INSTANCE, instance_id=f"i{number}"), lambda: print("x", end=""))
    assert screen.getvalue() == "[my-workflow i0] x\n"
    inside(STEP, lambda: print("y" * 11, end=""))
    assert screen.getvalue().endswith(f"charge] {'y' * 11}\n")


@on_screen
def test_logging_of_the_user_is_marked_too(screen):
    logger = logging.Logger("user")  # noqa: LOG001 - one that no other test sees
    logger.addHandler(logging.StreamHandler())
    inside(STEP, logger.warning, "careful")
    assert screen.getvalue() == "[my-workflow 3f2a… charge] careful\n"


@on_screen
def test_lines_of_threads_do_not_mix(screen):
    def write(name):
        for _ in range(200):
            print(name * 20)

    async def steps():
        def place(name):
            current_step.set(msgspec.structs.replace(STEP, instance_id=name))
            write(name)

        await asyncio.gather(*(asyncio.to_thread(place, name) for name in "abcd"))

    asyncio.run(steps())
    lines = screen.getvalue().splitlines()
    assert len(lines) == 800
    assert set(lines) == {f"[my-workflow {name} charge] {name * 20}" for name in "abcd"}


@on_screen
def test_while_a_debugger_talks_others_wait(screen):
    screen.console.hold()
    print("(Pdb)")
    other = threading.Thread(target=print, args=("other",))
    other.start()
    other.join()
    assert screen.getvalue() == "(Pdb)\n"
    screen.console.release()
    assert screen.getvalue() == "(Pdb)\nother\n"


@on_screen
def test_a_closed_screen_does_not_stop_the_work(screen):
    screen.close()
    print("nobody reads this")


def test_the_stream_looks_like_the_real_one():
    stream = UserStream(Console(sys.__stdout__, sys.__stderr__), sys.__stdout__)
    assert stream.encoding == sys.__stdout__.encoding
    assert stream.isatty() == sys.__stdout__.isatty()
    assert stream.writable()
    assert stream.buffer is sys.__stdout__.buffer


def test_long_ids_are_shown_short_and_the_users_own_in_full():
    assert shown_id("3f2a9c11-0000-4000-8000-000000000000") == "3f2a…"
    assert shown_id("order-4711") == "order-4711"
    assert shown_id("*/5 * * * *-1767225600000") == "*/5 * * * *-1767225600000"
    assert shown_step("charge-1") == "charge"
    assert shown_step("charge-12") == "charge-12"


@pytest.mark.parametrize(
    ("encoding", "errors", "shown"),
    [
        ("utf-8", "strict", "[my-workflow 3f2a…] p \\ud800 é"),
        ("utf-8", "replace", "[my-workflow 3f2a…] p \\ud800 é"),
        ("ascii", "strict", "[my-workflow 3f2a\\u2026] p \\ud800 \\xe9"),
    ],
)
def test_what_a_stream_has_no_bytes_for_is_written_out_and_the_line_is_not_lost(encoding, errors, shown):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors=errors)
    user = UserStream(Console(stream, stream), stream)
    inside(INSTANCE, user.write, "p \ud800 é\nnext\n")
    assert raw.getvalue().decode().splitlines()[0] == shown
    assert raw.getvalue().decode().endswith("next\n")


def test_a_line_of_the_log_for_programs_is_valid_whatever_is_printed():
    screen = io.StringIO()
    console = JsonConsole(screen, screen, {})
    inside(STEP, JsonStream(console, screen, LogLevel.LOG).write, "p \ud800\n")
    (line,) = screen.getvalue().splitlines()
    assert json.loads(line)["message"] == "p \\ud800"
