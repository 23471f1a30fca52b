"""The registry of versions: the newest deployment is the active one, and a version is recorded once."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.storage.deployments.conftest import Clock
from wrangler_py.storage.deployments import Deployments, Version


def test_versions_are_numbered_by_script_and_listed_newest_first(
    deployments: Deployments, clock: Clock
) -> None:
    for version in ("a", "b"):
        clock.time += 1
        deployments.add(Version("shop", version, message=f"is {version}", size=3))
    deployments.add(Version("blog", "a"))
    listed = deployments.versions("shop")
    assert [(one.id, one.number, one.created_at) for one in listed] == [
        ("b", 2, 1_000_002),
        ("a", 1, 1_000_001),
    ]
    assert deployments.version("blog", "a").number == 1  # type: ignore[union-attr]
    assert deployments.version("blog", "b") is None


def test_a_version_is_recorded_once_however_often_it_is_deployed(deployments: Deployments) -> None:
    first = deployments.add(Version("shop", "a", message="first"))
    assert deployments.add(Version("shop", "a", message="again")) == first
    assert deployments.versions("shop") == [first]


def test_the_version_deployed_last_is_active_an_older_one_may_be_deployed_again(
    deployments: Deployments,
) -> None:
    assert deployments.active_version("shop") is None
    deployments.release(Version("shop", "a", message="one"))
    deployments.release(Version("shop", "b"))
    deployments.activate("shop", "a", message="back")
    deployments.release(Version("blog", "c"))
    assert deployments.active() == {"shop": "a", "blog": "c"}
    assert deployments.active_version("shop") == "a"
    told = [(one.version, one.message) for one in deployments.history("shop")]
    assert told == [("a", "back"), ("b", None), ("a", "one")]


def test_a_release_that_fails_records_nothing(
    deployments: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(deployments, "activate", fail)
    with pytest.raises(RuntimeError):
        deployments.release(Version("shop", "a"))
    assert deployments.versions("shop") == []


def test_what_is_written_is_seen_by_another_process_s_registry(
    deployments: Deployments, tmp_path: Path, clock: Clock
) -> None:
    other = Deployments.open(tmp_path, clock)
    deployments.release(Version("shop", "a"))
    assert other.active() == {"shop": "a"}
    other.close()


def test_a_script_that_is_removed_leaves_neither_rows_nor_files(deployments: Deployments) -> None:
    deployments.release(Version("shop", "a"))
    folder = deployments.folder("shop", "a")
    folder.mkdir(parents=True)
    deployments.remove("shop")
    assert (deployments.active(), deployments.versions("shop"), deployments.history("shop")) == ({}, [], [])
    assert not folder.parent.exists()


def test_a_staged_folder_goes_unless_it_was_moved_to_its_place(deployments: Deployments) -> None:
    with deployments.staging() as staged:
        (staged / "x.py").touch()
    assert not staged.exists()


def test_sweeping_removes_what_no_version_owns_and_nothing_else(deployments: Deployments) -> None:
    """A deploy killed before its version was recorded has left a folder, in place or still being unpacked."""
    deployments.add(Version("shop", "a"))
    kept, unrecorded = deployments.folder("shop", "a"), deployments.folder("shop", "b")
    kept.mkdir(parents=True)
    unrecorded.mkdir()
    with deployments.staging() as staged:
        deployments.sweep()
        assert (kept.exists(), unrecorded.exists(), staged.exists()) == (True, False, False)


def test_only_this_user_may_read_what_is_deployed(deployments: Deployments, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "deployments").stat().st_mode) == 0o700


def test_of_three_the_last_is_the_third_and_active(deployments: Deployments) -> None:
    for script in ("shop", "blog"):
        for version in ("a", "b", "c"):
            made = deployments.release(Version(script, version))
            assert (made.version, made.source) == (version, "api")
    assert list(deployments.active().items()) == [("blog", "c"), ("shop", "c")]
    assert deployments.active_version("shop") == "c"
    deployments.activate("shop", "b")
    assert (deployments.active_version("shop"), deployments.active_version("blog")) == ("b", "c")
    assert [one.number for one in deployments.versions("shop")] == [3, 2, 1]


def test_a_registry_is_found_where_one_was_made(tmp_path: Path, clock: Clock) -> None:
    assert Deployments.find(tmp_path, clock) is None
    Deployments.open(tmp_path, clock).close()
    found = Deployments.find(tmp_path, clock)
    assert found is not None
    assert found.active() == {}
    assert found.folder("shop", "a") == tmp_path / "deployments" / "shop" / "a"
    found.close()


def test_a_release_records_its_version(deployments: Deployments) -> None:
    deployments.release(Version("shop", "a", size=3))
    (version,) = deployments.versions("shop")
    assert (version.id, version.number, version.size, version.source) == ("a", 1, 3, "api")
