-- What was filled in goes. The drafts' numbers stay, so that buttons of older
-- cards never fit a newer draft.
UPDATE bot_sessions SET state = jsonb_strip_nulls(jsonb_build_object('draft', coalesce(state -> 'draft', '0'), 'ordered', state -> 'ordered'))
WHERE user_id IN (
    SELECT user_id FROM bot_sessions
    WHERE updated_at < clock_timestamp() - $2::bigint * interval '1 second' AND state ?| ARRAY['model', 'values', 'text', 'open', 'shown']
    LIMIT $1
    FOR NO KEY UPDATE SKIP LOCKED)
