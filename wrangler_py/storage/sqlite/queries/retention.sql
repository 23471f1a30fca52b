-- next_expiry --
SELECT min(expires_at) FROM instances WHERE expires_at IS NOT NULL

-- discarded_any --
SELECT 1 FROM instances WHERE workflow = '' LIMIT 1

-- discard_expired --
-- The row stays until all it has is gone: its number would be given to a new instance, with the old one's history.
UPDATE instances
SET workflow = '', id = number, params = x'', output = NULL, error = NULL, expires_at = NULL, due_at = NULL
WHERE number IN (SELECT number FROM instances WHERE expires_at <= :now AND epoch IS NULL ORDER BY expires_at LIMIT :limit)

-- discarded --
SELECT number FROM instances WHERE workflow = '' ORDER BY number LIMIT :limit

-- remove_history --
DELETE FROM history WHERE seq IN (SELECT seq FROM history WHERE instance = :row ORDER BY seq LIMIT :limit)

-- remove_chunks --
DELETE FROM chunks WHERE rowid IN (SELECT rowid FROM chunks WHERE instance = :row LIMIT :limit)

-- order_termination --
INSERT INTO terminations (workflow, status, up_to, ordered_at)
VALUES (:workflow, :status, (SELECT coalesce(max(number), 0) FROM instances WHERE workflow = :workflow), :now)
ON CONFLICT (workflow) DO NOTHING

-- take_terminations --
UPDATE terminations SET epoch = :epoch WHERE epoch IS NULL OR epoch NOT IN (SELECT epoch FROM leases)

-- terminations_of --
SELECT workflow, status, up_to FROM terminations WHERE epoch IS :epoch ORDER BY ordered_at

-- terminating --
SELECT 1 FROM terminations WHERE workflow = ?

-- to_terminate --
SELECT number, id FROM instances
WHERE workflow = :workflow AND number > :after AND number <= :up_to
    AND CASE WHEN :status IS NULL THEN status NOT IN ('errored', 'terminated', 'complete') ELSE status = :status END
ORDER BY number LIMIT :limit

-- finish_termination --
DELETE FROM terminations
WHERE workflow = :workflow AND epoch IS :epoch AND up_to = :up_to AND status IS :status

-- driven --
SELECT 1 FROM leases LIMIT 1

-- change_settings --
UPDATE workflows SET settings = :settings, modified_at = :now WHERE name = :name
