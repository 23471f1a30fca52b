"""What travels between two Workers: a head, and behind it the body of a request or response, as it comes.

::

    4 bytes: length of the head   head: JSON   body: bytes to the end

The head is an `Invocation` on the way there, an `Answer` on the way back. Values are written by `serde`
(python-sdk, section 4). A `Request` or `Response` travels as an argument or a result in itself, not inside of one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from wrangler_py.bindings.failures import RpcError
from wrangler_py.bindings.resources import Target
from wrangler_py.sdk.raised import Raised
from wrangler_py.serde import NotSerialisableError, RpcTypeError, decode, encode

if TYPE_CHECKING:
    from wrangler_py.sdk.web.request import Request
    from wrangler_py.sdk.web.response import FetchResponse, Response
    from wrangler_py.sdk.web.streams import Source

#: Bytes of the arguments or the result of one call (Workers docs, "RPC", "Limitations").
MAX_VALUES = 32 * 1024 * 1024
#: Bytes of a head, whatever is in it beside values.
MAX_HEAD = MAX_VALUES + 4 * 1024 * 1024
_LENGTH = 4

Pairs = list[tuple[str, str]]


class RequestHead(msgspec.Struct, frozen=True, tag="request"):
    """A request without its body."""

    method: str
    url: str
    headers: Pairs
    has_body: bool


class ResponseHead(msgspec.Struct, frozen=True, tag="response"):
    """A response without its body."""

    status: int
    status_text: str
    headers: Pairs
    url: str
    has_body: bool


class Attached(msgspec.Struct, frozen=True):
    """The one argument that is a request or a response: its position or its name."""

    at: int | str
    head: RequestHead | ResponseHead


class Invocation(msgspec.Struct, frozen=True):
    """A call of ``method`` at ``target`` of ``script``; ``depth``: how many calls led to it, this one included."""

    script: str
    target: Target
    method: str
    args: msgspec.Raw
    kwargs: msgspec.Raw
    depth: int
    attached: Attached | None = None


class Result(msgspec.Struct, frozen=True, tag="result"):
    """What the method returned: a value, or a response."""

    value: msgspec.Raw
    response: ResponseHead | None = None


class Items(msgspec.Struct, frozen=True, tag="items"):
    """The method gives values as they come: each is a line of the body, a `Result` or at last a `Raised`."""


class Misdirected(msgspec.Struct, frozen=True, tag="misdirected"):
    """The call is for another script than ``serves``; nothing was done."""

    serves: str


Answer = Result | Items | Raised | Misdirected
_encode = msgspec.json.Encoder().encode
_read_invocation = msgspec.json.Decoder(Invocation).decode
_read_answer = msgspec.json.Decoder(Answer).decode
_read_item = msgspec.json.Decoder(Result | Raised).decode
_NOTHING = msgspec.Raw(b"null")


class Parcel(NamedTuple):
    """A head, still in bytes, and the body behind it."""

    head: bytes
    body: Source = b""

    @property
    def front(self) -> bytes:
        """The head with its length before it."""
        return len(self.head).to_bytes(_LENGTH, "big") + self.head


# calls ---------------------------------------------------------------------------------------------------------------


def pack_call(
    script: str,
    target: Target,
    method: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    depth: int = 1,
) -> Parcel:
    """Return a call as it travels.

    Raises:
        TypeError: an argument cannot be sent (python-sdk, section 4), or more than one is a request or response.
        RpcError: the arguments are larger than 32 MiB.
        OSError: the body of a request or response was read before.
    """
    attached, body = _attach(args, kwargs)
    packed = _pack_values([None if _is_web(one) else one for one in args])
    named = _pack_values({name: None if _is_web(one) else one for name, one in kwargs.items()})
    _check_size(len(packed) + len(named))
    call = Invocation(script, target, method, msgspec.Raw(packed), msgspec.Raw(named), depth, attached)
    return Parcel(_encode(call), body)


def open_call(parcel: Parcel) -> tuple[Invocation, list[Any], dict[str, Any]]:
    """Return a call and its arguments.

    Raises:
        ValueError: the head is none of a call.
    """
    call = _read_invocation(parcel.head)
    args, kwargs = decode(bytes(call.args)), decode(bytes(call.kwargs))
    if call.attached is not None:
        whole = _rebuild(call.attached.head, parcel.body)
        if isinstance(call.attached.at, int):
            args[call.attached.at] = whole
        else:
            kwargs[call.attached.at] = whole
    return call, args, kwargs


def _attach(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Attached | None, Source]:
    places: Iterable[tuple[int | str, Any]] = chain(enumerate(args), kwargs.items())
    web = [(at, one) for at, one in places if _is_web(one)]
    if not web:
        return None, b""
    if len(web) > 1:
        raise TypeError("only one argument of a call to another Worker may be a Request or a Response")
    at, one = web[0]
    head, body = _pack_web(one)
    return Attached(at, head), body


# answers -------------------------------------------------------------------------------------------------------------


def pack_result(value: Any) -> Parcel:
    """Return what a method returned, as it travels.

    Raises:
        TypeError, RpcError, OSError: it cannot be sent; see `pack_call`.
    """
    if _is_web(value):
        head, body = _pack_web(value)
        if isinstance(head, ResponseHead):
            return Parcel(_encode(Result(_NOTHING, head)), body)
    packed = _pack_values(value)
    _check_size(len(packed))
    return Parcel(_encode(Result(msgspec.Raw(packed))))


def pack_items(values: AsyncIterator[Any]) -> Parcel:
    """Return values that come one by one, as they travel."""
    return Parcel(_encode(Items()), _lines(values))


def pack_answer(answer: Raised | Misdirected) -> Parcel:
    """Return an answer that is no result, as it travels."""
    return Parcel(_encode(answer))


def open_answer(parcel: Parcel) -> Answer:
    """Return the head of an answer.

    Raises:
        ValueError: it is none.
    """
    answer: Answer = _read_answer(parcel.head)
    return answer


def open_result(result: Result, body: Source = b"") -> Any:
    """Return the value, or the response with its body still to be read."""
    return decode(bytes(result.value)) if result.response is None else _rebuild(result.response, body)


async def open_items(body: Source) -> AsyncIterator[Any]:
    """Give the `Result` or `Raised` of each line."""
    from wrangler_py.sdk.web.streams import chunks_of

    rest = b""
    async for chunk in chunks_of(body):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield _read_item(line)


async def _lines(values: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    from wrangler_py.sdk.raised import pack_error
    from wrangler_py.sdk.web.streams import close

    try:
        async for value in values:
            yield _encode(Result(msgspec.Raw(_pack_values(value)))) + b"\n"
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets it
        yield _encode(pack_error(error)) + b"\n"
    finally:
        await close(values)


# values, requests, responses -----------------------------------------------------------------------------------------


def _pack_values(value: Any) -> bytes:
    try:
        # The arguments of a call stand in a list or a dict of their own.
        return encode(value, around=1)
    except RpcTypeError:
        raise
    except NotSerialisableError as error:
        raise TypeError(error.saying("cannot be sent to another Worker")) from None


def _check_size(size: int) -> None:
    if size > MAX_VALUES:
        raise RpcError(
            "Serialized RPC arguments or return values are limited to 32MiB, "
            f"but the size of this value was: {size} bytes."
        )


def _is_web(value: Any) -> bool:
    from wrangler_py.sdk.web.body import Readable

    return isinstance(value, Readable)


def _pack_web(value: Request | FetchResponse) -> tuple[RequestHead | ResponseHead, Source]:
    from wrangler_py.sdk.web.request import Request
    from wrangler_py.sdk.wire import unpack, unpack_request

    has_body = value.body is not None
    if isinstance(value, Request):
        request = unpack_request(value)
        return RequestHead(
            request.method, request.url, _texts(request.headers), has_body
        ), request.body or b""
    answer = unpack(value)
    head = ResponseHead(answer.status, answer.status_text, _texts(answer.headers), value.url, has_body)
    return head, answer.body


def _rebuild(head: RequestHead | ResponseHead, body: Source) -> Request | Response:
    from wrangler_py.sdk.wire import make_request, make_response

    headers = [(name.encode(), value.encode()) for name, value in head.headers]
    given = body if head.has_body else None
    if isinstance(head, RequestHead):
        return make_request(head.method, head.url, headers, given)
    return make_response(head.status, head.status_text, headers, given, head.url)


def _texts(headers: list[tuple[bytes, bytes]]) -> Pairs:
    return [(name.decode(), value.decode()) for name, value in headers]


# frames --------------------------------------------------------------------------------------------------------------


async def read_parcel(chunks: AsyncIterator[bytes]) -> Parcel:
    """Take a parcel from a stream: its head, and the rest of the stream as its body.

    Raises:
        ValueError: the stream is none of a parcel.
    """
    front = bytearray()
    while len(front) < _LENGTH or len(front) < _LENGTH + _head_length(front):
        chunk = await anext(chunks, None)
        if chunk is None:
            raise ValueError("the parcel ends inside its head")
        front += chunk
    end = _LENGTH + _head_length(front)
    return Parcel(bytes(front[_LENGTH:end]), _Rest(bytes(front[end:]), chunks))


def _head_length(front: bytearray) -> int:
    length = int.from_bytes(front[:_LENGTH], "big")
    if length > MAX_HEAD:
        raise ValueError(f"a head of {length} bytes is longer than any")
    return length


class _Rest:
    """What is left of a stream; closing it closes the stream, also before the first chunk."""

    def __init__(self, first: bytes, chunks: AsyncIterator[bytes]) -> None:
        self._first, self._chunks = first, chunks

    def __aiter__(self) -> _Rest:
        return self

    async def __anext__(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        return await anext(self._chunks)

    async def aclose(self) -> None:
        from wrangler_py.sdk.web.streams import close

        await close(self._chunks)
