SELECT epoch, beat, coalesce(term::text, ''), state, instance, coalesce(acquired_at, 'epoch'::timestamptz),
       CASE WHEN detail_epoch = epoch THEN mode ELSE 'session' END,
       CASE WHEN detail_epoch = epoch THEN version ELSE '' END,
       CASE WHEN detail_epoch = epoch THEN rank ELSE 0 END,
       CASE WHEN detail_epoch = epoch THEN progress ELSE 0 END,
       detail_epoch = epoch AND waiting,
       stale_ms
FROM singleton_lease WHERE name = $1
