-- insert_instance --
INSERT INTO instances (workflow, id, status, params, trigger, schedule, version, created_at, modified_at, due_at,
    success_ms, error_ms)
VALUES (?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (workflow, id) DO NOTHING

-- touch_workflow --
UPDATE workflows SET triggered_at = ? WHERE name = ?

-- insert_history --
INSERT INTO history (instance, type, at, step, attempt, name, data) VALUES (?, ?, ?, ?, ?, ?, ?)

-- insert_chunk --
INSERT INTO chunks (instance, step, number, data) VALUES (?, ?, ?, ?)

-- drop_chunks --
DELETE FROM chunks WHERE instance = ? AND step = ?

-- drives --
-- Nothing of the next ones is written for an instance that the process which writes does not drive.
SELECT 1 FROM instances WHERE number = ? AND epoch = ?

-- not_driven --
-- The same of many, given as a JSON list: those that it does not drive.
SELECT value FROM json_each(:rows)
WHERE NOT EXISTS (SELECT 1 FROM instances WHERE number = value AND epoch = :epoch)

-- change_status --
UPDATE instances SET status = ?, due_at = ?, modified_at = ? WHERE number = ?

-- return_event --
-- Under its old number, so that it comes before what was sent later.
INSERT INTO events (number, instance, type, payload, at) VALUES (:number, :row, :type, :payload, :at)

-- consume_event --
DELETE FROM events WHERE number = ?

-- park --
UPDATE instances
SET status = :status, epoch = NULL, request = NULL, paused_at = :paused_at, modified_at = :at,
    due_at = CASE WHEN :due_at IS NOT NULL AND signal <> :signal THEN :at ELSE :due_at END
WHERE number = :row

-- finish --
UPDATE instances
SET status = ?, output = ?, error = ?, ended_at = ?, modified_at = ?, epoch = NULL, request = NULL,
    due_at = NULL, paused_at = NULL, expires_at = ? + CASE WHEN ? = 'complete' THEN success_ms ELSE error_ms END
WHERE number = ?

-- drop_events --
DELETE FROM events WHERE instance = ?

-- due_going_on --
SELECT {instance} FROM instances INDEXED BY instances_due
WHERE workflow = :workflow AND fresh = 0 AND epoch IS NULL AND due_at <= :now AND deaths = 0
ORDER BY due_at LIMIT :limit

-- due_going_on_of_version --
SELECT {instance} FROM instances INDEXED BY instances_due_of_version
WHERE workflow = :workflow AND version = :version AND fresh = 0 AND epoch IS NULL AND due_at <= :now AND deaths = 0
ORDER BY due_at LIMIT :limit

-- due_starting --
SELECT {instance} FROM instances INDEXED BY instances_due
WHERE workflow = :workflow AND fresh = 1 AND epoch IS NULL AND due_at <= :now
ORDER BY due_at, number LIMIT :limit

-- due_starting_of_version --
SELECT {instance} FROM instances INDEXED BY instances_due_of_version
WHERE workflow = :workflow AND version = :version AND fresh = 1 AND epoch IS NULL AND due_at <= :now
ORDER BY due_at, number LIMIT :limit

-- replay_history --
-- A replay has no use for the ends of attempts that succeeded: the step's own end says it.
SELECT instance, type, at, step, attempt, name, data, seq FROM history
WHERE instance = ? AND seq > ? AND type <> 'ATTEMPT_SUCCESS' ORDER BY seq LIMIT ?

-- claim --
-- A pause that waits for steps in flight stands: nothing is in flight any more, and its new driver pauses it.
UPDATE instances
SET epoch = :epoch, request = NULL, fresh = 0, modified_at = :now, due_at = :now, started_at = coalesce(started_at, :now),
    status = CASE WHEN status = 'waitingForPause' THEN status ELSE 'running' END
WHERE number = :number

-- next_due --
SELECT min(due_at) FROM instances INDEXED BY instances_due
WHERE workflow = :workflow AND fresh = :fresh AND epoch IS NULL AND due_at IS NOT NULL AND deaths = 0

-- next_due_of_version --
SELECT min(due_at) FROM instances INDEXED BY instances_due_of_version
WHERE workflow = :workflow AND version = :version AND fresh = :fresh AND epoch IS NULL AND due_at IS NOT NULL
    AND deaths = 0
