"""A body is read as its type, or refused with every problem named; never more than that."""

from __future__ import annotations

import re

import msgspec
import pytest

from wrangler_py.engine.limits import check_instance_id
from wrangler_py.engine.settings import read_retention
from wrangler_py.errors import InvalidArgumentError, InvalidInstanceIdError, RequestError
from wrangler_py.server.requests import (
    DeleteBody,
    Duration,
    ExplorerStatusBody,
    InstanceId,
    NewInstanceBatch,
    NewInstanceBody,
    StatusBody,
    read,
    read_json,
    read_params,
)


def problems(data, kind):
    with pytest.raises(RequestError) as caught:
        read(data, kind)
    assert caught.value.status == 400
    return caught.value.problems


def test_an_empty_body_is_an_empty_object():
    assert read(b"", NewInstanceBody).params == {}


def test_what_the_sdk_may_send_is_taken():
    sent = {
        "instance_id": "a",
        "params": "{}",
        "instance_retention": {"success_retention": "5 minutes", "error_retention": 1000},
        "location_hint": "weur",
    }
    assert read(msgspec.json.encode(sent), NewInstanceBody).instance_id == "a"


@pytest.mark.parametrize("data", [b"{bad", b"\xff", b"{} x", b"nope", b"[" * 100_000])
def test_no_json_says_so(data):
    (problem,) = problems(data, NewInstanceBody)
    assert problem.startswith("The request body is not JSON")
    assert problem.endswith("nested too deeply") == (len(data) > 10)
    with pytest.raises(RequestError):
        read_json(data)


def test_all_problems_are_named_with_their_paths():
    sent = b'{"status": 1, "rollback": "yes", "extra": 0, "from": {"count": "2", "more": 1}}'
    found = problems(sent, StatusBody)
    assert sorted(problem.partition(":")[0] for problem in found) == [
        "extra",
        "from.count",
        "from.more",
        "from.name",
        "rollback",
        "status",
    ]


def test_unknown_keys_come_with_the_known_ones():
    (problem,) = problems(b'{"prams": 1}', NewInstanceBody)
    assert problem == "prams: unknown key; known are instance_id, params, instance_retention, location_hint"


def test_problems_in_a_list_carry_the_index():
    found = problems(b'[{}, {"instance_id": 1}, 7]', NewInstanceBatch)
    assert [problem.partition(":")[0] for problem in found] == ["[1].instance_id", "[2]"]


@pytest.mark.parametrize("ids", [[], ["x"] * 101, [""], [1], ["x" * 272]])
def test_a_deletion_names_1_to_100_ids(ids):
    (problem, *_) = problems(msgspec.json.encode({"instances": ids}), DeleteBody)
    assert problem.startswith("instances")


@pytest.mark.parametrize("count", [0, 1, 100, 101])
def test_a_batch_has_1_to_100_instances(count):
    data = msgspec.json.encode([{}] * count)
    if count in (1, 100):
        assert len(read(data, NewInstanceBatch)) == count
    else:
        assert problems(data, NewInstanceBatch)


@pytest.mark.parametrize("kind", [StatusBody, ExplorerStatusBody])
def test_a_restart_from_a_step_begins_at_the_first_do_of_that_name_and_undoes_nothing(kind):
    body = read(b'{"status": "restart", "from": {"name": "a"}}', kind)
    assert (body.from_.name, body.from_.count, body.from_.type, body.rollback) == ("a", 1, "do", False)


@pytest.mark.parametrize("given", ["a", "_", "-a", "a-", "a b", "", "a" * 64, "a" * 65])
def test_the_documents_take_the_ids_that_are_taken(given):
    schema = msgspec.json.schema(InstanceId)
    fits = re.search(schema["pattern"], given) is not None and len(given) <= schema["maxLength"]
    assert fits == is_taken(check_instance_id, given)


@pytest.mark.parametrize(
    "given",
    [
        0,
        1,
        3_153_600_000_000,
        3_153_600_000_001,
        "3 days",
        "1second",
        "0 days",
        "days",
        "1 century",
        "3 days!",
    ],
)
def test_the_documents_take_the_durations_that_are_taken(given):
    number, text = msgspec.json.schema(Duration)["anyOf"]
    if isinstance(given, str):
        fits = re.search(text["pattern"], given) is not None
    else:
        fits = number["minimum"] <= given <= number["maximum"]
    assert fits == is_taken(read_retention, given)


def test_the_examples_of_a_duration_are_taken():
    examples = msgspec.json.schema(Duration)["anyOf"][1]["examples"]
    assert examples
    assert all(is_taken(read_retention, one) for one in examples)


def is_taken(take, value):
    try:
        take(value)
    except (InvalidArgumentError, InvalidInstanceIdError):
        return False
    return True


def test_another_type_than_an_object():
    (problem,) = problems(b"[]", StatusBody)
    assert problem.startswith("the body: Expected `object`")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ('{"a":1}', {"a": 1}),
        ("1", 1),
        ("null", None),
        ("hello", "hello"),
        ("{bad", "{bad"),
        ({"a": "1"}, {"a": "1"}),
        (3, 3),
    ],
)
def test_params(given, meant):
    assert read_params(given) == meant


def test_params_nested_too_deeply_stay_text():
    text = "[" * 100_000
    assert read_params(text) == text
