-- activate --
INSERT INTO deployments (id, script, version, at, source, message) VALUES (?, ?, ?, ?, ?, ?)

-- active --
SELECT script, version
FROM deployments
WHERE number IN (SELECT max(number) FROM deployments GROUP BY script)
ORDER BY script

-- active_version --
SELECT version FROM deployments WHERE script = ? ORDER BY number DESC LIMIT 1

-- history --
SELECT id, script, version, at, source, message
FROM deployments
WHERE script = ?
ORDER BY number DESC

-- remove_deployments --
DELETE FROM deployments WHERE script = ?
