-- events_of_all --
SELECT
    history.seq, history.at, history.type AS eventType, history.step AS stepCount,
    coalesce(history.name, '') AS stepName,
    instances.workflow AS workflowName, instances.id AS instanceId, instances.created_at AS created
FROM history JOIN instances ON instances.number = history.instance
WHERE instances.workflow != '' AND history.type NOT IN ('RESULT_GROUP', 'RESULT_ABANDONED', 'PROCESS_DIED') AND {narrow}

-- measured_events --
SELECT
    seq, at, eventType, stepCount, stepName, workflowName, instanceId, created,
    CASE
        WHEN eventType IN ('WORKFLOW_SUCCESS', 'WORKFLOW_FAILURE', 'WORKFLOW_TERMINATED') THEN at - coalesce(started, created)
        WHEN eventType IN ('ATTEMPT_SUCCESS', 'ATTEMPT_FAILURE', 'ROLLBACK_ATTEMPT_SUCCESS', 'ROLLBACK_ATTEMPT_FAILURE')
            THEN at - coalesce(attempt_began, at)
        WHEN eventType IN (
            'STEP_SUCCESS', 'STEP_FAILURE', 'SLEEP_COMPLETE', 'SLEEP_ABANDONED', 'WAIT_COMPLETE', 'WAIT_TIMED_OUT', 'WAIT_ABANDONED',
            'ROLLBACK_STEP_SUCCESS', 'ROLLBACK_STEP_FAILURE', 'ROLLBACK_COMPLETE', 'ROLLBACK_FAILED'
        ) THEN at - coalesce(began, at)
        ELSE 0
    END AS wallTime
FROM (
    SELECT
        history.seq, history.at, history.type AS eventType, history.step AS stepCount,
        coalesce(history.name, '') AS stepName,
        instances.workflow AS workflowName, instances.id AS instanceId, instances.created_at AS created,
        instances.started_at AS started,
        min(CASE WHEN history.type IN ('STEP_START', 'SLEEP_START', 'WAIT_START', 'ROLLBACK_STEP_START', 'ROLLBACK_START')
            THEN history.at END) OVER course AS began,
        min(CASE WHEN history.type IN ('ATTEMPT_START', 'ROLLBACK_ATTEMPT_START') THEN history.at END)
            OVER (PARTITION BY history.instance, history.step, history.type LIKE 'ROLLBACK%', history.attempt) AS attempt_began
    FROM history JOIN instances ON instances.number = history.instance
    WHERE instances.workflow != '' AND history.type NOT IN ('RESULT_GROUP', 'RESULT_ABANDONED', 'PROCESS_DIED') AND {narrow}
    WINDOW course AS (PARTITION BY history.instance, history.step, history.type LIKE 'ROLLBACK%')
)
