-- mark --
SELECT at FROM marks WHERE script = ?

-- set_mark --
INSERT INTO marks (script, at) VALUES (?, ?) ON CONFLICT (script) DO UPDATE SET at = excluded.at
