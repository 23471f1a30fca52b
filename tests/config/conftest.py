"""A project folder, and its configuration loaded."""

import pytest

from wrangler_py import config as configuration


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "entry.py").write_text("")
    monkeypatch.chdir(tmp_path)

    def load(text, name="wrangler.toml", **options):
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / name).write_bytes(data)
        return configuration.load(tmp_path / name, **options)

    load.root = tmp_path
    return load
