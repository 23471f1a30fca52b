from wrangler_py.sdk.workers.wsgi import *  # noqa: F403
