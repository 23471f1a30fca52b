-- alarm --
SELECT at, retries, firing FROM _cf_ALARM

-- set_alarm --
INSERT OR REPLACE INTO _cf_ALARM (id, at) VALUES (1, ?)

-- delete_alarm --
DELETE FROM _cf_ALARM

-- begin_alarm --
UPDATE _cf_ALARM SET firing = 1 WHERE at <= ?

-- forget_firing --
UPDATE _cf_ALARM SET firing = 0 WHERE firing = 1

-- end_alarm --
DELETE FROM _cf_ALARM WHERE firing = 1

-- retry_alarm --
UPDATE _cf_ALARM SET at = :at, retries = retries + 1, firing = 0
WHERE firing = :firing AND at <= :now
