SELECT id, firing, told, extract(epoch FROM clock_timestamp() - since)::float8,
       coalesce(extract(epoch FROM clock_timestamp() - told_at), 1e9)::float8
FROM admin_alerts
