"""Ids and stubs: who is called, what travels, what is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.bindings.durable.room import SCRIPT, Room, in_room
from tests.support.world import in_world
from wrangler_py.bindings import Target
from wrangler_py.bindings.durable import declare
from wrangler_py.bindings.durable.ids import Ids
from wrangler_py.bindings.durable.namespace import Namespace
from wrangler_py.bindings.failures import ObjectError
from wrangler_py.config.model import Config, ObjectConfig, ResourcesConfig
from wrangler_py.errors import WorkerLoadError
from wrangler_py.sdk.pyodide.ffi import JsException
from wrangler_py.sdk.workers import DurableObject, Request, Response
from wrangler_py.serde import NotSerialisableError


class OutOfStockError(ValueError):
    pass


class Shelf(DurableObject):
    lives = 0

    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        Shelf.lives += 1
        self.seen = []

    async def fetch(self, request):
        return Response.json({"method": request.method, "url": request.url, "body": await request.text()})

    async def echo(self, *args, **kwargs):
        self.seen.extend(args)
        return [list(args), kwargs]

    def plain(self, a, b=2):
        return a + b

    async def mine(self):
        return self.seen

    async def who(self):
        return [str(self.ctx.id), self.ctx.id.name]

    async def fails(self):
        raise OutOfStockError("no more of 7")

    async def response(self):
        return Response("made", status=201)

    async def function(self):
        return self.echo

    async def call_other(self, name):
        return await self.env.SHELF.getByName(name).plain(1)

    def socket(self):
        self.ctx.acceptWebSocket(None)

    not_a_method = 1

    def _private(self):
        return 1


class Silent(DurableObject):
    def fetch(self):
        return "not a response"


class Mute(DurableObject):
    pass


async def refusal(awaitable):
    with pytest.raises(JsException) as caught:
        await awaitable
    return str(caught.value)


# ids -----------------------------------------------------------------------------------------------------------------


def test_an_id_is_64_hex_digits_the_same_for_the_same_name_in_every_process():
    here = Ids("shop", "Shelf").from_name("a")
    code = "from wrangler_py.bindings.durable.ids import Ids; print(Ids('shop', 'Shelf').from_name('a'))"
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert str(here) == there == here.toString()
    assert len(bytes.fromhex(there)) == 32
    others = [
        Ids("shop", "Shelf").from_name("b"),
        Ids("shop", "Other").from_name("a"),
        Ids("x", "Shelf").from_name("a"),
    ]
    assert len({here, *others}) == 4


def test_ids_come_back_from_text_without_their_name(tmp_path):
    async def body(room):
        namespace = room[Shelf]
        named, unique = namespace.idFromName("a"), namespace.newUniqueId(jurisdiction="eu")
        read = namespace.idFromString(str(named))
        assert (named.name, read.name, unique.name) == ("a", None, None)
        assert named == read
        assert named.equals(read)
        assert not named.equals(unique)
        assert namespace.jurisdiction("eu").get(unique, {"locationHint": "weur"}).id == unique
        assert namespace.newUniqueId() != unique

    in_room(tmp_path, body, Shelf)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("abc", "Invalid Durable Object ID: must be 64 hex digits"),
        ("zz" * 32, "Invalid Durable Object ID: must be 64 hex digits"),
        (" ".join(["00"] * 32), "Invalid Durable Object ID: must be 64 hex digits"),
        (None, "Invalid Durable Object ID: must be 64 hex digits"),
        ("00" * 32, "Durable Object ID is not valid for this namespace."),
        (str(Ids(SCRIPT, "Other").from_name("a")), "Durable Object ID is not valid for this namespace."),
    ],
)
def test_what_is_no_id_of_the_class_is_refused_in_cloudflares_words(tmp_path, text, message):
    async def body(room):
        with pytest.raises(ObjectError) as caught:
            room[Shelf].idFromString(text)
        assert str(caught.value) == f"TypeError: {message}"

    in_room(tmp_path, body, Shelf)


def test_get_wants_an_id_of_its_namespace(tmp_path):
    async def body(room):
        for wrong in ("a", room[Mute].idFromName("a")):
            with pytest.raises(ObjectError, match="^TypeError: "):
                room[Shelf].get(wrong)

    in_room(tmp_path, body, Shelf, Mute)


# calls ---------------------------------------------------------------------------------------------------------------


def test_one_instance_a_name_answers_all_calls(tmp_path):
    async def body(room):
        Shelf.lives = 0
        await room.only("a").echo(1)
        await room[Shelf].get(room[Shelf].idFromName("a")).echo(2)
        await room.only("b").echo(3)
        return await room.only("a").mine(), await room.only("b").mine(), Shelf.lives

    assert in_room(tmp_path, body, Shelf) == ([1, 2], [3], 2)


def test_an_object_knows_its_id_and_name(tmp_path):
    async def body(room):
        unique = room[Shelf].newUniqueId()
        assert await room[Shelf].get(unique).who() == [str(unique), None]
        stub = room.only("käse brot")
        assert (stub.name, str(stub.id)) == ("käse brot", (await stub.who())[0])
        return await stub.who()

    assert in_room(tmp_path, body, Shelf)[1] == "käse brot"


def test_arguments_and_results_are_copies(tmp_path):
    async def body(room):
        given = {"rows": [1]}
        found = await room.only().echo(given, b"x", key={1})
        given["rows"].append(2)
        assert found == [[{"rows": [1]}, b"x"], {"key": {1}}]
        found[0][0]["rows"].append(3)
        return found[0][0].rows

    assert in_room(tmp_path, body, Shelf) == [1, 3]


def test_what_cannot_travel_is_refused_both_ways(tmp_path):
    async def body(room):
        with pytest.raises(TypeError, match="<class 'tuple'> cannot be sent over RPC"):
            await room.only().echo((1,))
        with pytest.raises(NotSerialisableError, match="functions do not survive"):
            await room.only().function()

    in_room(tmp_path, body, Shelf)


def test_an_exception_keeps_type_and_message_and_the_object_lives_on(tmp_path):
    async def body(room):
        Shelf.lives = 0
        with pytest.raises(OutOfStockError, match="no more of 7"):
            await room.only().fails()
        await room.only().echo()
        return Shelf.lives

    assert in_room(tmp_path, body, Shelf) == 1


def test_what_is_no_method_for_others_is_refused(tmp_path):
    async def body(room):
        stub = room.only()
        assert await refusal(stub.nothing()) == "TypeError: Method nothing does not exist"
        assert await refusal(stub.not_a_method()) == "TypeError: Method not_a_method does not exist"
        assert await refusal(stub.env()) == "TypeError: Method env does not exist"
        assert (
            await refusal(stub.alarm())
            == "TypeError: 'alarm' is a reserved method and cannot be called over RPC."
        )
        assert await refusal(room.objects.call("Shelf", str(stub.id), "_private", [], {})) == (
            "TypeError: Method _private does not exist"
        )
        with pytest.raises(AttributeError, match="'_private' is private"):
            _ = stub._private

    in_room(tmp_path, body, Shelf)


def test_fetch_takes_a_request_or_a_url_with_options(tmp_path):
    async def body(room):
        stub = room.only()
        request = Request("https://a.test/x", method="PUT", body="one")
        answers = [
            await stub.fetch(request),
            await stub.fetch("https://a.test/y", method="POST", body="two"),
            await stub.fetch("https://a.test/z", {"method": "DELETE"}),
        ]
        assert [one.status for one in answers] == [200] * 3
        return [list((await one.json()).values()) for one in answers]

    assert in_room(tmp_path, body, Shelf) == [
        ["PUT", "https://a.test/x", "one"],
        ["POST", "https://a.test/y", "two"],
        ["DELETE", "https://a.test/z", ""],
    ]


def test_fetch_that_is_missing_or_gives_no_response_is_explained(tmp_path):
    async def body(room):
        url = "https://a.test/"
        assert await refusal(room[Mute].getByName("a").fetch(url)) == "TypeError: Method fetch does not exist"
        assert await refusal(room[Silent].getByName("a").fetch(url)) == (
            "TypeError: Incorrect type for Promise: the Promise did not resolve to 'Response'."
        )

    in_room(tmp_path, body, Mute, Silent)


def test_a_method_may_return_a_response(tmp_path):
    async def body(room):
        answer = await room.only().response()
        return answer.status, await answer.text()

    assert in_room(tmp_path, body, Shelf) == (201, "made")


def test_an_object_calls_another_through_its_env(tmp_path):
    async def body(room):
        return await room.only("a").call_other("b")

    assert in_room(tmp_path, body, Shelf) == 3


def test_websockets_are_refused_clearly(tmp_path):
    async def body(room):
        return await refusal(room.only().socket())

    assert "does not emulate WebSockets" in in_room(tmp_path, body, Shelf)


# other scripts -------------------------------------------------------------------------------------------------------


def test_objects_of_another_script_are_called_there(tmp_path):
    async def body(room):
        stub = Namespace(room.resources, "other", "Till").get_by_name("a")
        room.peers.answer = [1]
        assert await stub.add(1, to="x") == [1]
        room.peers.answer = Response("there")
        assert await (await stub.fetch("https://a.test/")).text() == "there"
        target = Target("object", "Till", id=f"{Ids('other', 'Till').from_name('a')} a")
        assert room.peers.calls == [
            ("other", target, "add", [1], {"to": "x"}),
            ("other", target, "https://a.test/"),
        ]

    in_room(tmp_path, body, Shelf)


def test_a_call_that_came_from_another_process_knows_the_name(tmp_path):
    async def body(room):
        own = room[Shelf].idFromName("a b")
        return [
            await room.objects.call("Shelf", sent, "who", [], {}) for sent in (str(own), own.sent, str(own))
        ]

    assert [name for _, name in in_room(tmp_path, body, Shelf)] == [None, "a b", "a b"]


def test_a_class_that_is_not_there_is_an_error_even_before_the_process_drives(tmp_path):
    async def body(world):
        room = Room(world, tmp_path, Shelf)
        with pytest.raises(WorkerLoadError, match="no Durable Object class 'Gone'"):
            await room.objects.call("Gone", "00", "x", [], {})

    in_world(tmp_path, body)


def test_what_is_declared_names_class_and_script(tmp_path):
    bound = (
        ObjectConfig("A", "Shelf"),
        ObjectConfig("B", "Till", "other"),
        ObjectConfig("C", "Shelf", SCRIPT),
    )
    config = Config(
        path=tmp_path, root=tmp_path, name=SCRIPT, resources=ResourcesConfig(durable_objects=bound)
    )
    assert [one[:3] for one in declare(config)] == [
        ("A", "Durable Object", "Shelf"),
        ("B", "Durable Object", "Till of other"),
        ("C", "Durable Object", "Shelf"),
    ]


def test_declaring_imports_nothing_heavy():
    code = (
        "import sys; import wrangler_py.bindings.durable;"
        "assert not {'wrangler_py.bindings.durable.objects', 'wrangler_py.storage.durable'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
