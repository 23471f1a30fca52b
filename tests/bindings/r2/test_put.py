"""`put`, `head` and `delete`: what may be stored, what is stored with it, and what R2 refuses."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib

import pytest

from tests.bindings.r2.support import START, HandClock, blobs, chunks, text, with_bucket
from wrangler_py.bindings.failures import R2Error
from wrangler_py.bindings.r2.digests import MD5_UP_TO
from wrangler_py.sdk.js import Blob as JsBlob
from wrangler_py.sdk.pyodide.ffi import JsBuffer, JsException, jsnull, to_js
from wrangler_py.sdk.workers import Blob, Headers, Response

DAY = dt.datetime(2023, 2, 24)
HTTP = {
    "contentType": "text/plain",
    "contentLanguage": "en-GB",
    "contentDisposition": 'attachment; filename="value.txt"',
    "contentEncoding": "gzip",
    "cacheControl": "max-age=3600",
    "cacheExpiry": DAY,
}


@pytest.mark.parametrize(
    "value",
    [
        "välue",
        "välue".encode(),
        bytearray("välue".encode()),
        memoryview("välue".encode()),
        memoryview("vxäxlxuxex".encode("latin-1"))[::2].tobytes().decode("latin-1"),
        JsBuffer("välue".encode()),
        lambda: Blob(["väl", "ue"]),
        lambda: JsBlob.new(["välue"]),
        lambda: Response("välue").body,
        lambda: chunks("vä".encode(), b"", b"lue"),
    ],
)
def test_every_kind_of_value_is_stored_as_its_bytes(tmp_path, value):
    async def body(bucket):
        stored = await bucket.put("key", value() if callable(value) else value)
        return stored.size, await text(bucket, "key")

    assert with_bucket(tmp_path, body) == (6, "välue")


@pytest.mark.parametrize("nothing", [None, jsnull, "", b"", chunks])
def test_no_bytes_are_an_object_too(tmp_path, nothing):
    async def body(bucket):
        await bucket.put("key", nothing() if callable(nothing) else nothing)
        found = await bucket.get("key")
        return found.size, found.range, await found.text()

    assert with_bucket(tmp_path, body) == (0, {"offset": 0, "length": 0}, "")


def test_a_stored_object_tells_all_about_itself_at_once_and_later(tmp_path):
    async def body(bucket):
        stored = await bucket.put("key", "value", httpMetadata=HTTP, customMetadata={"a": "b"})
        for one in (stored, await bucket.head("key"), await bucket.get("key")):
            assert (one.key, one.size, one.etag) == ("key", 5, "2063c1608d6e0baf80249c42e2be5804")
            assert one.httpEtag == '"2063c1608d6e0baf80249c42e2be5804"'
            assert len(one.version) == 32
            assert one.version == stored.version
            assert one.uploaded == dt.datetime.fromtimestamp(START / 1000, dt.UTC).replace(tzinfo=None)
            assert one.uploaded.getTime() == START
            assert one.checksums.toJSON() == {"md5": one.etag}
            assert (one.checksums.md5.hex(), one.checksums.sha1) == (one.etag, None)
            assert one.httpMetadata == HTTP
            assert one.httpMetadata.contentType == "text/plain"
            assert one.customMetadata == {"a": "b"}
            assert one.storageClass == "Standard"
        assert stored.range is None
        return stored.version, (await bucket.put("key", "value")).version

    first, second = with_bucket(tmp_path, body)
    assert first != second


@pytest.mark.parametrize(
    "call",
    [
        lambda bucket, options: bucket.put("key", "v", options),
        lambda bucket, options: bucket.put("key", "v", to_js(options)),
        lambda bucket, options: bucket.put("key", "v", **options),
        lambda bucket, _: bucket.put(
            "key",
            "v",
            http_metadata={"content_type": "a/b"},
            custom_metadata={"n": "1"},
            storage_class="InfrequentAccess",
        ),
    ],
)
def test_options_are_an_object_or_keywords_in_either_spelling(tmp_path, call):
    options = {
        "httpMetadata": {"contentType": "a/b"},
        "customMetadata": {"n": 1},
        "storageClass": "InfrequentAccess",
        "sha256": None,
    }

    async def body(bucket):
        await call(bucket, options)
        found = await bucket.head("key")
        return found.httpMetadata, found.customMetadata, found.storageClass

    assert with_bucket(tmp_path, body) == ({"contentType": "a/b"}, {"n": "1"}, "InfrequentAccess")


def test_http_metadata_comes_from_headers_and_goes_into_them(tmp_path):
    headers = Headers({"Content-Type": "a/b", "expires": "Fri, 24 Feb 2023 00:00:00 GMT", "x-other": "1"})

    async def body(bucket):
        await bucket.put("key", "v", httpMetadata=headers)
        found = await bucket.head("key")
        written = Headers({"x": "y"})
        found.writeHttpMetadata(written)
        return found.httpMetadata, dict(written.items())

    assert with_bucket(tmp_path, body) == (
        {"contentType": "a/b", "cacheExpiry": DAY},
        {"x": "y", "content-type": "a/b", "expires": "Fri, 24 Feb 2023 00:00:00 GMT"},
    )


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("as_bytes", [True, False])
def test_a_checksum_is_verified_and_kept(tmp_path, algorithm, as_bytes):
    digest = hashlib.new(algorithm, b"value")
    given = digest.digest() if as_bytes else digest.hexdigest().upper()

    async def body(bucket):
        await bucket.put("key", "value", {algorithm: given})
        return (await bucket.head("key")).checksums.toJSON()

    md5 = hashlib.md5(b"value").hexdigest()
    assert with_bucket(tmp_path, body) == {"md5": md5, algorithm: digest.hexdigest()}


def test_bytes_that_are_not_those_of_their_checksum_are_not_stored(tmp_path):
    wrong, right = "0" * 64, hashlib.sha256(b"new").hexdigest()

    async def body(bucket):
        await bucket.put("key", "old")
        for value in ("new", chunks(b"ne", b"w")):
            with pytest.raises(R2Error) as caught:
                await bucket.put("key", value, sha256=wrong)
        return caught.value, await text(bucket, "key")

    error, stays = with_bucket(tmp_path, body)
    assert str(error) == (
        "Error: put: The SHA-256 checksum you specified did not match what we received.\n"
        f"You provided a SHA-256 checksum with value: {wrong}\n"
        f"Actual SHA-256 was: {right} (10037)"
    )
    assert (error.code, stays, len(blobs(tmp_path))) == (10037, "old", 1)


@pytest.mark.parametrize(
    ("size", "given", "etag"),
    [
        (MD5_UP_TO, {}, "md5"),
        (MD5_UP_TO + 1, {}, "version"),
        (MD5_UP_TO + 1, {"md5"}, "md5"),
        (MD5_UP_TO + 1, {"sha1"}, "version"),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
def test_the_etag_of_a_large_object_is_its_version_and_its_md5_is_there_for_the_asking(
    tmp_path, size, given, etag, streamed
):
    data = bytes(size)
    expected = {name: hashlib.new(name, data).hexdigest() for name in ("md5", *given)}

    async def body(bucket):
        value = chunks(*(data[start : start + 1_000_000] for start in range(0, size, 1_000_000)))
        checksums = {name: hashlib.new(name, data).hexdigest() for name in given}
        stored = await bucket.put("key", value if streamed else data, checksums)
        assert stored.etag == (stored.version if etag == "version" else expected["md5"])
        assert (await bucket.head("key")).etag == stored.etag
        return (await bucket.head("key")).checksums.toJSON()

    assert with_bucket(tmp_path, body) == expected


def test_the_md5_of_an_object_that_has_gone_is_not_there(tmp_path):
    async def body(bucket):
        stored = await bucket.put("key", bytes(MD5_UP_TO + 1))
        await bucket.delete("key")
        return stored.checksums.md5, stored.checksums.toJSON()

    assert with_bucket(tmp_path, body) == (None, {})


@pytest.mark.parametrize("method", ["head", "get", "put", "delete", "createMultipartUpload"])
@pytest.mark.parametrize("key", ["", "k" * 1025, "ä" * 513, "\ud800"])
def test_a_key_has_1_to_1024_bytes(tmp_path, method, key):
    async def body(bucket):
        arguments = (key, "value") if method == "put" else (key,)
        with pytest.raises(R2Error) as caught:
            await getattr(bucket, method)(*arguments)
        return str(caught.value)

    assert with_bucket(tmp_path, body) == f"Error: {method}: The specified object name is not valid. (10020)"


@pytest.mark.parametrize("key", ["k" * 1024, "../../etc/passwd", "/", ".", "a\0b", "a\nb", "ü/𐀀"])
def test_any_other_key_is_just_a_key(tmp_path, key):
    async def body(bucket):
        await bucket.put(key, "value")
        return await text(bucket, key), [one.key for one in (await bucket.list()).objects]

    assert with_bucket(tmp_path, body) == ("value", [key])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bucket"]


@pytest.mark.parametrize(
    ("custom", "fits"),
    [
        ({"key": "x" * 8189}, True),
        ({"key": "x" * 8190}, False),
        ({"key": "🙂" * 2047}, True),
        ({"key1": "é" * 8188}, True),
        ({"key": "🙂" * 2048}, False),
    ],
)
def test_custom_metadata_has_8192_bytes_at_most(tmp_path, custom, fits):
    async def body(bucket):
        if fits:
            return (await bucket.put("key", "v", customMetadata=custom)).customMetadata
        with pytest.raises(R2Error) as caught:
            await bucket.put("key", "v", customMetadata=custom)
        return str(caught.value)

    message = "Error: put: Your metadata headers exceed the maximum allowed metadata size. (10012)"
    assert with_bucket(tmp_path, body) == (custom if fits else message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("key", 5), "TypeError: put: a value is a ReadableStream, bytes, a str or a Blob, not int"),
        (("key", ["a"]), "not list"),
        ((5, "v"), "a key is text, not int"),
        (("key", "v", "options"), "options are an object, not str"),
        (("key", "v", {"sha": "x"}), "there is no option 'sha'; there are: customMetadata"),
        (("key", "v", {"httpMetadata": {"type": "a/b"}}), "httpMetadata: there is no option 'type'"),
        (("key", "v", {"httpMetadata": {"contentType": 1}}), "contentType is text, not int"),
        (("key", "v", {"httpMetadata": Headers({"expires": "soon"})}), "'soon' is not a date of HTTP"),
        (("key", "v", {"customMetadata": {"a": b"x"}}), r"customMetadata\['a'\] is text, not bytes"),
        (("key", "v", {"customMetadata": "a"}), "customMetadata is an object of text"),
        (("key", "v", {"storageClass": "Cold"}), "storageClass is Standard or InfrequentAccess, not 'Cold'"),
        (("key", "v", {"md5": "00"}), "TypeError: MD5 is 32 hex characters, not 2"),
        (("key", "v", {"md5": b"00"}), "TypeError: MD5 is 16 bytes, not 2"),
        (("key", "v", {"sha1": "z" * 40}), "Provided SHA-1 wasn't a valid hex string"),
        (("key", "v", {"sha1": 5}), "SHA-1 is bytes or hexadecimal text, not int"),
        (
            ("key", "v", {"md5": "0" * 32, "sha1": "0" * 40}),
            "You cannot specify multiple hashing algorithms.",
        ),
    ],
)
def test_what_is_no_argument_is_named_and_nothing_is_stored(tmp_path, arguments, message):
    async def body(bucket):
        with pytest.raises(JsException, match=message):
            await bucket.put(*arguments)
        return await bucket.head("key")

    assert with_bucket(tmp_path, body) is None


def test_a_response_instead_of_its_body_is_told(tmp_path):
    async def body(bucket):
        with pytest.raises(R2Error, match="not Response; give its body"):
            await bucket.put("key", Response("x"))

    with_bucket(tmp_path, body)


def test_a_stream_is_stored_once(tmp_path):
    async def body(bucket):
        stream = Response("x").body
        await bucket.put("key", stream)
        with pytest.raises(R2Error, match="disturbed"):
            await bucket.put("key", stream)

    with_bucket(tmp_path, body)


def test_a_stream_that_breaks_off_changes_nothing_and_its_error_passes(tmp_path):
    closed = []

    async def broken():
        try:
            yield bytes(6_000_000)
            raise ConnectionError("hung up")
        finally:
            closed.append(True)

    async def body(bucket):
        await bucket.put("key", "old")
        with pytest.raises(ConnectionError, match="^hung up$"):
            await bucket.put("key", broken())
        return await text(bucket, "key")

    assert with_bucket(tmp_path, body) == "old"
    assert (closed, len(blobs(tmp_path))) == ([True], 1)


def test_a_stream_of_something_else_than_bytes_is_refused(tmp_path):
    async def words():
        yield "text"

    async def body(bucket):
        with pytest.raises(TypeError, match="yields bytes, not str"):
            await bucket.put("key", words())

    with_bucket(tmp_path, body)
    assert blobs(tmp_path) == []


def test_a_put_that_is_cancelled_changes_nothing(tmp_path):
    """Whether it waits for its stream or for the disk: files are let go only when no thread works on them."""

    async def body(bucket):
        await bucket.put("key", "old")
        for turns in range(0, 200, 5):
            arrived = asyncio.Event()

            async def endless(arrived=arrived):
                while True:
                    arrived.set()
                    yield bytes(2_000_000)

            putting = asyncio.create_task(bucket.put("key", endless()))
            await arrived.wait()
            for _ in range(turns):
                await asyncio.sleep(0)
            putting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await putting
        return await text(bucket, "key")

    assert with_bucket(tmp_path, body) == "old"
    assert len(blobs(tmp_path)) == 1


def test_more_than_a_put_may_have_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("wrangler_py.bindings.r2.intake.LARGEST", 3_000_000)
    monkeypatch.setattr("wrangler_py.bindings.r2.bucket.LARGEST", 3_000_000)
    message = r"put: Your proposed upload exceeds the maximum allowed object size. \(100100\)"

    async def body(bucket):
        for value in (bytes(3_000_001), chunks(bytes(3_000_000), b"x")):
            with pytest.raises(R2Error, match=message):
                await bucket.put("key", value)
        await bucket.put("key", bytes(3_000_000))

    with_bucket(tmp_path, body)


def test_deleting_removes_the_bytes_and_what_is_not_there_is_no_error(tmp_path):
    async def body(bucket):
        for key in "abcd":
            await bucket.put(key, key)
        await bucket.delete("a")
        await bucket.delete(["b", "missing", "c"])
        await bucket.delete([])
        return [one.key for one in (await bucket.list()).objects]

    assert with_bucket(tmp_path, body) == ["d"]
    assert len(blobs(tmp_path)) == 1


def test_no_more_than_1000_keys_are_deleted_at_once(tmp_path):
    async def body(bucket):
        await bucket.put("0", "v")
        with pytest.raises(R2Error, match="At most 1000 keys can be deleted at once, not 1001"):
            await bucket.delete([str(number) for number in range(1001)])
        assert await bucket.head("0")
        await bucket.delete([str(number) for number in range(1000)])
        assert await bucket.head("0") is None

    with_bucket(tmp_path, body)


def test_a_bucket_keeps_what_it_has_when_it_is_opened_again(tmp_path):
    async def put(bucket):
        await bucket.put("key", "value", customMetadata={"a": "b"})

    async def get(bucket):
        found = await bucket.get("key")
        return found.customMetadata, await found.text()

    with_bucket(tmp_path, put)
    assert with_bucket(tmp_path, get, HandClock("1")) == ({"a": "b"}, "value")
