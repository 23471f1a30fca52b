-- add_version --
INSERT INTO versions (script, id, number, created_at, source, message, tag, size, config)
VALUES (
    :script, :id, (SELECT coalesce(max(number), 0) + 1 FROM versions WHERE script = :script),
    :created_at, :source, :message, :tag, :size, :config
)
ON CONFLICT (script, id) DO NOTHING

-- version --
SELECT script, id, number, created_at, source, message, tag, size, config
FROM versions
WHERE script = ? AND id = ?

-- versions --
SELECT script, id, number, created_at, source, message, tag, size, config
FROM versions
WHERE script = ?
ORDER BY number DESC

-- all_versions --
SELECT script, id FROM versions

-- remove_versions --
DELETE FROM versions WHERE script = ?
