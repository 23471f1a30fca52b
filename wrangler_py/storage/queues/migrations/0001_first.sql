-- Messages of all queues of a state directory. What changes while a message waits stands apart from its body, which may be
-- large and never changes. Instants are milliseconds since 1970, UTC. Runs on SQLite 3.34 and later.

CREATE TABLE messages (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    queue        TEXT NOT NULL,
    id           TEXT NOT NULL,
    sent_at      INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    due_at       INTEGER NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    content_type TEXT NOT NULL,
    size         INTEGER NOT NULL,
    holder       INTEGER
);

CREATE INDEX messages_by_queue ON messages (queue, holder, due_at, number);
CREATE INDEX messages_held ON messages (holder) WHERE holder IS NOT NULL;
CREATE INDEX messages_by_expiry ON messages (expires_at);

CREATE TABLE bodies (
    number INTEGER PRIMARY KEY,
    body   BLOB NOT NULL
);

-- The number that was given last to a process that holds messages; none is given twice.
CREATE TABLE holders (last INTEGER NOT NULL);
INSERT INTO holders VALUES (0);
