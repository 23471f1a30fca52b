"""Analytics as Cloudflare's GraphQL API gives them (docs, "Metrics and analytics")."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.server.session import in_session
from wrangler_py.server.graphql.serving import DATASET_LIMIT

#: Virtual time begins at 2026-01-01T00:00:00Z.
VARIABLES = {
    "accountTag": "fedfa729a5b0ecfd623bca1f9000f0a22",
    "datetimeStart": "2026-01-01T00:00:00Z",
    "datetimeEnd": "2026-01-09T00:00:00Z",
    "workflowName": "w",
}
#: The three examples of the docs, unchanged but for white space.
WALL_TIME = """
{ viewer { accounts(filter: { accountTag: $accountTag }) {
  wallTime: workflowsAdaptiveGroups(
    limit: 10000
    filter: { datetimeHour_geq: $datetimeStart, datetimeHour_leq: $datetimeEnd, workflowName: $workflowName }
    orderBy: [count_DESC]
  ) { count sum { wallTime } dimensions { date: datetimeHour } }
} } }
"""
THREE = """
{ viewer { accounts(filter: { accountTag: $accountTag }) {
  instanceRuns: workflowsAdaptiveGroups(
    limit: 10000
    filter: { datetimeHour_geq: $datetimeStart datetimeHour_leq: $datetimeEnd workflowName: $workflowName
              eventType: "WORKFLOW_START" }
    orderBy: [count_DESC]
  ) { count dimensions { date: datetimeHour } }
  stepCount: workflowsAdaptiveGroups(
    limit: 10000
    filter: { datetimeHour_geq: $datetimeStart datetimeHour_leq: $datetimeEnd workflowName: $workflowName
              eventType: "STEP_START" }
    orderBy: [count_DESC]
  ) { count dimensions { date: datetimeHour } }
  wallTime: workflowsAdaptiveGroups(
    limit: 10000
    filter: { datetimeHour_geq: $datetimeStart datetimeHour_leq: $datetimeEnd workflowName: $workflowName }
    orderBy: [count_DESC]
  ) { count sum { wallTime } dimensions { date: datetimeHour } }
} } }
"""
RAW = """
{ viewer { accounts(filter: { accountTag: $accountTag }) {
  workflowsAdaptive(
    limit: 100
    filter: { datetime_geq: $datetimeStart datetime_leq: $datetimeEnd instanceId: $instanceId }
    orderBy: [datetime_ASC]
  ) { datetime eventType workflowName instanceId stepName stepCount wallTime }
} } }
"""


async def naps(event, step):
    """Two steps, the first of which fails once, and an hour's sleep between them."""

    async def flaky(ctx):
        await asyncio.sleep(2)
        if ctx.attempt == 1:
            raise ValueError("once")

    await step.do("flaky", {"retries": {"limit": 2, "delay": "5 seconds", "backoff": "constant"}}, flaky)
    await step.sleep("nap", "1 hour")
    await step.do("quick", lambda: 1)


async def ask(session, query, variables=None, status=200):
    response = await session.client.post("/client/v4/graphql", json={"query": query, "variables": variables})
    assert response.status_code == status, response.text
    return response.json()


async def rows(session, query, variables=None):
    found = await ask(session, query, variables)
    assert found["errors"] is None, found["errors"]
    (account,) = found["data"]["viewer"]["accounts"]
    return account


async def dataset(session, arguments, selection, name="workflowsAdaptiveGroups"):
    """Ask one dataset; return its rows."""
    found = await rows(session, f"{{viewer{{accounts{{x:{name}({arguments}){{{selection}}}}}}}}}")
    return found["x"]


def with_naps(tmp_path, body, instances=2):
    async def main(session):
        for number in range(instances):
            row = await session.world.engine.create("w", id=f"i{number}")
            await session.world.finish(row)
        return await body(session)

    return in_session(tmp_path, main, run=naps)


def test_the_examples_of_the_docs(tmp_path):
    async def body(session):
        by_hour = (await rows(session, WALL_TIME, VARIABLES))["wallTime"]
        three = await rows(session, THREE, VARIABLES)
        raw = (await rows(session, RAW, VARIABLES | {"instanceId": "i0"}))["workflowsAdaptive"]
        return by_hour, three, raw

    by_hour, three, raw = with_naps(tmp_path, body)
    assert three["wallTime"] == by_hour
    assert [one["count"] for one in by_hour] == sorted((one["count"] for one in by_hour), reverse=True)
    assert sum(one["count"] for one in three["instanceRuns"]) == 2
    assert sum(one["count"] for one in three["stepCount"]) == 4
    assert "2026-01-01T00:00:00Z" in {one["dimensions"]["date"] for one in three["instanceRuns"]}
    times = {(one["eventType"], one["stepName"]): one["wallTime"] for one in raw}
    assert times["STEP_SUCCESS", "flaky-1"] == 9000
    assert times["ATTEMPT_FAILURE", "flaky-1"] == times["ATTEMPT_SUCCESS", "flaky-1"] == 2000
    assert times["SLEEP_COMPLETE", "nap-1"] == 3_600_000
    assert times["STEP_SUCCESS", "quick-1"] == 0
    assert times["WORKFLOW_SUCCESS", ""] == 3_609_000
    assert times["STEP_START", "flaky-1"] == 0
    assert (raw[0]["datetime"], raw[0]["eventType"]) == ("2026-01-01T00:00:00Z", "WORKFLOW_QUEUED")
    assert {one["workflowName"] for one in raw} == {"w"}
    assert [one["stepCount"] for one in raw if one["eventType"] in ("STEP_START", "SLEEP_START")] == [1, 2, 3]


def test_groups_are_by_what_is_selected(tmp_path):
    async def body(session):
        kinds = await dataset(
            session,
            "limit: 99, orderBy: [eventType_ASC]",
            "count avg{wallTime} max{wallTime} dimensions{eventType}",
        )
        whole = await dataset(session, "limit: 1", "count")
        days = await dataset(
            session, "limit: 9", "dimensions{date} ...on AccountWorkflowsAdaptiveGroups{count}"
        )
        top = await dataset(
            session, "limit: 1, orderBy: [sum_wallTime_DESC]", "sum{wallTime} dimensions{eventType}"
        )
        nothing = await dataset(session, 'limit: 1, filter: {workflowName: "nope"}', "count")
        return kinds, whole, days, top, nothing

    kinds, whole, days, top, nothing = with_naps(tmp_path, body)
    by_type = {one["dimensions"]["eventType"]: one for one in kinds}
    assert list(by_type) == sorted(by_type)
    assert by_type["ATTEMPT_FAILURE"]["count"] == 2
    assert by_type["ATTEMPT_FAILURE"]["avg"]["wallTime"] == 2000.0
    assert by_type["STEP_SUCCESS"]["max"]["wallTime"] == 9000
    assert whole == [{"count": sum(one["count"] for one in kinds)}]
    assert days == [{"dimensions": {"date": "2026-01-01"}, "count": whole[0]["count"]}]
    assert top == [{"sum": {"wallTime": 2 * 3_609_000}, "dimensions": {"eventType": "WORKFLOW_SUCCESS"}}]
    assert nothing == []


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ('instanceId: "i0", eventType_in: ["STEP_START", "SLEEP_START"]', ["flaky-1", "nap-1", "quick-1"]),
        ('instanceId: "i0", stepName_like: "%a%", eventType: "STEP_START"', ["flaky-1"]),
        ('instanceId: "i0", stepCount_geq: 2, eventType_notin: ["STEP_SUCCESS"], eventType_like: "STEP%"', ["quick-1"]),
        ('instanceId: "i1", wallTime_gt: 5000, eventType_neq: "WORKFLOW_SUCCESS"', ["flaky-1", "nap-1"]),
        ('instanceId: "i0", datetimeHour_gt: "2026-01-01T00:00:00+00:00", stepName_neq: ""',
         ["nap-1", "quick-1", "quick-1", "quick-1", "quick-1"]),
        ('instanceId: "i0", date: "2026-01-01", eventType: "SLEEP_START"', ["nap-1"]),
        ('instanceId: "i0", date_lt: "2026-01-01"', []),
        ('eventType: "SLEEP_START", OR: [{instanceId: "i1"}, {AND: [{instanceId: "i0"}, {stepCount: 99}]}]', ["nap-1"]),
        ("OR: []", []),
        ("instanceId_in: []", []),
        ('instanceId: "i0", eventType: null, stepName: "nap-1", datetime_lt: "2026-01-01T01:00:00"', ["nap-1"]),
    ],
)  # fmt: skip
def test_filters(tmp_path, conditions, expected):
    async def body(session):
        arguments = f"limit: 99, filter: {{{conditions}}}, orderBy: [datetime_ASC]"
        return await dataset(session, arguments, "stepName", "workflowsAdaptive")

    assert [one["stepName"] for one in with_naps(tmp_path, body)] == expected


def test_variables_may_be_declared_and_fragments_used(tmp_path):
    query = """
    query Runs($tag: string!, $from: Time, $kinds: [string!], $many: uint64!) {
      viewer { accounts(filter: {accountTag: $tag}) {
        runs: workflowsAdaptiveGroups(limit: $many, filter: {datetime_geq: $from, eventType_in: $kinds}) { ...row } } }
    }
    fragment row on AccountWorkflowsAdaptiveGroups { dimensions { ...which } count }
    fragment which on AccountWorkflowsAdaptiveGroupsDimensions { instanceId }
    """
    variables = {"tag": "a", "from": "2026-01-01", "kinds": ["WORKFLOW_START"], "many": 5}

    async def body(session):
        return await rows(session, query, variables)

    found = with_naps(tmp_path, body)["runs"]
    assert sorted((one["dimensions"]["instanceId"], one["count"]) for one in found) == [("i0", 1), ("i1", 1)]


def test_a_variable_that_is_not_declared_has_the_type_of_its_place(tmp_path):
    query = """{viewer{accounts{x: workflowsAdaptiveGroups(limit: $many, orderBy: $order,
        filter: {eventType_in: $kinds}){count dimensions{eventType}}}}}"""
    variables = {"many": 1, "kinds": ["STEP_START", "WORKFLOW_START"], "order": ["count_DESC"]}

    async def body(session):
        return await rows(session, query, variables)

    found = with_naps(tmp_path, body)["x"]
    assert found == [{"count": 4, "dimensions": {"eventType": "STEP_START"}}]


def test_the_schema_can_be_looked_into(tmp_path):
    async def body(session):
        found = await ask(session, '{__type(name: "AccountWorkflowsAdaptiveGroupsDimensions"){fields{name}}}')
        return [one["name"] for one in found["data"]["__type"]["fields"]]

    assert {"workflowName", "datetimeFiveMinutes", "stepCount"} <= set(in_session(tmp_path, body, run=naps))


ONE = "{viewer{accounts{workflowsAdaptiveGroups(%s){%s}}}}"
FIELDS = " ".join(
    f"a{number}:workflowsAdaptiveGroups(limit:1){{count}}" for number in range(DATASET_LIMIT + 1)
)
MANY = f"{{viewer{{accounts{{{FIELDS}}}}}}}"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("{", "Syntax Error"),
        ("{nothing}", "Cannot query field"),
        (ONE % ("limit: 0", "count"), "limit must be from 1 to 10000, not 0"),
        (ONE % ("limit: 10001", "count"), "limit must be from 1 to 10000, not 10001"),
        (ONE % ("filter: {}", "count"), "of type 'uint64!' is required, but it was not provided"),
        (ONE % ('limit: 1, filter: {date: "soon"}', "count"), "A date such as 2026-01-31 is needed, not 'soon'"),
        (ONE % ("limit: 1, filter: {datetime: 5}", "count"), "A time such as 2026-01-31T12:00:00Z is needed, not 5"),
        (ONE % ('limit: 1, filter: {color: "red"}', "count"), "color"),
        (ONE % ("limit: 1, orderBy: [date_ASC]", "count"), "Ordering by date needs it among the dimensions"),
        ("query ($a: Time) " + ONE % ("limit: $a", "count"), "$a"),
        (MANY, f"A query may ask {DATASET_LIMIT} datasets at most"),
        ("{" + "viewer{__typename} " * 3000 + "}", "more than 5000 tokens"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_query_is_told_in_errors(tmp_path, query, said):
    async def body(session):
        return await ask(session, query)

    found = in_session(tmp_path, body, run=naps)
    assert said in json.dumps(found["errors"], ensure_ascii=False).replace('\\"', '"'), found


@pytest.mark.parametrize("content", ["", "[]", '{"query": 1}', "{}"])
def test_a_body_that_is_no_query_is_a_bad_request(tmp_path, content):
    async def body(session):
        response = await session.client.post("/client/v4/graphql", content=content)
        return response.status_code, response.json()["success"]

    assert in_session(tmp_path, body, run=naps) == (400, False)
