"""The keys of a wrangler configuration: which of them mean something here, which pass silently, which are inherited."""

from __future__ import annotations

#: Read by us.
OURS = frozenset(
    {"$schema", "name", "main", "compatibility_date", "compatibility_flags", "workflows", "vars", "env", "triggers", "dev", "limits"}
)
#: Bindings: never inherited by an environment (wrangler's rule), kept in `Config.raw` for the rooms that read them.
BINDINGS = frozenset(
    {
        "ai", "ai_search", "ai_search_namespaces", "analytics_engine_datasets", "browser", "cloudchamber", "containers",
        "d1_databases", "data_blobs", "define", "dispatch_namespaces", "durable_objects", "hyperdrive", "images",
        "kv_namespaces", "logfwdr", "media", "mtls_certificates", "pipelines", "queues", "r2_buckets",
        "ratelimits", "secrets_store_secrets", "send_email", "services", "stream", "tail_consumers",
        "streaming_tail_consumers", "text_blobs", "unsafe", "vars", "vectorize", "version_metadata", "vpc_services",
        "wasm_modules", "worker_loaders", "workflows", "workflow",
    }
)  # fmt: skip
#: Meaningless on one machine: pass silently.
SILENT = frozenset(
    {
        "account_id", "alias", "assets", "base_dir", "build", "cache", "compliance_region", "configPath", "data_blobs",
        "entrypoint", "exports", "find_additional_modules", "first_party_worker", "jsx_factory", "jsx_fragment", "keep_names",
        "keep_vars", "legacy_env", "logpush", "migrations", "minify", "no_bundle", "node_compat", "observability",
        "pages_build_output_dir", "placement", "preserve_file_names", "preview_urls", "previews", "public", "python_modules",
        "route", "routes", "rules", "secrets", "send_metrics", "site", "subdomain", "topLevelName", "tsconfig", "type",
        "typescript", "upload", "upload_source_maps", "usage_model", "userConfigPath", "webpack_config", "workers_dev", "zone_id",
        "entry_point", "access", "addresses", "compatibility_dates", "experimental", "target_environment", "unsafe",
    }
)  # fmt: skip
TOP = OURS | BINDINGS | SILENT
WORKFLOW = frozenset(
    {"name", "binding", "class_name", "script_name", "limits", "concurrency", "schedules", "remote", "default_retention"}
)
DEV = frozenset(
    {"ip", "port", "strict", "inspector_port", "inspector_ip", "local_protocol", "upstream_protocol", "host", "enable_containers",
     "container_engine", "generate_types"}
)  # fmt: skip
LIMITS = frozenset({"plan", "enforce", "cpu_ms", "subrequests"})
TRIGGERS = frozenset({"crons"})
#: Top-level keys an environment does not take over.
NOT_INHERITED = BINDINGS
#: Keys that stand at the top only.
TOP_ONLY = frozenset({"$schema", "env", "send_metrics", "keep_vars", "legacy_env", "migrations", "site", "pages_build_output_dir"})
