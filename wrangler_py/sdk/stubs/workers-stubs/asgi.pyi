from wrangler_py.sdk.workers.asgi import *  # noqa: F403
