SELECT count(*),
       coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8,
       greatest(coalesce(extract(epoch FROM clock_timestamp() - min(due_at)), 0), 0)::float8,
       count(*) FILTER (WHERE due_at < clock_timestamp() - interval '2 minutes'),
       count(*) FILTER (WHERE state = 'unknown')
FROM generations WHERE state IN ('held', 'submitting', 'running', 'unknown')
