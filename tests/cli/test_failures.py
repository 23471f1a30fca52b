"""How commands end: exit codes, one line for the user, tracebacks only for those who ask."""

import pytest

from wrangler_py.cli.commands.workflows import list as listing
from wrangler_py.errors import UserError, WorkerLoadError


@pytest.fixture
def failing(monkeypatch, alone):
    """Run `workflows list` as if it raised ``error``."""

    def fail(error, *before):
        class Target:
            def __init__(self, **_):
                pass

            def reader(self):
                raise error

        monkeypatch.setattr("wrangler_py.cli.options.Target", Target)
        return alone(*before, "workflows", "list")

    assert listing.list_workflows
    return fail


def test_a_users_mistake_is_a_line_a_hint_and_exit_code_1(failing):
    result = failing(UserError("It does not fit.", hint="Make it smaller."))
    assert result.exit_code == 1
    assert (result.stdout, result.stderr) == ("", "✘ [ERROR] It does not fit.\n  Make it smaller.\n")


def test_broken_code_shows_the_users_frames(failing):
    result = failing(WorkerLoadError("entry.py cannot be imported.", traceback="  File entry.py, line 3\n"))
    assert result.stderr == "  File entry.py, line 3\n✘ [ERROR] entry.py cannot be imported.\n"


def test_an_interrupt_is_silent_and_130(failing):
    result = failing(KeyboardInterrupt())
    assert (result.exit_code, result.stderr) == (130, "")


def test_our_own_bug_asks_for_a_report_and_hides_the_traceback(failing):
    result = failing(RuntimeError("oops"))
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "✘ [ERROR] This is a bug in pywrangler: RuntimeError: oops\n  Please report it"
    )
    assert "Traceback" not in result.stderr


def test_verbose_shows_the_traceback_of_our_own_bug(failing):
    assert "Traceback (most recent call last)" in failing(RuntimeError("oops"), "--verbose").stderr


def test_the_debug_variable_shows_it_too(failing, monkeypatch):
    monkeypatch.setenv("PYWRANGLER_DEBUG", "1")
    assert "Traceback (most recent call last)" in failing(RuntimeError("oops")).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("frobnicate",),
        ("workflows", "frobnicate"),
        ("workflows", "list", "--frobnicate"),
        ("workflows", "list", "--port", "many"),
        ("workflows", "list", "--page", "0"),
        ("workflows", "describe"),
        ("workflows", "instances", "pause", "wf"),
        ("workflows", "list", "extra"),
    ],
)
def test_wrong_usage_is_2_and_shows_how_it_is_used(alone, arguments):
    result = alone(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage: pywrangler" in result.stderr


def test_a_mistyped_command_gets_a_suggestion(alone):
    assert "Did you mean 'describe'?" in alone("workflows", "descibe").stderr
