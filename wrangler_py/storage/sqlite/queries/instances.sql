-- instance --
-- The columns that `storage.sqlite.instances` reads.
number, workflow, id, status, params, trigger, schedule, version, created_at, modified_at, started_at, ended_at, output,
    error, due_at, fresh, epoch, paused_at, signal, request, deaths

-- get --
SELECT {instance} FROM instances WHERE workflow = ? AND id = ?

-- history --
-- What a reader is given: groups of results are for replays.
SELECT instance, type, at, step, attempt, name, data, seq FROM history
WHERE instance = ? AND seq > ? AND type NOT IN ('RESULT_GROUP', 'RESULT_ABANDONED', 'PROCESS_DIED') ORDER BY seq LIMIT ?

-- chunk --
SELECT data FROM chunks WHERE instance = ? AND step = ? AND number = ?

-- look --
-- As `get`, with the number of the last history event.
SELECT {instance}, (SELECT max(seq) FROM history WHERE instance = instances.number) AS seq
FROM instances WHERE workflow = ? AND id = ?

-- unchanged --
-- A row's number is used again after a delete: it is the same instance only with the same name.
SELECT 1 FROM instances
WHERE number = :row AND workflow = :workflow AND id = :id AND status = :status AND epoch IS :epoch
    AND (SELECT max(seq) FROM history WHERE instance = :row) IS :seq

-- rest --
UPDATE instances
SET status = :status, due_at = :due_at, modified_at = :now, epoch = NULL, request = NULL,
    paused_at = CASE WHEN :status = 'paused' THEN :now END,
    ended_at = CASE WHEN :status = 'terminated' THEN :now END,
    expires_at = CASE WHEN :status = 'terminated' THEN :now + error_ms END
WHERE number = :row

-- last_seq --
SELECT max(seq) FROM history WHERE instance = ?

-- forget_history --
DELETE FROM history WHERE instance = ?

-- forget_steps --
DELETE FROM history
WHERE instance = :row AND (step >= :from_step OR type IN (
    'WORKFLOW_SUCCESS', 'WORKFLOW_FAILURE', 'WORKFLOW_TERMINATED', 'REPLAY_DIVERGED') OR type LIKE 'ROLLBACK%')

-- forget_chunks --
DELETE FROM chunks WHERE instance = ?

-- forget_chunks_from --
DELETE FROM chunks WHERE instance = :row AND step >= :from_step

-- queue_again --
UPDATE instances
SET status = 'queued', fresh = 1, epoch = NULL, request = NULL, due_at = :now, modified_at = :now, started_at = NULL, ended_at = NULL,
    output = NULL, error = NULL, paused_at = NULL, expires_at = NULL, deaths = 0, version = :version
WHERE number = :row

-- insert_numbered_history --
INSERT INTO history (instance, type, at, step, attempt, name, data, seq) VALUES (?, ?, ?, 0, 0, NULL, NULL, ?)

-- forget_events --
DELETE FROM events WHERE instance = ?

-- delete_instance --
DELETE FROM instances WHERE number = ?

-- takes_events --
SELECT 1 FROM instances
WHERE number = :row AND workflow = :workflow AND id = :id AND status NOT IN ('errored', 'terminated', 'complete')

-- insert_event --
INSERT INTO events (instance, type, payload, at) VALUES (?, ?, ?, ?)

-- signal --
UPDATE instances
SET signal = signal + 1,
    due_at = CASE WHEN epoch IS NULL AND status = 'waiting' THEN min(due_at, :at) ELSE due_at END
WHERE number = :row

-- events --
SELECT number, instance, type, payload, at FROM events WHERE instance = ? AND number > ? ORDER BY number

-- signal_of --
SELECT signal FROM instances WHERE number = ?

-- signalled --
SELECT number, signal FROM instances WHERE epoch = ? AND signal > 0

-- ask --
UPDATE instances SET request = :request
WHERE number = :row AND workflow = :workflow AND id = :id AND epoch = :epoch

-- ask_all --
UPDATE instances SET request = :request WHERE workflow = :workflow AND epoch IS NOT NULL

-- answered --
UPDATE instances SET request = NULL WHERE number = :row AND request = :request

-- asked --
SELECT number, request FROM instances WHERE epoch = ? AND request IS NOT NULL

-- let_go --
UPDATE instances SET epoch = NULL, request = NULL, due_at = :due_at WHERE number = :row AND epoch = :epoch

-- unfinished_versions --
SELECT DISTINCT instances.version FROM instances JOIN workflows ON workflows.name = instances.workflow
WHERE workflows.script = ? AND instances.status IN ('queued', 'running', 'waiting', 'waitingForPause', 'paused')

-- latest --
SELECT {instance} FROM instances WHERE number = (SELECT max(number) FROM instances WHERE workflow = ?)

-- status_counts --
SELECT status, count(*) FROM instances WHERE workflow = ? GROUP BY status

-- count_queued --
SELECT count(*) FROM instances WHERE status = 'queued' AND workflow IN (SELECT name FROM workflows)

-- count_created --
SELECT count(*) FROM instances WHERE created_at >= ?

-- created_at --
SELECT created_at FROM instances ORDER BY number DESC LIMIT 1 OFFSET ?

-- undriven_rows --
SELECT number FROM instances WHERE workflow = ? AND epoch IS NULL

-- any_of_workflow --
SELECT 1 FROM instances WHERE workflow = ? LIMIT 1
