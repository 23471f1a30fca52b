-- due_times --
SELECT due_at FROM messages
WHERE queue = ? AND holder IS NULL
ORDER BY due_at, number LIMIT ?

-- due_messages --
SELECT number, id, sent_at, attempts + 1, content_type, body
FROM messages JOIN bodies USING (number)
WHERE queue = ? AND holder IS NULL AND due_at <= ?
ORDER BY due_at, number LIMIT ?

-- hold --
UPDATE messages SET holder = ?, attempts = attempts + 1 WHERE number = ?

-- remove_message --
DELETE FROM messages WHERE number = ? AND holder IS ?

-- remove_body --
DELETE FROM bodies WHERE number = ? AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.number = bodies.number)

-- retry --
UPDATE messages SET holder = NULL, due_at = ? WHERE number = ? AND holder = ?

-- move --
UPDATE messages SET queue = ?, holder = NULL, due_at = ?, expires_at = ?, attempts = 0
WHERE number = ? AND holder = ?

-- give_back --
UPDATE messages SET holder = NULL, attempts = attempts - 1 WHERE number = ? AND holder = ?
