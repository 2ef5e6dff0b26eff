SELECT count(*) FILTER (WHERE state = 'pending'),
       coalesce(extract(epoch FROM clock_timestamp() - min(received_at) FILTER (WHERE state = 'pending')), 0)::float8,
       count(*) FILTER (WHERE state = 'failed'),
       count(*) FILTER (WHERE state = 'undecodable')
FROM inbox_messages WHERE state <> 'done'
