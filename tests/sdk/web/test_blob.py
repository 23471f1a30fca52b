from __future__ import annotations

import pytest

from wrangler_py.sdk.web.blob import Blob, BlobEnding, File


async def test_a_blob_is_its_parts_in_a_row() -> None:
    blob = Blob(["ä", b"\x00\xff", memoryview(b"m"), Blob("in")], content_type="text/x")
    assert await blob.bytes() == "ä".encode() + b"\x00\xffmin"
    assert (blob.size, blob.content_type) == (7, "text/x")


async def test_one_value_alone_is_one_part() -> None:
    assert await Blob("text").text() == "text"
    assert await Blob(b"\x01\x02").bytes() == b"\x01\x02"


def test_a_blob_of_a_blob_keeps_its_type() -> None:
    assert Blob(Blob("a", "image/png")).content_type == "image/png"
    assert Blob(Blob("a", "image/png"), "text/plain").content_type == "text/plain"


async def test_slices_count_from_both_ends() -> None:
    assert await Blob("abcdef").slice(1, -1, "x/y").text() == "bcde"
    assert Blob("abc").slice(1).content_type == ""


async def test_native_endings_change_text_only() -> None:
    assert await Blob(["a\r\nb\rc", b"\r\n"], endings="native").bytes() == b"a\nb\nc\r\n"
    assert await Blob("a\r\n", endings=BlobEnding.TRANSPARENT).bytes() == b"a\r\n"


def test_a_blob_is_made_of_text_bytes_and_blobs() -> None:
    with pytest.raises(TypeError, match="not int"):
        Blob([1])  # type: ignore[list-item]


def test_a_file_of_a_file_keeps_its_type_and_date() -> None:
    file = File(File("a", "old.txt", "text/plain", last_modified=5), "new.txt")
    assert (file.name, file.content_type, file.last_modified) == ("new.txt", "text/plain", 5)
    assert File("a", "x").last_modified > 1_700_000_000_000
