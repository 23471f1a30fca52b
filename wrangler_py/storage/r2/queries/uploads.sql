-- create_upload --
INSERT INTO uploads (id, key, created_at, http_metadata, custom_metadata, storage_class)
VALUES (:id, :key, :created_at, :http_metadata, :custom_metadata, :storage_class)

-- find_upload --
SELECT id, key, created_at, is_open, http_metadata, custom_metadata, storage_class
FROM uploads WHERE id = :id AND key = :key

-- close_upload --
UPDATE uploads SET is_open = 0 WHERE id = :id AND is_open

-- is_open --
SELECT EXISTS (SELECT 1 FROM uploads WHERE id = :id AND is_open)

-- put_part --
INSERT OR REPLACE INTO parts (upload, number, blob, size, etag) VALUES (:upload, :number, :blob, :size, :etag)

-- parts --
SELECT upload, number, blob, size, etag FROM parts WHERE upload = :upload ORDER BY number

-- part_blobs --
SELECT blob FROM parts WHERE upload = :upload AND (:number IS NULL OR number = :number)

-- drop_parts --
DELETE FROM parts WHERE upload = :upload

-- drop_old_parts --
DELETE FROM parts WHERE upload IN (SELECT id FROM uploads WHERE created_at < :before)

-- drop_old_uploads --
DELETE FROM uploads WHERE created_at < :before
