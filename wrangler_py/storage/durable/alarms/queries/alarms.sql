-- hinted --
SELECT at FROM alarms WHERE class_name = ? AND id = ?

-- hint --
INSERT INTO alarms (class_name, id, name, at) VALUES (:class_name, :id, :name, :at)
ON CONFLICT (class_name, id) DO UPDATE SET at = excluded.at, name = coalesce(excluded.name, name)
WHERE at <> excluded.at OR name IS NULL

-- remove --
DELETE FROM alarms WHERE class_name = ? AND id = ?

-- upcoming --
SELECT class_name, id, name, at FROM alarms WHERE class_name = ? ORDER BY at LIMIT ?
