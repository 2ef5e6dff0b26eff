BEGIN;
SELECT 1 FROM fence ORDER BY stripe FOR UPDATE;
UPDATE fence SET epoch = epoch + 1;
COMMIT;
