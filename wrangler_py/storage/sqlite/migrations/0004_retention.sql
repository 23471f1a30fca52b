-- How long an instance is kept once it has ended, in milliseconds, and with that when it has to go; NULL: for ever.
ALTER TABLE instances ADD COLUMN success_ms INTEGER;
ALTER TABLE instances ADD COLUMN error_ms INTEGER;
ALTER TABLE instances ADD COLUMN expires_at INTEGER;
CREATE INDEX instances_expiring ON instances (expires_at) WHERE expires_at IS NOT NULL;

-- What was set over the API, as JSON.
ALTER TABLE workflows ADD COLUMN settings BLOB;

-- Orders to terminate all instances of a workflow up to a number: those in a status, NULL: whatever theirs is.
CREATE TABLE terminations (
    workflow   TEXT PRIMARY KEY,
    status     TEXT,
    up_to      INTEGER NOT NULL,
    ordered_at INTEGER NOT NULL,
    -- The lease of the process that carries it out.
    epoch      INTEGER
);
