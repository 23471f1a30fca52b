"""Which function answers a path: the folder read as routes (Pages docs, "Functions", "Routing")."""

from hypothesis import given
from hypothesis import strategies as st

from wrangler_py.runtime.pages.routes import find_routes


def routes(folder, *files):
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return find_routes(folder)


def answer(found, path):
    """Return the file that answers ``path`` first, and the parameters."""
    parts = [part for part in path.split("/") if part]
    for route in found:
        params = route.match(parts)
        if params is not None and not route.is_middleware:
            return route.path.name, params
    return None


def test_the_table_of_the_docs(tmp_path):
    found = routes(
        tmp_path, "index.py", "helloworld.py", "howdyworld.py", "fruits/index.py", "fruits/apple.py", "fruits/banana.py"
    )  # fmt: skip
    assert {route.pattern: route.path.name for route in found} == {
        "/": "index.py",
        "/helloworld": "helloworld.py",
        "/howdyworld": "howdyworld.py",
        "/fruits": "index.py",
        "/fruits/apple": "apple.py",
        "/fruits/banana": "banana.py",
    }
    assert answer(found, "/fruits/") == ("index.py", {})
    assert answer(found, "/fruits/cherry") is None


def test_brackets_stand_for_one_segment_and_double_ones_for_any_number(tmp_path):
    found = routes(tmp_path, "users/[user].py", "users/nevi.py", "files/[[path]].py")
    assert answer(found, "/users/nevi") == ("nevi.py", {})
    assert answer(found, "/users/daniel") == ("[user].py", {"user": "daniel"})
    assert answer(found, "/users/daniel/x") is None
    assert answer(found, "/users") is None
    assert answer(found, "/files") == ("[[path]].py", {"path": []})
    assert answer(found, "/files/a/b") == ("[[path]].py", {"path": ["a", "b"]})


def test_the_more_specific_route_wins_segment_by_segment(tmp_path):
    found = routes(tmp_path, "[[all]].py", "a/[[rest]].py", "a/[b]/c.py", "a/x/[y].py", "[z]/x/c.py")
    assert answer(found, "/a/x/c")[0] == "[y].py"
    assert answer(found, "/a/q/c")[0] == "c.py"
    assert answer(found, "/a/q/d")[0] == "[[rest]].py"
    assert answer(found, "/q/x/c")[1] == {"z": "q"}
    assert answer(found, "/q")[0] == "[[all]].py"


def test_a_middleware_is_for_all_below_its_folder(tmp_path):
    found = routes(tmp_path, "_middleware.py", "a/[b]/_middleware.py")
    deep, top = found
    assert top.match([]) == {}
    assert top.match(["x", "y"]) == {}
    assert deep.match(["a", "1", "c", "d"]) == {"b": "1"}
    assert deep.match(["a"]) is None


def test_hidden_folders_and_caches_are_no_routes(tmp_path):
    assert routes(tmp_path, ".venv/x.py", "__pycache__/y.py", "a/.b/c.py") == []


SEGMENT = st.sampled_from(["a", "b", "[x]", "[[y]]"])


@given(st.lists(st.lists(SEGMENT, min_size=1, max_size=3).map(tuple), unique=True, max_size=6), st.data())
def test_no_other_route_that_fits_is_more_exact_than_the_first(tmp_path_factory, shapes, data):
    folder = tmp_path_factory.mktemp("functions")
    found = routes(folder, *("/".join(shape) + ".py" for shape in shapes))
    parts = data.draw(st.lists(st.sampled_from(["a", "b", "c"]), max_size=4))
    fitting = [route for route in found if route.match(parts) is not None]
    assert all(one.specificity <= fitting[0].specificity for one in fitting)
