-- find --
SELECT key, blob, version, size, etag, uploaded_at, checksums, http_metadata, custom_metadata, storage_class
FROM objects WHERE key = :key

-- walk --
SELECT key, blob, version, size, etag, uploaded_at, checksums, http_metadata, custom_metadata, storage_class
FROM objects WHERE key >= :start AND key < :end ORDER BY key

-- put --
INSERT OR REPLACE INTO objects
    (key, blob, version, size, etag, uploaded_at, checksums, http_metadata, custom_metadata, storage_class)
VALUES
    (:key, :blob, :version, :size, :etag, :uploaded_at, :checksums, :http_metadata, :custom_metadata, :storage_class)

-- blob_of --
SELECT blob FROM objects WHERE key = :key

-- delete --
DELETE FROM objects WHERE key = :key

-- blobs --
SELECT blob FROM objects UNION ALL SELECT blob FROM parts

-- has_blob --
SELECT EXISTS (SELECT 1 FROM objects WHERE blob = :blob) OR EXISTS (SELECT 1 FROM parts WHERE blob = :blob)
