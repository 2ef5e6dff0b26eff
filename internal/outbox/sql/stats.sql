-- Each count reads one of the two small indexes, never the messages that were sent.
SELECT waiting.n, coalesce(extract(epoch FROM clock_timestamp() - waiting.oldest), 0)::float8,
       greatest(coalesce(extract(epoch FROM clock_timestamp() - waiting.due), 0), 0)::float8,
       doubt.n, doubt.recent
FROM (SELECT count(*) AS n, min(created_at) AS oldest, min(due_at) AS due
      FROM outbox_messages WHERE state IN ('pending', 'sending')) AS waiting,
     (SELECT count(*) AS n, count(*) FILTER (WHERE finished_at > clock_timestamp() - interval '1 hour') AS recent
      FROM outbox_messages WHERE state = 'unknown') AS doubt
