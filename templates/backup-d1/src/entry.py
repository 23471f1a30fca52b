"""Every night a D1 database is exported by Cloudflare's REST API, and the dump is kept in R2."""

import json
from typing import Any

from workers import Request, Response, WorkerEntrypoint, WorkflowEntrypoint, fetch

#: How often to ask whether the export is there, and what else may go wrong meanwhile: after 5 seconds, for 10 minutes.
PATIENT = {"retries": {"limit": 120, "delay": "5 seconds", "backoff": "constant"}, "timeout": "10 minutes"}


class backupWorkflow(WorkflowEntrypoint):  # noqa: N801 - the name in the docs' example
    """Exports the database ``{"accountId", "databaseId"}``; returns the name of the dump in the bucket."""

    async def run(self, event: Any, step: Any) -> str:
        account, database = event["payload"]["accountId"], event["payload"]["databaseId"]

        @step.do(f"Starting backup for {database}", config=PATIENT)
        async def start() -> str:
            result = await self.export(account, database, {"output_format": "polling"})
            # What an export is known by. Without it there is none, and the step is tried again.
            if not result.get("at_bookmark"):
                raise RuntimeError("the export did not begin: at_bookmark is missing")
            return result["at_bookmark"]

        bookmark = await start()

        @step.do("Check backup status and store it on R2", config=PATIENT)
        async def store() -> str:
            poll = {"output_format": "polling", "current_bookmark": bookmark}
            result = await self.export(account, database, poll)
            # The API reference has the outcome one level deeper than the docs' example.
            outcome = result.get("result") or result
            # Until the dump is there, so is no URL of it, and the step is tried again.
            if not outcome.get("signed_url"):
                raise RuntimeError("the export is not ready yet: signed_url is missing")
            dump = await fetch(outcome["signed_url"])
            if not dump.ok:
                raise RuntimeError(f"the dump cannot be downloaded: status {dump.status}")
            # The dump goes from one to the other as it comes, however large it is.
            await self.env.BACKUP_BUCKET.put(outcome["filename"], dump.body)
            return outcome["filename"]

        return await store()

    async def export(self, account: str, database: str, body: dict[str, str]) -> dict[str, Any]:
        """Ask for an export, or how far one is; return what the API says about it."""
        answer = await fetch(
            f"{self.env.D1_REST_API}/accounts/{account}/d1/database/{database}/export",
            method="POST",
            headers={
                "content-type": "application/json",
                "authorization": f"Bearer {self.env.D1_REST_API_TOKEN}",
            },
            body=json.dumps(body),
        )
        if not answer.ok:
            raise RuntimeError(f"the API answered {answer.status}: {await answer.text()}")
        return (await answer.json()).get("result") or {}


class Default(WorkerEntrypoint):
    """Starts a backup when cron says so."""

    async def scheduled(self, controller: Any, env: Any, ctx: Any) -> None:
        params = {"accountId": self.env.ACCOUNT_ID, "databaseId": self.env.DATABASE_ID}
        instance = await self.env.BACKUP_WORKFLOW.create(params=params)
        print(f"Started workflow: {instance.id}")

    async def fetch(self, request: Request) -> Response:
        return Response("Not found", status=404)
