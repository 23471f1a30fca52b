-- blame --
-- One of the instances that a process was executing when it died.
UPDATE instances SET deaths = max(deaths + 1, :least)
WHERE epoch = :epoch AND workflow = :workflow AND id = :id

-- accuse --
-- The attempt that a process was executing when it died.
INSERT INTO history (instance, type, at, step, attempt, name, data)
SELECT number, 'PROCESS_DIED', :at, 0, :attempt, :name, :data FROM instances
WHERE epoch = :epoch AND workflow = :workflow AND id = :id

-- spare_others --
-- Instances that had an attempt under way when another one killed their process. One that waits has none.
INSERT INTO history (instance, type, at, step, attempt, name, data)
SELECT number, 'PROCESS_DIED', :at, 0, 0, NULL, :data FROM instances
WHERE epoch = :epoch AND status IN ('running', 'waitingForPause') AND NOT (workflow = :workflow AND id = :id)
    AND EXISTS (
        SELECT 1 FROM history AS begun
        WHERE begun.instance = number AND begun.type IN ('ATTEMPT_START', 'ROLLBACK_ATTEMPT_START')
            AND NOT EXISTS (
                SELECT 1 FROM history AS later
                WHERE later.instance = number AND later.seq > begun.seq AND later.step = begun.step
                    AND later.type NOT LIKE '%START'))

-- blame_all --
-- All that a process was executing, or was about to: those whose timer had come, too.
UPDATE instances SET deaths = max(deaths, 1, deaths + :more)
WHERE epoch = :epoch AND (status IN ('running', 'waitingForPause') OR (status = 'waiting' AND due_at <= :now))

-- postpone --
-- After a second death an instance is due later with each, so that the process answers requests in between.
UPDATE instances
SET epoch = NULL, request = NULL, due_at = :now + min(:longest, :first << (min(deaths, 20) - 2))
WHERE epoch = :epoch AND deaths >= 2 AND (status <> 'waiting' OR due_at <= :now)

-- set_deaths --
UPDATE instances SET deaths = ? WHERE number = ?

-- suspects --
SELECT deaths, due_at FROM instances INDEXED BY instances_suspect
WHERE workflow = :workflow AND deaths > 0 AND epoch IS NULL AND due_at IS NOT NULL
ORDER BY due_at LIMIT :limit

-- suspects_of_version --
SELECT deaths, due_at FROM instances INDEXED BY instances_suspect
WHERE workflow = :workflow AND version = :version AND deaths > 0 AND epoch IS NULL AND due_at IS NOT NULL
ORDER BY due_at LIMIT :limit

-- due_suspects --
SELECT {instance} FROM instances INDEXED BY instances_suspect
WHERE workflow = :workflow AND deaths > 0 AND epoch IS NULL AND due_at <= :now
ORDER BY deaths, due_at LIMIT :limit

-- due_suspects_of_version --
SELECT {instance} FROM instances INDEXED BY instances_suspect
WHERE workflow = :workflow AND version = :version AND deaths > 0 AND epoch IS NULL AND due_at <= :now
ORDER BY deaths, due_at LIMIT :limit
