"""Workers of the documents' examples, ported to Python, run in a real host."""

import pytest

from tests.support.hosted import in_host, without_looking


@pytest.fixture
def worker(tmp_path, monkeypatch):
    without_looking(monkeypatch)

    def run(entry, body, config="", **options):
        return in_host(tmp_path, entry, body, config, **options)

    return run
