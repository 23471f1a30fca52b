"""What is wrong with the user's code is said in their words."""

from __future__ import annotations

import sys
import types

import pytest

from tests.runtime.conftest import CONFIG, ENTRY
from wrangler_py.config import load as load_config
from wrangler_py.errors import WorkerLoadError
from wrangler_py.runtime.loader import load

pytestmark = pytest.mark.usefixtures("fresh_imports")
WORKFLOW = "from workers import WorkflowEntrypoint\nclass MyWorkflow(WorkflowEntrypoint):\n"


def code_of(project, entry=None, config=None):
    if entry is not None:
        project.write("src/entry.py", entry)
    if config is not None:
        project.write("wrangler.toml", config)
    loaded = load_config(project.root / "wrangler.toml")
    assert loaded.config is not None, loaded.diagnostics.render()
    return load(loaded.config)


def refusal(project, entry=None, config=None):
    with pytest.raises(WorkerLoadError) as caught:
        code_of(project, entry, config)
    return caught.value


def test_the_main_file_is_a_module_named_like_it(project):
    code = code_of(project)
    assert code.module.__name__ == "entry"
    assert code.workflows["my-workflow"] is code.module.MyWorkflow
    assert code.handler_class() is code.module.Default


def test_modules_come_from_the_import_root_then_from_python_modules(project):
    project.write("src/helper.py", "WHERE = 'beside main'\n")
    project.write("python_modules/helper.py", "WHERE = 'vendored'\n")
    project.write("python_modules/vendored_only.py", "WHERE = 'vendored'\n")
    code = code_of(project, "import helper, vendored_only\n" + ENTRY)
    assert code.module.helper.WHERE == "beside main"
    assert code.module.vendored_only.WHERE == "vendored"


def test_a_main_file_named_like_a_loaded_module_does_not_replace_it(project):
    project.write("src/types.py", ENTRY)
    code = code_of(project, config=CONFIG.replace("entry.py", "types.py"))
    assert code.module is not types
    assert sys.modules["types"] is types


def test_a_missing_class_is_named_with_the_nearest_there_is(project):
    error = refusal(project, ENTRY.replace("class MyWorkflow", "class MyWorkflows"))
    assert str(error) == "There is no 'MyWorkflow' class defined in the Python Worker's main module"
    assert error.hint is not None
    assert "Did you mean 'MyWorkflows'?" in error.hint


@pytest.mark.parametrize(
    ("entry", "message", "hint"),
    [
        ("MyWorkflow = 3\n", "is not a WorkflowEntrypoint", "class MyWorkflow(WorkflowEntrypoint)"),
        ("class MyWorkflow: ...\n", "is not a WorkflowEntrypoint", "from workers import WorkflowEntrypoint"),
        (WORKFLOW + "    pass\n", "has no run()", "async def run(self, event, step)"),
        (
            WORKFLOW + "    def run(self, event, step): ...\n",
            "is not async",
            "async def run(self, event, step)",
        ),
        (WORKFLOW + "    async def run(self, event, step): yield 1\n", "yields values", "return"),
    ],
)
def test_a_class_that_is_no_workflow_is_refused(project, entry, message, hint):
    error = refusal(project, entry)
    assert message in str(error)
    assert hint in (error.hint or "")


def test_a_decorated_run_is_still_async(project):
    entry = (
        "import functools\nfrom workers import WorkflowEntrypoint\n"
        "def traced(f):\n    @functools.wraps(f)\n    def inner(*a): return f(*a)\n    return inner\n"
        "class MyWorkflow(WorkflowEntrypoint):\n    @traced\n    async def run(self, event, step): ...\n"
    )
    assert code_of(project, entry).workflows


def test_workflows_of_another_script_are_not_looked_for_here(project):
    config = (
        CONFIG + '\n[[workflows]]\nname = "far"\nbinding = "FAR"\nclass_name = "Far"\nscript_name = "other"\n'
    )
    assert set(code_of(project, config=config).workflows) == {"my-workflow"}


def test_a_syntax_error_shows_line_and_caret(project):
    error = refusal(project, "x = 1\ny = (2\n")
    assert 'File "src/entry.py", line 2' in error.traceback
    assert "^" in error.traceback
    assert "SyntaxError: '(' was never closed" in error.traceback


def test_a_failing_import_shows_the_users_frames_and_what_led_to_it(project):
    deep = "def f():\n    try:\n        {}['x']\n    except KeyError as e:\n        raise OSError('no') from e\nf()\n"
    project.write("src/deep.py", deep)
    error = refusal(project, "import deep\n")
    assert "OSError: no" in str(error)
    places = [error.traceback.index(text) for text in ("KeyError: 'x'", "which caused:", "OSError: no")]
    assert places == sorted(places)
    assert 'File "src/deep.py", line 3, in f' in error.traceback
    assert "importlib" not in error.traceback
    assert "wrangler_py" not in error.traceback


def test_code_that_exits_while_it_is_imported_does_not_end_the_process(project):
    assert "SystemExit" in str(refusal(project, "import sys\nsys.exit(3)\n"))


def test_no_main_and_a_missing_main_say_what_to_write(project):
    assert "does not name the Worker's code" in str(refusal(project, config='name = "my-app"\n'))
    project.write("wrangler.toml", CONFIG)
    config = load_config(project.root / "wrangler.toml").config
    assert config is not None
    (project.root / "src" / "entry.py").unlink()
    with pytest.raises(WorkerLoadError, match="There is no file"):
        load(config)


@pytest.mark.parametrize(("date", "counts"), [("2025-01-01", True), ("2026-03-01", False)])
def test_global_handlers_count_only_before_their_date(project, date, counts):
    code = code_of(project, ENTRY + "\ndef on_fetch(request): ...\n", CONFIG.replace("2026-03-01", date))
    assert (code.global_handler("fetch") is not None) is counts
