-- The time of a state is that of its first row; a repetition keeps it.
INSERT INTO admin_alerts (id, firing, value, told, told_at)
VALUES ($1, $2, $3, $4, CASE WHEN $5 THEN clock_timestamp() END)
ON CONFLICT (id) DO UPDATE SET
    since = CASE WHEN admin_alerts.firing = excluded.firing THEN admin_alerts.since ELSE clock_timestamp() END,
    firing = excluded.firing, value = excluded.value, told = excluded.told,
    told_at = coalesce(excluded.told_at, admin_alerts.told_at)
