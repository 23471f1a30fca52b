"""The keys wrangler knows, by how environments treat them (wrangler's documentation, "Configuration", "Environments").

What pywrangler does not use is known all the same: a file written for Cloudflare passes without a word.
"""

from __future__ import annotations

#: An environment takes these from the top level unless it has its own.
INHERITED = frozenset(
    {
        "name", "main", "compatibility_date", "compatibility_flags", "triggers", "limits", "access",
        "account_id", "assets", "base_dir", "build", "cache", "compliance_region", "exports",
        "find_additional_modules", "first_party_worker", "jsx_factory", "jsx_fragment", "keep_names",
        "legacy_assets", "logfwdr", "logpush", "migrations", "minify", "no_bundle", "node_compat",
        "observability", "placement", "preserve_file_names", "preview_urls", "previews", "python_modules",
        "route", "routes", "rules", "tsconfig", "upload", "upload_source_maps", "usage_model", "workers_dev",
        "zone_id",
    }
)  # fmt: skip

#: An environment has only its own of these.
NOT_INHERITED = frozenset(
    {
        "vars", "workflows", "agent_memory", "ai", "ai_search", "ai_search_namespaces",
        "analytics_engine_datasets", "artifacts", "browser", "cloudchamber", "connect", "containers",
        "d1_databases", "define", "dispatch_namespaces", "durable_objects", "flagship", "hyperdrive",
        "images", "kv_namespaces", "media", "mtls_certificates", "pipelines", "queues", "r2_buckets",
        "ratelimits", "secrets", "secrets_store_secrets", "send_email", "services", "stream",
        "streaming_tail_consumers", "tail_consumers", "unsafe", "unsafe_hello_world", "vectorize",
        "version_metadata", "vpc_networks", "vpc_services", "websearch", "worker_loaders",
    }
)  # fmt: skip

#: These stand at the top of the file only and hold for every environment.
TOP_LEVEL_ONLY = frozenset(
    {
        "$schema", "addresses", "alias", "data_blobs", "dependencies_instrumentation", "dev", "env",
        "keep_vars", "legacy_env", "pages_build_output_dir", "send_metrics", "site", "text_blobs", "type",
        "wasm_modules", "webpack_config",
    }
)  # fmt: skip

SECTION = INHERITED | NOT_INHERITED
TOP_LEVEL = SECTION | TOP_LEVEL_ONLY

WORKFLOW = (
    "name", "binding", "class_name", "script_name", "limits", "concurrency", "schedules", "default_retention"
)  # fmt: skip
WORKFLOW_UNUSED = ("remote",)

DEV = ("ip", "port", "strict")
DEV_UNUSED = (
    "container_engine",
    "enable_containers",
    "generate_types",
    "host",
    "inspector_ip",
    "inspector_port",
    "local_protocol",
    "upstream_protocol",
)

LIMITS = ("plan", "enforce")
LIMITS_UNUSED = ("cpu_ms", "subrequests")

SECRETS = ("required",)

TRIGGERS = ("crons",)
TRIGGERS_UNUSED = ("events",)
