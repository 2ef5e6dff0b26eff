-- Only the oldest rows are looked at, so a run without leftovers reads no more.
DELETE FROM outbox_messages WHERE id IN (
    SELECT oldest.id FROM (SELECT id, created_at FROM outbox_messages WHERE state NOT IN ('pending', 'sending') ORDER BY id LIMIT $1) AS oldest
    WHERE oldest.created_at < clock_timestamp() - $2::bigint * interval '1 second')
