-- take_lease --
INSERT INTO leases (owner, expires_at) VALUES (:owner, :expires_at)

-- renew_lease --
UPDATE leases SET expires_at = :expires_at WHERE epoch = :epoch

-- lease_stands --
SELECT 1 FROM leases WHERE epoch = ?

-- drop_lease --
DELETE FROM leases WHERE epoch = :epoch

-- leases --
SELECT epoch, owner, expires_at FROM leases

-- free_instances --
-- One that waits stays due when its timer is, unless an event came that its process has not delivered.
UPDATE instances
SET epoch = NULL, request = NULL,
    due_at = CASE
        WHEN status = 'waiting' AND NOT EXISTS (SELECT 1 FROM events WHERE instance = instances.number) THEN due_at
        ELSE min(coalesce(due_at, :now), :now) END
WHERE epoch = :epoch
