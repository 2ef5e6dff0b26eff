SELECT state = 'held', instance,
       CASE WHEN detail_epoch = epoch THEN version ELSE '' END,
       CASE WHEN detail_epoch = epoch THEN mode ELSE 'session' END,
       epoch,
       coalesce(extract(epoch FROM clock_timestamp() - acquired_at), 0)::float8,
       coalesce(extract(epoch FROM clock_timestamp() - beat_at), 0)::float8,
       beat,
       CASE WHEN detail_epoch = epoch THEN progress ELSE 0 END,
       detail_epoch = epoch AND waiting,
       asked_epoch = epoch AND state = 'held'
FROM singleton_lease WHERE name = $1
