-- The sender uses the one that it took last: the current one, or, where that was
-- never registered, the one before.
INSERT INTO inbox_secrets (source, current) VALUES ($1, $2)
ON CONFLICT (source) DO UPDATE SET
    previous = CASE WHEN inbox_secrets.registered_at IS NULL THEN coalesce(inbox_secrets.previous, inbox_secrets.current) ELSE inbox_secrets.current END,
    current = excluded.current, registered_at = NULL
WHERE inbox_secrets.current <> excluded.current
RETURNING previous IS NOT NULL
