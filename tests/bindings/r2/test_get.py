"""`get`: bodies, ranges, and conditions; those of `put` as well."""

from __future__ import annotations

import datetime as dt
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bindings.r2.support import START, HandClock, blobs, text, with_bucket
from wrangler_py.bindings.failures import R2Error
from wrangler_py.bindings.r2.objects import R2Object, R2ObjectBody
from wrangler_py.bindings.r2.ranges import Span, _ends, read_span
from wrangler_py.sdk.workers import Headers, Response

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
ETAG, OTHER = "c3fcd3d76192e4007dfb496cca67e13b", "0" * 32
NOW = dt.datetime.fromtimestamp(START / 1000, dt.UTC).replace(tzinfo=None)
SECOND = dt.timedelta(seconds=1)


def test_what_is_not_there_is_none(tmp_path):
    async def body(bucket):
        return await bucket.get("key"), await bucket.head("key")

    assert with_bucket(tmp_path, body) == (None, None)


def test_a_body_is_read_as_text_json_bytes_blob_or_stream(tmp_path):
    async def body(bucket):
        await bucket.put("key", '\ufeff{"a": [1]}', httpMetadata={"contentType": "application/json"})

        async def get():
            return await bucket.get("key")

        raw = '\ufeff{"a": [1]}'.encode()
        assert await (await get()).text() == '{"a": [1]}'
        assert (await (await get()).json()).a == [1]
        assert await (await get()).bytes() == raw
        assert (await (await get()).arrayBuffer()).byteLength == len(raw)
        blob = await (await get()).blob()
        assert (blob.type, blob.content()) == ("application/json", raw)
        assert b"".join([chunk async for chunk in (await get()).body]) == raw
        assert (await (await get()).body.getReader().read()).value == raw
        assert await Response((await get()).body).bytes() == raw

    with_bucket(tmp_path, body)


def test_a_body_is_read_once(tmp_path):
    async def body(bucket):
        await bucket.put("key", "value")
        found = await bucket.get("key")
        assert not found.bodyUsed
        await found.text()
        assert found.bodyUsed
        with pytest.raises(R2Error, match="Body has already been used. It can only be used once."):
            await found.bytes()

    with_bucket(tmp_path, body)


@pytest.mark.parametrize(
    ("wanted", "expected", "at"),
    [
        ({"offset": 3}, ALPHABET[3:], (3, 23)),
        ({"length": 3}, "abc", (0, 3)),
        ({"length": 3.0}, "abc", (0, 3)),
        ({"length": 42}, ALPHABET, (0, 26)),
        ({"offset": 1, "length": 3}, "bcd", (1, 3)),
        ({"suffix": 3}, "xyz", (23, 3)),
        ({"suffix": 42}, ALPHABET, (0, 26)),
        ({}, ALPHABET, (0, 26)),
        (Headers(), ALPHABET, (0, 26)),
        (Headers({"range": "bytes=3-6"}), "defg", (3, 4)),
        (Headers({"range": "bytes=10-"}), ALPHABET[10:], (10, 16)),
        (Headers({"range": "bytes=-5"}), "vwxyz", (21, 5)),
        (Headers({"range": "bytes=20-99"}), ALPHABET[20:], (20, 6)),
        (Headers({"range": "bytes=5-6,10-11"}), ALPHABET, (0, 26)),
        (Headers({"range": "bytes=6-5"}), ALPHABET, (0, 26)),
        (Headers({"range": "lines=1-2"}), ALPHABET, (0, 26)),
    ],
)
def test_a_range_is_some_of_the_bytes(tmp_path, wanted, expected, at):
    async def body(bucket):
        await bucket.put("key", ALPHABET)
        found = await bucket.get("key", range=wanted)
        assert (found.size, tuple(found.range.values())) == (26, at)
        return await found.text()

    assert with_bucket(tmp_path, body) == expected


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"offset": 26}, r"Error: get: The requested range is not satisfiable \(10039\)"),
        ({"length": 0}, "10039"),
        ({"suffix": 0}, "10039"),
        (Headers({"range": "bytes=26-"}), "10039"),
        (Headers({"range": "bytes=-0"}), "10039"),
        ({"offset": -1}, r"RangeError: Invalid range. Starting offset \(-1\) must be greater than or equal to 0."),
        ({"length": 1.5}, r"RangeError: Invalid range. Length \(1.5\) must be an integer, not floating point."),
        ({"suffix": 1, "offset": 1}, "TypeError: Suffix is incompatible with offset."),
        ({"start": 1}, "there is no option 'start'; there are: length, offset, suffix"),
        ("bytes=1-2", "options are an object, not str"),
    ],
)  # fmt: skip
def test_a_range_that_has_no_bytes_or_is_none_is_refused(tmp_path, wanted, message):
    async def body(bucket):
        await bucket.put("key", ALPHABET)
        with pytest.raises(R2Error, match=message):
            await bucket.get("key", {"range": wanted})

    with_bucket(tmp_path, body)


CONDITIONS = [
    ({"etagMatches": ETAG}, True),
    ({"etag_matches": OTHER}, False),
    ({"etagMatches": "*"}, True),
    ({"etagDoesNotMatch": ETAG}, False),
    ({"etagDoesNotMatch": OTHER}, True),
    ({"etagDoesNotMatch": "*"}, False),
    ({"uploadedBefore": NOW + SECOND}, True),
    ({"uploadedBefore": NOW}, False),
    ({"uploadedAfter": NOW - SECOND}, True),
    ({"uploadedAfter": START - 1}, True),
    ({"uploadedAfter": NOW}, False),
    ({"uploadedAfter": NOW - SECOND / 2, "secondsGranularity": True}, True),
    ({"uploadedAfter": (NOW + SECOND / 2).replace(tzinfo=dt.UTC), "secondsGranularity": True}, False),
    # An etag decides where there is one, as in HTTP.
    ({"etagMatches": ETAG, "uploadedBefore": NOW - SECOND}, True),
    ({"etagDoesNotMatch": OTHER, "uploadedAfter": NOW + SECOND}, True),
    ({"etagMatches": ETAG, "etagDoesNotMatch": ETAG}, False),
    (Headers(), True),
    (Headers({"If-Match": f'"{OTHER}", "{ETAG}"'}), True),
    (Headers({"If-Match": f'W/"{ETAG}"'}), False),
    (Headers({"If-None-Match": f'W/"{ETAG}"'}), False),
    (Headers({"If-None-Match": "*"}), False),
    (Headers({"If-Modified-Since": "Wed, 31 Dec 2025 23:59:59 GMT"}), True),
    (Headers({"If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"}), False),
    (Headers({"If-Unmodified-Since": "Wed, 31 Dec 2025 23:59:59 GMT"}), False),
]


@pytest.mark.parametrize(("condition", "holds"), CONDITIONS)
def test_a_get_whose_condition_does_not_hold_has_no_body(tmp_path, condition, holds):
    async def body(bucket):
        await bucket.put("key", ALPHABET)
        found = await bucket.get("key", onlyIf=condition)
        assert type(found) is (R2ObjectBody if holds else R2Object)
        assert hasattr(found, "body") is holds
        assert await bucket.get("missing", onlyIf=condition) is None

    with_bucket(tmp_path, body)


@pytest.mark.parametrize(("condition", "holds"), CONDITIONS)
def test_a_put_whose_condition_does_not_hold_changes_nothing(tmp_path, condition, holds):
    async def body(bucket):
        await bucket.put("key", ALPHABET)
        stored = await bucket.put("key", "new", only_if=condition)
        assert (stored is not None) is holds
        return await text(bucket, "key")

    assert with_bucket(tmp_path, body) == ("new" if holds else ALPHABET)
    assert len(blobs(tmp_path)) == 1


def test_a_put_can_be_for_a_new_key_or_an_old_one_only(tmp_path):
    async def body(bucket):
        assert await bucket.put("key", "1", onlyIf={"etagMatches": ETAG}) is None
        assert await bucket.put("key", "1", onlyIf={"uploadedAfter": 0}) is None
        created = Headers({"if-none-match": "*"})
        assert await bucket.put("key", "1", onlyIf=created)
        assert await bucket.put("key", "2", onlyIf=created) is None
        return await text(bucket, "key")

    assert with_bucket(tmp_path, body) == "1"


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"etagMatches": f'"{ETAG}"'}, "Conditional ETag should not be wrapped in quotes"),
        ({"etagMatches": 5}, "should be text, not int"),
        ({"uploadedAfter": "today"}, "uploadedAfter is a datetime, not str"),
        ({"etag": "x"}, "onlyIf: there is no option 'etag'"),
        (Headers({"if-match": "abc"}), "'abc' is not a list of etags"),
        (Headers({"if-match": '"a" "b"'}), "is not a list of etags"),
        (Headers({"if-modified-since": "x"}), "not a date of HTTP"),
    ],
)
def test_what_is_no_condition_is_named(tmp_path, condition, message):
    async def body(bucket):
        with pytest.raises(R2Error, match=message):
            await bucket.get("key", onlyIf=condition)

    with_bucket(tmp_path, body)


@pytest.mark.parametrize("change", ["put", "delete", "another process"])
def test_a_body_that_is_being_read_keeps_its_bytes_when_the_key_gets_others(tmp_path, change):
    old = b"a" * 3_000_000

    async def body(bucket):
        await bucket.put("key", old)
        found = await bucket.get("key")
        reader = found.body.getReader()
        read = [(await reader.read()).value]
        await _change(bucket, tmp_path, change)
        while (chunk := await reader.read()).done is False:
            read.append(chunk.value)
        return b"".join(read), await text(bucket, "key")

    assert with_bucket(tmp_path, body) == (old, None if change == "delete" else "new")
    assert len(blobs(tmp_path)) == (change != "delete")


async def _change(bucket, folder, how):
    if how == "put":
        await bucket.put("key", "new")
    elif how == "delete":
        await bucket.delete("key")
    else:
        from tests.bindings.r2.support import bucket_in

        with bucket_in(folder, HandClock("1")) as other:
            await other.put("key", "new")


def test_bodies_that_nobody_reads_hold_no_files(tmp_path):
    """More of them than a process may have files open."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, limit[1]))

    async def body(bucket):
        await bucket.put("key", "value")
        for _ in range(300):
            await bucket.get("key")
        found = await bucket.get("key")
        await found.body.cancel()

    try:
        with_bucket(tmp_path, body)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


@given(
    st.text("bytes=-BYTES 0123\t", max_size=12)
    | st.from_regex(r"\s*bytes\s*=\s*\d*\s*-\s*\d*\s*", fullmatch=True)
)
def test_a_range_header_is_two_numbers_of_which_one_may_be_missing(header):
    match = re.fullmatch(r"\s*bytes\s*=\s*([0-9]*)\s*-\s*([0-9]*)\s*", header, re.IGNORECASE)
    expected = match and (match[1] or match[2]) and tuple(int(one) if one else None for one in match.groups())
    assert _ends(header) == (expected or None)


def test_a_long_range_header_is_read_once_and_has_no_number_too_large():
    began = time.process_time()
    assert read_span("get", Headers({"range": "bytes=" + " " * 50_000 + "x"}), 9) == Span(0, 9)
    assert read_span("get", Headers({"range": f"bytes=0{'0' * 6000}1-{'9' * 6000}"}), 9) == Span(1, 8)
    assert time.process_time() - began < 2
