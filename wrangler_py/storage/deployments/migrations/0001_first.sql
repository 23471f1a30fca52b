-- What is deployed on a `serve`, and who may speak to it. Instants are milliseconds since 1970, UTC. Runs on SQLite
-- 3.34 and later.

CREATE TABLE versions (
    script     TEXT NOT NULL,
    -- Made of the content: the same code and configuration have the same one.
    id         TEXT NOT NULL,
    -- Counts the versions of a script from 1.
    number     INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    source     TEXT NOT NULL,
    message    TEXT,
    tag        TEXT,
    -- Bytes of its files, and the configuration its workers are started with, as JSON.
    size       INTEGER NOT NULL,
    config     TEXT NOT NULL,
    PRIMARY KEY (script, id),
    UNIQUE (script, number)
) WITHOUT ROWID;

-- The newest of a script is the active one. Numbers are never given twice.
CREATE TABLE deployments (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    id      TEXT NOT NULL UNIQUE,
    script  TEXT NOT NULL,
    version TEXT NOT NULL,
    at      INTEGER NOT NULL,
    source  TEXT NOT NULL,
    message TEXT
);

CREATE INDEX deployments_of_script ON deployments (script, number);

CREATE TABLE tokens (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    -- SHA-256 of the secret, which is 256 random bits: there is nothing to guess, and nothing to salt.
    digest       BLOB NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER
) WITHOUT ROWID;
