-- count_holder --
UPDATE holders SET last = last + 1

-- last_holder --
SELECT last FROM holders

-- other_holders --
SELECT DISTINCT holder FROM messages WHERE holder IS NOT NULL AND holder IS NOT ?

-- free_held --
UPDATE messages SET holder = NULL WHERE holder = ?
