SELECT epoch, beat, state, instance, coalesce(acquired_at, 'epoch'::timestamptz)
FROM singleton_lease WHERE name = $1
