-- insert_message --
INSERT INTO messages (queue, id, sent_at, expires_at, due_at, content_type, size)
VALUES (?, ?, ?, ?, ?, ?, ?)

-- insert_body --
INSERT INTO bodies (number, body) VALUES (?, ?)
