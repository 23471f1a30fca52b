"""Which files are the user's code."""

from __future__ import annotations

from wrangler_py.runtime.project import code_files, is_user_file
from wrangler_py.runtime.version import version_id

OTHERS = (
    ".venv/lib/site.py",
    "env/lib/site-packages/x.py",
    "node_modules/a/b.py",
    "python_modules/v.py",
    "src/__pycache__/entry.py",
    ".git/hooks/h.py",
    ".wrangler/tmp/t.py",
)


def test_code_is_what_the_user_wrote(project):
    for name in (*OTHERS, "src/parts/a.py", "src/data.json"):
        project.write(name, "")
    project.write("env/pyvenv.cfg", "")
    names = [str(path.relative_to(project.root)) for path in code_files(project.root)]
    assert names == ["src/entry.py", "src/parts/a.py"]


def test_a_folder_with_a_configuration_of_its_own_is_another_workers(project):
    project.write("worker/wrangler.jsonc", "{}")
    project.write("worker/src/entry.py", "")
    assert [path.name for path in code_files(project.root)] == ["entry.py"]
    assert [path.name for path in code_files(project.root / "worker")] == ["entry.py"]


def test_a_frame_is_the_users_by_its_file(project):
    roots = (project.root,)
    assert is_user_file(str(project.root / "src" / "entry.py"), roots)
    for name in OTHERS:
        assert not is_user_file(str(project.root / name), roots), name
    assert not is_user_file("/usr/lib/python3/json/decoder.py", roots)
    assert not is_user_file("<frozen importlib._bootstrap>", roots)


def test_a_version_is_the_same_code_and_configuration(project):
    root = project.root / "src"
    first = version_id(root, "config")
    assert version_id(root, "config") == first
    assert len(first) == 36
    assert version_id(root, "another config") != first
    project.write("src/data.json", "{}")
    assert version_id(root, "config") == first
    project.write("src/parts/a.py", "")
    second = version_id(root, "config")
    assert second != first
    (root / "parts" / "a.py").rename(root / "parts" / "b.py")
    assert version_id(root, "config") not in (first, second)
