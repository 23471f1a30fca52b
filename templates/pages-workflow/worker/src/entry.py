"""A workflow, and the methods by which a Pages project creates and looks at its instances."""

from typing import Any

from workers import Response, WorkerEntrypoint, WorkflowEntrypoint


class Signup(WorkflowEntrypoint):
    """Welcomes somebody now, and again a little later."""

    async def run(self, event: Any, step: Any) -> dict[str, Any]:
        email = event["payload"]["email"]

        @step.do("make an account")
        async def make_account() -> dict[str, str]:
            return {"email": email, "plan": "free"}

        account = await make_account()

        @step.do("say welcome")
        async def say_welcome() -> str:
            return f"welcome, {account['email']}"

        await say_welcome()
        await step.sleep("let them look around", "20 seconds")

        @step.do("ask how it goes")
        async def ask() -> str:
            return f"how do you like it, {account['email']}?"

        return {"account": account, "last": await ask()}


class Default(WorkerEntrypoint):
    """Called over the service binding; nothing of it answers requests from outside."""

    async def fetch(self) -> Response:
        return Response(None, status=404)

    async def create_instance(self, payload: Any) -> Response:
        instance = await self.env.SIGNUP.create(params=payload)
        return Response.json({"id": instance.id, "details": await instance.status()})

    async def instance_status(self, instance_id: str) -> Any:
        instance = await self.env.SIGNUP.get(instance_id)
        return await instance.status()
