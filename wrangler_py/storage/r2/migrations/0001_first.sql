-- What a bucket holds. The bytes are in files beside this database; `blob` is the name of one.
-- Keys are the bytes of their UTF-8 text, so that they sort as R2 sorts them. Instants are milliseconds since 1970, UTC.
-- Runs on SQLite 3.34 and later.

CREATE TABLE objects (
    key             BLOB PRIMARY KEY NOT NULL,
    blob            TEXT NOT NULL,
    version         TEXT NOT NULL,
    size            INTEGER NOT NULL,
    etag            TEXT NOT NULL,
    uploaded_at     INTEGER NOT NULL,
    -- JSON objects of text.
    checksums       TEXT NOT NULL,
    http_metadata   TEXT NOT NULL,
    custom_metadata TEXT NOT NULL,
    storage_class   TEXT NOT NULL
);

CREATE INDEX objects_blob ON objects (blob);

-- An upload stays known after its end: aborting one twice is no error, and completing it twice is told as such.
CREATE TABLE uploads (
    id              TEXT PRIMARY KEY,
    key             BLOB NOT NULL,
    created_at      INTEGER NOT NULL,
    is_open         INTEGER NOT NULL DEFAULT 1,
    http_metadata   TEXT NOT NULL,
    custom_metadata TEXT NOT NULL,
    storage_class   TEXT NOT NULL
);

CREATE TABLE parts (
    upload TEXT NOT NULL,
    number INTEGER NOT NULL,
    blob   TEXT NOT NULL,
    size   INTEGER NOT NULL,
    etag   TEXT NOT NULL,
    PRIMARY KEY (upload, number)
);

CREATE INDEX parts_blob ON parts (blob);
