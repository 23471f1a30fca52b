-- Instances, their history, and the leases of the processes that drive them.
-- Instants are milliseconds since 1970, UTC. Runs on SQLite 3.34 and later.

CREATE TABLE workflows (
    name         TEXT PRIMARY KEY,
    script       TEXT NOT NULL,
    class_name   TEXT NOT NULL,
    version      TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    modified_at  INTEGER NOT NULL,
    triggered_at INTEGER
);

-- One row a living process. The epoch only grows, and is never given twice: it is the fencing number.
CREATE TABLE leases (
    epoch      INTEGER PRIMARY KEY AUTOINCREMENT,
    owner      TEXT NOT NULL,
    expires_at INTEGER NOT NULL
);

CREATE TABLE instances (
    number      INTEGER PRIMARY KEY,
    workflow    TEXT NOT NULL,
    id          TEXT NOT NULL,
    status      TEXT NOT NULL,
    params      BLOB NOT NULL,
    trigger     TEXT NOT NULL,
    schedule    TEXT,
    version     TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    started_at  INTEGER,
    ended_at    INTEGER,
    output      BLOB,
    error       BLOB,
    -- When a process must look at it next; NULL at rest.
    due_at      INTEGER,
    -- 1 until it first runs: those that go on come before those that start.
    fresh       INTEGER NOT NULL DEFAULT 1,
    -- The lease of the process that drives it; NULL when nobody does.
    epoch       INTEGER,
    paused_at   INTEGER,
    -- Counts the events it was ever sent, so that one that comes while it parks is not missed.
    signal      INTEGER NOT NULL DEFAULT 0,
    UNIQUE (workflow, id)
);
CREATE INDEX instances_due ON instances (workflow, fresh, due_at) WHERE epoch IS NULL AND due_at IS NOT NULL;
CREATE INDEX instances_epoch ON instances (epoch) WHERE epoch IS NOT NULL;
CREATE INDEX instances_status ON instances (workflow, status);
CREATE INDEX instances_listing ON instances (workflow, number);

-- Append-only, but for restart and delete.
CREATE TABLE history (
    seq      INTEGER PRIMARY KEY,
    instance INTEGER NOT NULL,
    type     TEXT NOT NULL,
    at       INTEGER NOT NULL,
    step     INTEGER NOT NULL,
    attempt  INTEGER NOT NULL,
    name     TEXT,
    data     BLOB
);
CREATE INDEX history_instance ON history (instance);

-- Sent and not delivered yet.
CREATE TABLE events (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    instance INTEGER NOT NULL,
    type     TEXT NOT NULL,
    payload  BLOB NOT NULL,
    at       INTEGER NOT NULL
);
CREATE INDEX events_instance ON events (instance);
