"""`pywrangler r2 object ...`: wrangler's words and flags, over stored state, beside a session and without one."""

import asyncio
import datetime as dt
import os
import signal
import subprocess

import pytest

from tests.runtime.conftest import Project, eventually
from tests.support.session import COMMAND, place
from wrangler_py.bindings.r2.bucket import R2Bucket
from wrangler_py.clock import SystemClock

CONFIG = """
name = "my-app"
main = "src/entry.py"
compatibility_date = "2026-03-01"

[[r2_buckets]]
binding = "MY_BUCKET"
bucket_name = "my-bucket"
"""
ENTRY = """
from urllib.parse import urlsplit
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        key = urlsplit(request.url).path[1:]
        if request.method == "PUT":
            stored = await self.env.MY_BUCKET.put(key, request.body)
            return Response(stored.etag)
        found = await self.env.MY_BUCKET.get(key)
        if found is None:
            return Response("none", status=404)
        headers = {"etag": found.httpEtag}
        found.writeHttpMetadata(headers)
        return Response(found.body, headers=headers)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    project = Project(tmp_path)
    project.write("wrangler.toml", CONFIG)
    project.write("src/entry.py", ENTRY)
    monkeypatch.chdir(tmp_path)
    return project


@pytest.fixture
def run(alone, project):
    """Runs a command that is to end with an exit code; returns its output."""

    def run(*arguments, code=0):
        result = alone("r2", "object", *arguments)
        assert result.exit_code == code, result.output
        return result.stderr if code else result.stdout

    return run


def stored(project, key):
    """Return an object with its bytes."""

    async def get():
        bucket = R2Bucket("my-bucket", project.state / "r2" / "my-bucket", SystemClock())
        try:
            found = await bucket.get(key)
            return None if found is None else (found, await found.bytes())
        finally:
            bucket.close()

    return asyncio.run(get())


def test_put_get_and_delete(run, project):
    project.write("hello.txt", "hello")
    assert run("put", "my-bucket/a/b.txt", "--file", "hello.txt") == (
        'Creating object "a/b.txt" in bucket "my-bucket".\nUpload complete.\n'
    )
    assert run("get", "MY_BUCKET/a/b.txt") == 'Downloading "a/b.txt" from "my-bucket".\nDownload complete.\n'
    assert (project.root / "b.txt").read_text() == "hello"
    assert run("get", "my-bucket/a/b.txt", "--pipe") == "hello"
    run("get", "my-bucket/a/b.txt", "-f", "new/folder/c.txt")
    assert (project.root / "new/folder/c.txt").read_text() == "hello"
    assert run("delete", "my-bucket/a/b.txt") == (
        'Deleting object "a/b.txt" from bucket "my-bucket".\nDelete complete.\n'
    )
    run("delete", "my-bucket/a/b.txt")
    assert "The specified key does not exist." in run("get", "my-bucket/a/b.txt", code=1)


def test_metadata_is_put_by_flags(run, project):
    project.write("hello.txt", "hello")
    flags = {
        "--content-type": "text/plain",
        "--content-disposition": "inline",
        "--content-encoding": "gzip",
        "--content-language": "en-GB",
        "--cache-control": "max-age=1",
    }
    pairs = [word for pair in flags.items() for word in pair]
    for expires in (
        "Fri, 24 Feb 2023 00:00:00 GMT",
        "2023-02-24",
        "2023-02-24T01:00:00+01:00",
        "1677196800000",
    ):
        told = run(
            "put", "my-bucket/k", "-f", "hello.txt", *pairs, "--expires", expires, "-s", "InfrequentAccess"
        )
        assert 'Creating object "k" with InfrequentAccess storage class in' in told
        found, _ = stored(project, "k")
        assert list(found.httpMetadata.values()) == [*flags.values(), dt.datetime(2023, 2, 24)]
        assert found.storageClass == "InfrequentAccess"


def test_json_tells_what_was_stored(run, project):
    project.write("hello.txt", "hello")
    import json

    assert json.loads(run("put", "my-bucket/k", "-f", "hello.txt", "--json")) == {
        "bucket": "my-bucket",
        "key": "k",
        "size": 5,
        "etag": "5d41402abc4b2a76b9719d911017c592",
    }


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("put", "my-bucket/k"), 2, "Either the --file or --pipe options are required."),
        (("put", "my-bucket/k", "-f", "x", "-p"), 2, "mutually exclusive"),
        (("get", "my-bucket/k", "-f", "x", "-p"), 2, "mutually exclusive"),
        (("put", "my-bucket/k", "-f", "wrangler.toml", "--expires", "soon"), 2, "'soon' is not a date"),
        (("put", "my-bucket", "-f", "wrangler.toml"), 1, "must be in the form of {bucket}/{key}: got 'my-bucket'"),
        (("get", "my-bucket/"), 1, "must be in the form of"),
        (("get", "my-buckt/k"), 1, "Did you mean 'my-bucket'?"),
        (("put", "my-bucket/k", "-f", "missing"), 1, "Cannot read missing: No such file or directory."),
        (("put", "my-bucket/k", "-f", "src"), 1, "Cannot read src: Is a directory."),
        (("put", "my-bucket/" + "k" * 1025, "-f", "wrangler.toml"), 1, "put: The specified object name is not"),
        (("put", "my-bucket/k", "-f", "wrangler.toml", "-s", "Cold"), 1, "storageClass is Standard or Infrequ"),
        (("get", "my-bucket/k/"), 1, "does not end in the name of a file"),
        (("get", "my-bucket/k/.."), 1, "does not end in the name of a file"),
        (("get", "my-bucket/there", "-f", "src"), 1, "Is a directory"),
        (("get", "my-bucket/there", "-f", "wrangler.toml/x"), 1, "Cannot write"),
    ],
)  # fmt: skip
def test_what_the_user_can_mend_is_one_line(run, project, arguments, code, text):
    run("put", "my-bucket/there", "-f", "wrangler.toml")
    told = run(*arguments, code=code)
    assert text in " ".join(told.replace("│", " ").split())
    assert "Traceback" not in told
    assert sorted(path.name for path in project.root.iterdir()) == [".wrangler", "src", "wrangler.toml"]


def test_a_get_of_nothing_leaves_the_old_file(run, project):
    project.write("k", "old")
    run("get", "my-bucket/k", code=1)
    assert (project.root / "k").read_text() == "old"
    assert [path.name for path in project.root.glob(".*part")] == []


def test_a_get_into_a_link_or_a_device_goes_through_it(run, project):
    project.write("k", "new")
    run("put", "my-bucket/k", "-f", "k")
    project.write("real", "old")
    (project.root / "link").symlink_to("real")
    run("get", "my-bucket/k", "-f", "link")
    assert (project.root / "real").read_text() == "new"
    assert (project.root / "link").is_symlink()
    run("get", "my-bucket/k", "-f", "/dev/null")
    assert not os.path.isfile("/dev/null")


def start(project, *arguments, **options):
    return subprocess.Popen([*COMMAND, "r2", "object", *arguments], cwd=project.root, **options)


def test_bytes_go_through_pipes_unchanged(project):
    data = os.urandom(6_000_000)
    with start(
        project, "put", "my-bucket/k", "-p", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as command:
        command.communicate(data)
    assert command.returncode == 0
    with start(project, "get", "my-bucket/k", "-p", stdout=subprocess.PIPE) as command:
        assert command.communicate()[0] == data


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_put_that_is_interrupted_changes_nothing(project, number):
    with start(
        project, "put", "my-bucket/k", "-p", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as command:  # fmt: skip
        command.stdin.write(bytes(5_000_000))
        command.stdin.flush()
        blobs = project.state / "r2" / "my-bucket" / "blobs"
        eventually(lambda: blobs.exists() and list(blobs.iterdir()), "bytes on disk")
        command.send_signal(number)
        assert command.wait(15) == 130
        assert command.stderr.read() == b""
        command.stdin.close()
    assert stored(project, "k") is None
    assert list(blobs.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_get_that_is_interrupted_leaves_no_half_file(run, project, number):
    """The object is so large that the signal, sent when the first bytes are there, comes before the last."""
    with (project.root / "large").open("wb") as file:
        file.truncate(600_000_000)
    run("put", "my-bucket/k", "-f", "large")
    project.write("target", "old")
    with start(project, "get", "my-bucket/k", "-f", "target", stdout=subprocess.PIPE) as command:
        eventually(
            lambda: any(part.stat().st_size for part in project.root.glob(".*.part")), "the first bytes"
        )
        command.send_signal(number)
        code = command.wait(15)
    assert code == 130
    assert (project.root / "target").read_text() == "old"
    assert list(project.root.glob(".*.part")) == []


def test_commands_and_a_session_see_the_same_bucket(tmp_path):
    with place(tmp_path) as there:
        there.has(CONFIG, ENTRY)
        session = there.dev().ready()
        assert "MY_BUCKET" in session.output
        assert session.get("/key", "PUT", "from the session")[0] == 200
        assert there.command("r2", "object", "get", "my-bucket/key", "--pipe").stdout == "from the session"
        there.project.write("file", "from the command")
        assert there.command("r2", "object", "put", "my-bucket/key", "-f", "file").returncode == 0
        assert session.get("/key") == (200, "from the command")
        there.kill(session)
        session = there.dev().ready()
        assert session.get("/key") == (200, "from the command")
        assert there.command("r2", "object", "delete", "my-bucket/key").returncode == 0
        assert session.get("/key") == (404, "none")
