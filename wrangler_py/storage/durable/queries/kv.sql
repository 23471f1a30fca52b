-- get --
SELECT value FROM _cf_KV WHERE key = ?

-- put --
INSERT INTO _cf_KV (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value

-- delete --
DELETE FROM _cf_KV WHERE key = ?

-- delete_all --
DELETE FROM _cf_KV

-- scan --
SELECT key, value FROM _cf_KV
WHERE key >= :first AND (:start_after IS NULL OR key > :start_after) AND (:end IS NULL OR key < :end)
ORDER BY key LIMIT :limit

-- scan_back --
SELECT key, value FROM _cf_KV
WHERE key >= :first AND (:start_after IS NULL OR key > :start_after) AND (:end IS NULL OR key < :end)
ORDER BY key DESC LIMIT :limit

-- user_parts --
SELECT type, name FROM sqlite_master
WHERE name NOT LIKE '\_cf\_%' ESCAPE '\' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
  AND type IN ('table', 'view', 'trigger', 'index')
ORDER BY CASE type WHEN 'trigger' THEN 0 WHEN 'view' THEN 1 WHEN 'index' THEN 2 ELSE 3 END

-- used_bytes --
SELECT (pages.page_count - free.freelist_count) * size.page_size
FROM pragma_page_count AS pages, pragma_freelist_count AS free, pragma_page_size AS size
