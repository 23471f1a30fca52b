-- Where to look for alarms: hints, never later than the alarm in the object's own file, which is the truth.
-- Instants are milliseconds since 1970, UTC. Runs on SQLite 3.34 and later.

CREATE TABLE alarms (
    class_name TEXT NOT NULL,
    id         TEXT NOT NULL,
    name       TEXT,
    at         INTEGER NOT NULL,
    PRIMARY KEY (class_name, id)
) WITHOUT ROWID;

CREATE INDEX alarms_by_time ON alarms (class_name, at);
