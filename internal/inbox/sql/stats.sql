-- Each count reads one of the two small indexes, never the messages that are done.
-- A message is recently failed when its last attempt ended within the hour.
SELECT waiting.n, coalesce(extract(epoch FROM clock_timestamp() - waiting.oldest), 0)::float8,
       greatest(coalesce(extract(epoch FROM clock_timestamp() - waiting.due), 0), 0)::float8,
       aside.failed, aside.recent, aside.undecodable
FROM (SELECT count(*) AS n, min(received_at) AS oldest, min(due_at) AS due FROM inbox_messages WHERE state = 'pending') AS waiting,
     (SELECT count(*) FILTER (WHERE state = 'failed') AS failed,
             count(*) FILTER (WHERE state = 'failed' AND due_at > clock_timestamp() - interval '1 hour') AS recent,
             count(*) FILTER (WHERE state = 'undecodable') AS undecodable
      FROM inbox_messages WHERE state IN ('failed', 'undecodable')) AS aside
