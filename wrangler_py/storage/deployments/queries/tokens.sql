-- add_token --
INSERT INTO tokens (id, name, digest, created_at) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO NOTHING

-- tokens --
SELECT id, name, created_at, last_used_at FROM tokens ORDER BY created_at, name

-- digests --
SELECT id, digest, last_used_at FROM tokens

-- token_used --
UPDATE tokens SET last_used_at = ? WHERE id = ?

-- revoke --
DELETE FROM tokens WHERE id = ? OR name = ?
