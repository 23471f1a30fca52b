-- expired_numbers --
SELECT number FROM messages WHERE expires_at <= ? AND holder IS NULL LIMIT ?

-- unheld_numbers --
SELECT number FROM messages WHERE queue = ? AND holder IS NULL LIMIT ?

-- backlog --
SELECT count(*), coalesce(sum(size), 0), min(sent_at), coalesce(sum(holder IS NULL AND due_at > :now), 0), count(holder)
FROM messages WHERE queue = :queue

-- queue_names --
SELECT DISTINCT queue FROM messages ORDER BY queue
