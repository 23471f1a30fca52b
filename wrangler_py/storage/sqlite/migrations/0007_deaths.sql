-- How many processes in a row died while they executed this instance, without progress between (`engine.quarantine`).
ALTER TABLE instances ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0;
CREATE INDEX instances_suspect ON instances (workflow, due_at)
    WHERE deaths > 0 AND epoch IS NULL AND due_at IS NOT NULL;
