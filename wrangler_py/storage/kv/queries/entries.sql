-- get --
-- A value that is too large to be read here comes as NULL.
SELECT CASE WHEN length(value) <= ? THEN value END, metadata
FROM entries
WHERE key = ? AND (expires_at IS NULL OR expires_at > ?)

-- put --
INSERT INTO entries (key, expires_at, metadata, value)
VALUES (?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
    expires_at = excluded.expires_at, metadata = excluded.metadata, value = excluded.value

-- delete --
DELETE FROM entries WHERE key = ?

-- list_keys --
SELECT key, expires_at, metadata
FROM entries
WHERE key >= ? AND key < ? AND (expires_at IS NULL OR expires_at > ?)
ORDER BY key
LIMIT ?

-- sweep --
DELETE FROM entries
WHERE rowid IN (SELECT rowid FROM entries WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)
