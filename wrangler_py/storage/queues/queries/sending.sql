-- last_number --
SELECT seq FROM sqlite_sequence WHERE name = 'messages'

-- insert_message --
INSERT INTO messages (number, queue, id, sent_at, expires_at, due_at, content_type, size)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- insert_body --
INSERT INTO bodies (number, body) VALUES (?, ?)
