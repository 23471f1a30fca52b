-- A process that serves one version finds what is due for it at once, beside any number that wait for others.
CREATE INDEX instances_due_of_version ON instances (workflow, version, fresh, due_at)
    WHERE epoch IS NULL AND due_at IS NOT NULL;
