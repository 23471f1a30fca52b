"""Multipart uploads: parts in any order, one object at the end, and the rules of R2 on the way."""

from __future__ import annotations

import hashlib

import pytest

from tests.bindings.r2.support import HandClock, blobs, bucket_in, chunks, text, with_bucket
from wrangler_py.bindings.failures import R2Error
from wrangler_py.bindings.r2.multipart import SMALLEST_PART, choose_parts
from wrangler_py.storage.r2 import Part

A, B, C = (letter * SMALLEST_PART for letter in (b"a", b"b", b"c"))
NO_UPLOAD = r"The specified multipart upload does not exist. \(10024\)"


def test_parts_in_any_order_become_one_object(tmp_path):
    async def body(bucket):
        upload = await bucket.createMultipartUpload(
            "key",
            httpMetadata={"contentType": "a/b"},
            customMetadata={"c": "d"},
            storageClass="InfrequentAccess",
        )
        assert upload.key == "key"
        last = await upload.uploadPart(7, chunks(b"e", b"nd"))
        first = await upload.uploadPart(1, A)
        middle = await upload.uploadPart(2, B)
        assert await bucket.head("key") is None
        done = await upload.complete([middle, last, {"partNumber": 1, "etag": first.etag}])
        found = await bucket.get("key")
        assert await found.bytes() == A + B + b"end"
        md5 = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in (A, B, b"end"))).hexdigest()
        assert (found.etag, done.etag) == (f"{md5}-3", f"{md5}-3")
        assert (done.size, done.checksums.toJSON()) == (2 * SMALLEST_PART + 3, {})
        assert (found.httpMetadata, found.customMetadata) == ({"contentType": "a/b"}, {"c": "d"})
        assert found.storageClass == "InfrequentAccess"
        ranged = await bucket.get("key", range={"offset": SMALLEST_PART - 1, "length": 2})
        return await ranged.text()

    assert with_bucket(tmp_path, body) == "ab"
    assert len(blobs(tmp_path)) == 1


def test_a_part_may_be_put_anew_and_parts_that_are_not_asked_for_are_dropped(tmp_path):
    async def body(bucket):
        await bucket.put("key", "before")
        upload = await bucket.createMultipartUpload("key")
        old = await upload.uploadPart(1, "old")
        new = await upload.uploadPart(1, "new")
        await upload.uploadPart(2, "not wanted")
        with pytest.raises(
            R2Error, match=r"One or more of the specified parts could not be found. \(10025\)"
        ):
            await upload.complete([old])
        assert await text(bucket, "key") == "before"
        await upload.complete([new])
        return await text(bucket, "key")

    assert with_bucket(tmp_path, body) == "new"
    assert len(blobs(tmp_path)) == 1


def test_an_upload_goes_on_in_another_process(tmp_path):
    async def begin(bucket):
        upload = await bucket.createMultipartUpload("key")
        return upload.uploadId, await upload.uploadPart(1, "value")

    upload_id, part = with_bucket(tmp_path, begin)

    async def end(bucket):
        await bucket.resumeMultipartUpload("key", upload_id).complete([part])
        return await text(bucket, "key")

    assert with_bucket(tmp_path, end, HandClock("1")) == "value"


def test_an_aborted_upload_has_gone_with_its_parts(tmp_path):
    async def body(bucket):
        upload = await bucket.createMultipartUpload("key")
        part = await upload.uploadPart(1, "value")
        await upload.abort()
        await upload.abort()
        for call in (upload.uploadPart(2, "x"), upload.complete([part])):
            with pytest.raises(R2Error, match=NO_UPLOAD):
                await call
        return await bucket.head("key")

    assert with_bucket(tmp_path, body) is None
    assert blobs(tmp_path) == []


def test_a_completed_upload_is_over_and_aborting_it_leaves_the_object(tmp_path):
    async def body(bucket):
        upload = await bucket.createMultipartUpload("key")
        part = await upload.uploadPart(1, "value")
        await upload.complete([part])
        await upload.abort()
        for call in (upload.uploadPart(1, "x"), upload.complete([part])):
            with pytest.raises(R2Error, match=NO_UPLOAD):
                await call
        return await text(bucket, "key")

    assert with_bucket(tmp_path, body) == "value"


def test_an_upload_that_does_not_exist_is_told_when_it_is_used(tmp_path):
    async def body(bucket):
        known = await bucket.createMultipartUpload("key")
        for upload in (
            bucket.resumeMultipartUpload("key", "unknown"),
            bucket.resumeMultipartUpload("other", known.uploadId),
        ):
            for method, call in (
                ("uploadPart", upload.uploadPart(1, "x")),
                ("completeMultipartUpload", upload.complete([{"partNumber": 1, "etag": "x"}])),
                ("abortMultipartUpload", upload.abort()),
            ):
                with pytest.raises(R2Error, match=f"Error: {method}: {NO_UPLOAD}"):
                    await call

    with_bucket(tmp_path, body)


def test_of_two_that_complete_one_wins(tmp_path):
    """The second finds the upload ended after it has put its bytes together."""

    async def body(bucket):
        upload = await bucket.createMultipartUpload("key")
        part = await upload.uploadPart(1, "value")
        with bucket_in(tmp_path, HandClock("1")) as other:
            opened = await other.opened()
            complete = opened.store.complete

            def late(*arguments):
                bucket._open_bucket.store.complete = complete
                assert complete(*arguments)
                return False

            opened.store.complete = late
            with pytest.raises(R2Error, match=NO_UPLOAD):
                await other.resumeMultipartUpload("key", upload.uploadId).complete([part])
        with pytest.raises(R2Error, match=NO_UPLOAD):
            await upload.complete([part])
        return await text(bucket, "key")

    assert with_bucket(tmp_path, body) == "value"


@pytest.mark.parametrize("number", [0, 10_001, 1.5, "1", True])
def test_a_part_has_a_number_from_1_to_10000(tmp_path, number):
    async def body(bucket):
        upload = await bucket.createMultipartUpload("key")
        with pytest.raises(
            R2Error, match=r"TypeError: Part number must be between 1 and 10000 \(inclusive\). Actual"
        ):
            await upload.uploadPart(number, "x")

    with_bucket(tmp_path, body)


def test_what_is_no_part_is_told(tmp_path):
    async def body(bucket):
        upload = await bucket.createMultipartUpload("key")
        for parts in (["etag"], [{"partNumber": 1}], [{"etag": "x", "partNumber": 0}]):
            with pytest.raises(R2Error, match="TypeError"):
                await upload.complete(parts)
        with pytest.raises(R2Error, match="10025"):
            await upload.complete([])

    with_bucket(tmp_path, body)


def parts(*sizes):
    return [Part("u", number, "", size, str(number)) for number, size in enumerate(sizes, 1)]


def wanted(*numbers):
    return [(number, str(number)) for number in numbers]


@pytest.mark.parametrize(
    ("sizes", "numbers", "outcome"),
    [
        ((5,), (1,), [1]),
        ((5, 5), (2, 1), [1, 2]),
        ((5, 5, 1), (1, 2, 3), [1, 2, 3]),
        ((6, 6, 0), (1, 3), [1, 3]),
        ((1,), (1,), [1]),
        ((4, 5), (1, 2), 10011),
        ((5, 6, 5), (1, 2, 3), 10048),
        ((5, 6), (1, 2), 10048),
        ((5,), (1, 2), 10025),
        ((5, 5), (1, 1), 10025),
        ((5,), (), 10025),
    ],
)
def test_parts_but_the_last_have_one_size_of_5_mib_at_least(sizes, numbers, outcome):
    uploaded = parts(*(size << 20 for size in sizes))
    if isinstance(outcome, list):
        assert [part.number for part in choose_parts(uploaded, wanted(*numbers))] == outcome
        return
    with pytest.raises(R2Error) as caught:
        choose_parts(uploaded, wanted(*numbers))
    assert caught.value.code == outcome


def test_an_upload_is_forgotten_after_seven_days(tmp_path):
    clock = HandClock()

    async def begin(bucket):
        upload = await bucket.createMultipartUpload("key")
        await upload.uploadPart(1, "value")
        return upload.uploadId

    upload_id = with_bucket(tmp_path, begin, clock)

    async def use(bucket):
        await bucket.resumeMultipartUpload("key", upload_id).uploadPart(2, "more")

    clock.at += 7 * 24 * 3600 * 1000
    with_bucket(tmp_path, use, clock)
    assert len(blobs(tmp_path)) == 2
    clock.at += 1
    with pytest.raises(R2Error, match=NO_UPLOAD):
        with_bucket(tmp_path, use, clock)
    assert blobs(tmp_path) == []
