-- bind_workflow --
INSERT INTO workflows (name, script, class_name, version, created_at, modified_at)
VALUES (:name, :script, :class_name, :version, :created_at, :modified_at)
ON CONFLICT (name) DO UPDATE SET
    script = excluded.script, class_name = excluded.class_name, version = excluded.version,
    modified_at = CASE
        WHEN version = excluded.version AND class_name = excluded.class_name AND script = excluded.script
        THEN modified_at ELSE excluded.modified_at END

-- workflows --
SELECT name, script, class_name, version, created_at, modified_at, triggered_at, settings FROM workflows ORDER BY created_at, name

-- delete_workflow --
DELETE FROM workflows WHERE name = ?
