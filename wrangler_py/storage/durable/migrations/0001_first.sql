-- One Durable Object: what it put under keys, and its alarm. Tables that its class makes stand beside these two.
-- Instants are milliseconds since 1970, UTC. Runs on SQLite 3.34 and later.

CREATE TABLE _cf_KV (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

-- At most one row. While it fires, alarm() runs, and for the object there is no alarm unless it sets another.
CREATE TABLE _cf_ALARM (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    at      INTEGER NOT NULL,
    retries INTEGER NOT NULL DEFAULT 0,
    firing  INTEGER NOT NULL DEFAULT 0
);
