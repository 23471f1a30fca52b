-- The entries of one KV namespace. Instants are milliseconds since 1970, UTC. Runs on SQLite 3.34 and later.
-- Keys are UTF-8 bytes: their order is KV's order, and a prefix is a range of them. The value stands last, so that
-- a list of keys reads none.

CREATE TABLE entries (
    key        BLOB PRIMARY KEY,
    expires_at INTEGER,
    -- JSON as it was given.
    metadata   TEXT,
    value      BLOB NOT NULL
);

CREATE INDEX entries_by_expiry ON entries (expires_at) WHERE expires_at IS NOT NULL;
