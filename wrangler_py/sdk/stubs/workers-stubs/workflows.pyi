from wrangler_py.sdk.workers.workflows import NonRetryableError as NonRetryableError
