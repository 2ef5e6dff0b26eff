-- Only the oldest rows are looked at, so a run without leftovers reads no more.
DELETE FROM inbox_messages WHERE id IN (
    SELECT oldest.id FROM (SELECT id, received_at FROM inbox_messages WHERE state <> 'pending' ORDER BY id LIMIT $1) AS oldest
    WHERE oldest.received_at < clock_timestamp() - $2::bigint * interval '1 second')
