"""The diagram of a workflow says what its code does, whichever way it is written."""

from __future__ import annotations

import ast
import asyncio
import json
import textwrap
from pathlib import Path

import msgspec
import pytest
from cloudflare.types.workflows.version_graph_response import Graph as CloudflaresGraph

from wrangler_py.diagram import draw
from wrangler_py.diagram.modules import Modules
from wrangler_py.diagram.reader import Book

DEFAULTS = {"retries": {"limit": 5, "delay": 10_000, "backoff": "exponential"}, "timeout": "10 minutes"}


def graph_of(folder: Path, run: str, before: str = "", **files: str) -> dict:
    """Return the workflow part of the diagram of a class with this ``run()``, as the API gives it."""
    body = textwrap.indent(textwrap.dedent(run), "        ")
    code = f"class Flow(WorkflowEntrypoint):\n    async def run(self, event, step):\n{body}\n"
    (folder / "entry.py").write_text(textwrap.dedent(before) + "\n" + code)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    graph = msgspec.to_builtins(draw(folder / "entry.py", "Flow"))
    CloudflaresGraph.model_validate(graph)
    return graph["workflow"]


def short(nodes):
    """Shorten nodes to what tells them apart."""
    return [_short(node) for node in nodes]


def _short(node):
    kind = node["type"]
    times = "".join(f" {key[0]}{node[key]}" for key in ("starts", "resolves") if key in node)
    match kind:
        case "step_do":
            inside = short(node["nodes"])
            return {f"do {node['name']}{times}": inside} if inside else f"do {node['name']}{times}"
        case "step_sleep":
            return f"sleep {node['name']} for {node['duration']}{times}"
        case "step_sleep_until":
            return f"sleep {node['name']} until {node['timestamp']}{times}"
        case "step_wait_for_event":
            return f"wait {node['name']} for {node['options']['event_type']}, {node['options']['timeout']}"
        case "function_call":
            return f"call {node['name']}{times}"
        case "break":
            return node["kind"]
        case "try":
            blocks = [node[name] for name in ("try_block", "catch_block", "finally_block")]
            return {"try": [short(one["nodes"]) if one else [] for one in blocks]}
        case "if" | "switch":
            head = f"switch {node['discriminant']}" if kind == "switch" else "if"
            return {head: {way["condition"]: short(way["nodes"]) for way in node["branches"]}}
        case "parallel":
            return {node["kind"]: short(node["nodes"])}
        case _:
            return {kind: short(node["nodes"])}


CASES = {
    "the docs' way": (
        """
        @step.do("first")
        async def first(): return 1
        value = await first()
        await step.sleep("rest", "1 minute")
        await step.sleep_until("late", event.payload["at"])
        await step.wait_for_event("paid", "payment", timeout="1 day")
        await step.waitForEvent("paid", event_type="payment")
        return value
        """,
        [
            "do first",
            "sleep rest for 1 minute",
            "sleep late until event.payload['at']",
            "wait paid for payment, 1 day",
            "wait paid for payment, 24 hours",
        ],
    ),
    "a step that is not called does nothing": ("@step.do('a')\nasync def a(): ...", []),
    "a coroutine that is not awaited does nothing": ("step.do('a', f)", []),
    "functions given": (
        "await step.do('a', f)\nawait step.do('b', {'timeout': 1}, lambda: 1)\nreturn await step.do('c', self.f)",
        ["do a", "do b", "do c"],
    ),
    "a name of its own": ("@step.do()\nasync def load(): ...\nawait load()", ["do load"]),
    "names": (
        "kind = 'cat'\nfor one in all:\n    await step.do(f'get {kind}: {one.name!r}' + '!', f)",
        [{"loop": ["do get cat: {one.name}!"]}],
    ),
    "dependencies by name": (
        """
        @step.do("a")
        async def one(): ...
        @step.do("b")
        async def two(a, ctx): ...
        @step.do("c", concurrent=True)
        async def three(b, a): ...
        await three()
        await three()
        """,
        ["do a", "do b", "do c", "do c"],
    ),
    "a diamond": (
        """
        @step.do("a")
        async def one(): ...
        @step.do("b")
        async def two(a): ...
        @step.do("c")
        async def three(a): ...
        @step.do("d", concurrent=True)
        async def four(b, c): ...
        await four()
        """,
        ["do a", {"all": ["do b", "do c"]}, "do d"],
    ),
    "dependencies in a list": (
        """
        @step.do("a")
        async def one(): ...
        @step.do("b")
        async def two(): ...
        @step.do("c", depends=[one, two], concurrent=True)
        async def three(x, y): ...
        @step.do("d", [three])
        async def four(z): ...
        await four()
        """,
        [{"all": ["do a", "do b"]}, "do c", "do d"],
    ),
    "choices": (
        """
        if event.payload.a:
            await step.do("a", f)
        elif event.payload.b:
            pass
        else:
            await step.do("c", f)
        if event.payload.d:
            print()
        x = await step.do("e", f) if event.payload.e else await step.do("f", f)
        event.payload.g and await step.do("g", f)
        event.payload.h or await step.do("h", f)
        """,
        [
            {"if": {"event.payload.a": ["do a"], "event.payload.b": [], None: ["do c"]}},
            {"if": {"event.payload.e": ["do e"], None: ["do f"]}},
            {"if": {"event.payload.g": ["do g"]}},
            {"if": {"not event.payload.h": ["do h"]}},
        ],
    ),
    "ends": (
        """
        if not event.payload:
            return
        while True:
            if await step.do("poll", f):
                break
            await step.sleep("pause", 60 * 1000)
        return 1
        """,
        [
            {"if": {"not event.payload": ["return"]}},
            {"loop": ["do poll", {"if": {"await step.do('poll', f)": ["break"]}}, "sleep pause for 60000"]},
        ],
    ),
    "what is called on a result": (
        "x = (await step.do('a', f)).strip().lower()\ny = x.a().b(await step.do('b', f)).c()" + ".d()" * 40,
        ["do a", "do b"],
    ),
    "a coroutine given back": ("def start(s): return s.do('a', f)\nawait start(step)", ["call start"]),
    "a function without steps that calls itself": (
        "async def poll():\n    if x: await poll()\nawait poll()\nawait step.do('a', f)",
        ["do a"],
    ),
    "loops that only end": (
        "for one in x:\n    try:\n        break\n    except E: pass\nawait step.do('a', f)",
        ["do a"],
    ),
    "loops without steps are not shown": (
        "for one in x:\n    if one: break\nawait step.do('a', f)",
        ["do a"],
    ),
    "a loop's else, and what ends a block": (
        "for one in x:\n    await step.do('a', f)\nelse:\n    raise E\nawait step.do('b', f)",
        [{"loop": ["do a"]}, "do b"],
    ),
    "trying": (
        """
        try:
            await step.do("a", f)
        except ValueError:
            await step.do("b", f)
        else:
            await step.do("c", f)
        finally:
            await step.do("d", f)
        try:
            await step.do("e", f)
        except (KeyError, TypeError):
            await step.do("f", f)
        except Exception:
            return
        """,
        [
            {"try": [["do a", "do c"], ["do b"], ["do d"]]},
            {"try": [["do e"], [{"if": {"(KeyError, TypeError)": ["do f"], "Exception": ["return"]}}], []]},
        ],
    ),
    "matching": (
        """
        match event.payload:
            case {"a": 1} if x:
                await step.do("a", f)
            case _:
                await step.do("b", f)
        """,
        [{"switch event.payload": {"{'a': 1} if x": ["do a"], None: ["do b"]}}],
    ),
    "gathering": (
        """
        await asyncio.gather(step.do("a", f), step.do("b", f))
        await asyncio.gather(*[step.do(f"c {one}", f) for one in x], return_exceptions=True)
        many = []
        for one in x:
            many.append(step.do("d", f))
        many.append(step.do("e", f))
        await gather(*many)
        p, q = step.do("g", f), step.do("h", f)
        await q
        await p
        """,
        [
            {"all": ["do a", "do b"]},
            {"all_settled": [{"loop": ["do c {one}"]}]},
            {"all": [{"loop": ["do d"]}, "do e"]},
            "do h",
            "do g",
        ],
    ),
    "other ways to wait": (
        """
        await asyncio.wait_for(step.do("a", f), 5)
        await asyncio.wait([step.do("b", f), step.do("c", f)], return_when=asyncio.FIRST_COMPLETED)
        for one in asyncio.as_completed([step.do("d", f), step.do("e", f)]):
            await one
        """,
        ["do a", {"race": ["do b", "do c"]}, {"all": ["do d", "do e"]}],
    ),
    "tasks": (
        """
        one = asyncio.create_task(step.do("a", f))
        await step.do("b", f)
        two = asyncio.create_task(step.do("c", f))
        await one
        await asyncio.gather(two)
        asyncio.create_task(step.do("d", f))
        """,
        ["do a s1 r3", "do b", "do c s2 r4", "do d s5"],
    ),
    "task groups": (
        """
        async with asyncio.TaskGroup() as group:
            for one in x:
                group.create_task(step.do(f"a {one}", f))
            group.create_task(step.do("b", f))
            await step.do("c", f)
            await step.do("e", f)
        async with other() as thing:
            await step.do("d", f)
        """,
        [{"all": [{"loop": ["do a {one}"]}, "do b", {"block": ["do c", "do e"]}]}, "do d"],
    ),
    "comprehensions": (
        "[await step.do(f'a {x}', f) for x in y]\nz = {k: await step.do('b', f) async for k in y if k}",
        [{"loop": ["do a {x}"]}, {"loop": ["do b"]}],
    ),
    "steps in steps": (
        """
        async def inner(ctx):
            await step.do("b", f)
            return 1
        await step.do("a", inner)
        await step.do("c", lambda: step.do("d", f))
        """,
        [{"do a": ["do b"]}, {"do c": ["do d"]}],
    ),
    "a local function": (
        "async def twice(x):\n    await step.do('a', f)\nawait twice(1)\nawait asyncio.gather(twice(2), twice(3))",
        ["call twice", {"all": ["call twice", "call twice"]}],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_runs_in_which_order(tmp_path, name):
    run, expected = CASES[name]
    assert short(graph_of(tmp_path, run)["nodes"]) == expected


def test_settings_of_a_step_are_given_in_full(tmp_path):
    run = """
        await step.do("plain", f)
        await step.do("own", OWN, f)
        await step.do("part", {"retries": {"limit": 2, "delay": some()}, "timeout": "1 hour"}, f)
        @step.do("declared", config=dict(timeout=2 * 60 * 1000))
        async def declared(): ...
        await declared()
    """
    own = 'OWN: dict = {"retries": {"limit": 1, "delay": "2 seconds", "backoff": "linear"}, "timeout": 500}'
    found = {node["name"]: node["config"] for node in graph_of(tmp_path, run, own)["nodes"]}
    assert found == {
        "plain": DEFAULTS,
        "own": {"retries": {"limit": 1, "delay": "2 seconds", "backoff": "linear"}, "timeout": 500},
        "part": {"retries": {"limit": 2, "delay": "some()", "backoff": "exponential"}, "timeout": "1 hour"},
        "declared": DEFAULTS | {"timeout": 120_000},
    }


SEVERAL = {
    "entry.py": """
        import shop.mail
        from shop.tell import notify_user as notify
        import tools
        from shop import mail
        import outside

        def harmless(x): ...

        class Flow(WorkflowEntrypoint):
            async def run(self, event, step):
                from tools import late
                await self.charge(step, 3)
                await notify(step, "x")
                await tools.notify(step)
                await mail.send(step=step)
                await late(step)
                await shop.mail.send(step=step)
                from shop import mail as post
                await post.send(step=step)
                tools = step
                await tools.notify(step)
                await outside.thing(step)
                await self.no_steps(step)
                await harmless(1)

            async def charge(self, step, n):
                await step.do("charge", f)
                if n:
                    return await self.charge(step, n - 1)

            async def no_steps(self, step):
                return 1
    """,
    "shop/__init__.py": "",
    "shop/tell.py": """
        from .words import NAME

        async def notify_user(s, who):
            await s.do(NAME, lambda: 1)
    """,
    "shop/words.py": 'NAME = "notify user"',
    "shop/mail.py": "async def send(*, step):\n    await step.do('mail', f)",
    "tools.py": """
        from shop.tell import notify_user as notify

        async def late(step):
            await step.sleep("late", 1)
    """,
}


def test_functions_are_followed_wherever_they_are(tmp_path):
    """Methods, functions of other modules of the project, and those that call themselves."""
    for name, text in SEVERAL.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    found = msgspec.to_builtins(draw(tmp_path / "entry.py", "Flow"))["workflow"]
    calls = ["charge", "notify_user", "notify_user", "send", "late", "send", "send"]
    assert short(found["nodes"]) == [f"call {name}" for name in calls]
    assert {name: short(one["nodes"]) for name, one in found["functions"].items()} == {
        "charge": ["do charge", {"if": {"n": ["call charge", "return"]}}],
        "notify_user": ["do notify user"],
        "send": ["do mail"],
        "late": ["sleep late for 1"],
    }


def test_a_method_of_a_base_class_is_followed(tmp_path):
    (tmp_path / "base.py").write_text(
        "class Base:\n"
        "    async def run(self, event, step):\n"
        "        await self.common(step)\n"
        "    @staticmethod\n"
        "    async def common(s):\n"
        "        await s.sleep('rest', 1000)\n"
    )
    (tmp_path / "entry.py").write_text("from base import Base\nclass Flow(Base): ...")
    graph = msgspec.to_builtins(draw(tmp_path / "entry.py", "Flow"))
    assert short(graph["workflow"]["nodes"]) == ["call common"]
    assert short(graph["workflow"]["functions"]["common"]["nodes"]) == ["sleep rest for 1000"]


def test_two_functions_of_one_name_are_told_apart(tmp_path):
    run = "await one.send(step)\nawait two.send(step)"
    files = {name: f"async def send(s):\n    await s.do('{name}', f)" for name in ("one", "two")}
    found = graph_of(tmp_path, run, "import one, two", **files)
    assert short(found["nodes"]) == ["call send", "call send (2)"]


@pytest.mark.parametrize(
    "code", ["class Other: ...", "Flow = 1", "def broken(:", "\0", "from entry import Flow", None]
)
def test_where_there_is_no_class_there_is_no_diagram(tmp_path, code):
    if code is not None:
        (tmp_path / "entry.py").write_text(code)
    assert draw(tmp_path / "entry.py", "Flow") is None


def test_a_class_without_run_does_nothing(tmp_path):
    (tmp_path / "entry.py").write_text("class Flow: ...")
    assert draw(tmp_path / "entry.py", "Flow").workflow.nodes == []


def test_any_code_can_be_read(tmp_path):
    """All functions of asyncio's own sources, read as if each were a `run()`."""
    (tmp_path / "entry.py").write_text("class Flow: ...")
    modules = Modules(tmp_path)
    module, owner = modules.find_class(modules.module("entry"), "Flow")
    count = 0
    for path in Path(asyncio.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                Book(modules, module, owner).read_run(module, node)
                count += 1
    assert count > 800


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (r"await step.do('\ud800', f)", [r"do \ud800"]),
        ("await step.sleep('a', 10000000000000000000000000)", ["sleep a for 0"]),
        ("await step.sleep('a', 1e999)", ["sleep a for 0"]),
        ("await step.do('a', {'timeout': 10 ** 50, 'retries': {'limit': 10 ** 50}}, f)", ["do a"]),
    ],
)
def test_what_json_cannot_say_is_said_in_another_way(tmp_path, run, expected):
    found = graph_of(tmp_path, run)
    assert short(json.loads(msgspec.json.encode(found))["nodes"]) == expected


def layers(count, inside):
    """Return steps in layers, each of which uses all of those before it."""
    lines = ["@step.do('a0')\nasync def a0(): ...\n@step.do('b0')\nasync def b0(): ..."]
    for number in range(1, count):
        for name in "ab":
            lines.append(inside.format(name=name, number=number, before=number - 1))
    return "\n".join([*lines, f"await a{count - 1}()"])


def test_many_layers_of_dependencies_are_each_drawn_once(tmp_path):
    need = "@step.do('{name}{number}', concurrent=True)\nasync def {name}{number}(a{before}, b{before}): ..."
    nodes = graph_of(tmp_path, layers(60, need))["nodes"]
    assert short(nodes)[:3] == ["do a0", "do b0", "do a1"]
    assert short(nodes)[-2:] == [{"all": ["do a58", "do b58"]}, "do a59"]
    assert len(nodes) == 2 * 58 + 2


def test_a_diagram_that_doubles_with_each_layer_is_none(tmp_path):
    call = "@step.do('{name}{number}')\nasync def {name}{number}():\n    await a{before}()\n    await b{before}()"
    run = textwrap.indent(layers(60, call), "        ")
    (tmp_path / "entry.py").write_text(f"class Flow:\n    async def run(self, event, step):\n{run}\n")
    assert draw(tmp_path / "entry.py", "Flow") is None


def test_code_nested_without_end_has_no_diagram(tmp_path):
    for deep in (f"{'-' * 2000}1", f"x{'.a' * 5000}"):
        (tmp_path / "entry.py").write_text(
            f"class Flow:\n    def run(self, event, step):\n        x = {deep}\n"
        )
        assert draw(tmp_path / "entry.py", "Flow") is None
