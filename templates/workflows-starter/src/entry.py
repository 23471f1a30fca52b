"""A Workflow of four durable steps, and a Worker that creates instances of it over HTTP."""

import random
from typing import Any, TypedDict
from urllib.parse import parse_qs, urlsplit

from workers import Request, Response, WorkerEntrypoint, WorkflowEntrypoint


class Files(TypedDict):
    """What the first step returns."""

    params: Any
    files: list[str]


class MyWorkflow(WorkflowEntrypoint):
    """`run()` may start from the top at any time; a finished step keeps its result and does not run again."""

    async def run(self, event: Any, step: Any) -> None:

        @step.do("my first step")
        async def list_files() -> Files:
            # Fetch a list of files from a service of yours. Bindings are on self.env.
            return {
                "params": event["payload"],
                "files": [
                    "doc_7392_rev3.pdf",
                    "report_x29_final.pdf",
                    "memo_2024_05_12.pdf",
                    "file_089_update.pdf",
                    "proj_alpha_v2.pdf",
                    "data_analysis_q2.pdf",
                    "notes_meeting_52.pdf",
                    "summary_fy24_draft.pdf",
                ],
            }

        listed = await list_files()

        @step.do("some other step")
        async def group_files() -> dict[str, list[str]]:
            # A step may use what earlier steps returned.
            groups: dict[str, list[str]] = {}
            for name in listed["files"]:
                groups.setdefault(name.split("_")[0], []).append(name)
            return groups

        await group_files()

        # The instance leaves memory meanwhile; it may as well be a year.
        await step.sleep("wait on something", "1 minute")

        @step.do(
            "make a call to write that could maybe, just might, fail",
            # A step that raises is tried again: here after 5, 10, 20, 40 and 80 seconds.
            config={
                "retries": {"limit": 5, "delay": "5 second", "backoff": "exponential"},
                "timeout": "15 minutes",
            },
        )
        async def write() -> None:
            if random.random() > 0.5:
                raise RuntimeError("API call to $STORAGE_SYSTEM failed")

        await write()


class Default(WorkerEntrypoint):
    """GET / creates an instance; GET /?instanceId=ID tells how it is."""

    async def fetch(self, request: Request) -> Response:
        url = urlsplit(str(request.url))
        if url.path.startswith("/favicon"):
            return Response.json({}, status=404)

        # The status of an instance, if one is named.
        ids = parse_qs(url.query).get("instanceId")
        if ids:
            instance = await self.env.MY_WORKFLOW.get(ids[0])
            return Response.json({"status": await instance.status()})

        # Else a new instance.
        instance = await self.env.MY_WORKFLOW.create()
        return Response.json({"id": instance.id, "details": await instance.status()})
