-- What another process asks of the one that drives an instance: to let it go, to pause it, to take a pause back.
ALTER TABLE instances ADD COLUMN request TEXT;
CREATE INDEX instances_request ON instances (epoch) WHERE request IS NOT NULL;
