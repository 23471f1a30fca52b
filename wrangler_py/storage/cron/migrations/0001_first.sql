-- Up to when the schedules of each script have been looked at, in milliseconds since 1970, UTC.
-- Runs on SQLite 3.34 and later.

CREATE TABLE marks (
    script TEXT PRIMARY KEY,
    at     INTEGER NOT NULL
) WITHOUT ROWID;
