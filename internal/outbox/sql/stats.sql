SELECT count(*) FILTER (WHERE state IN ('pending', 'sending')),
       coalesce(extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE state IN ('pending', 'sending'))), 0)::float8,
       count(*) FILTER (WHERE state = 'unknown')
FROM outbox_messages WHERE state IN ('pending', 'sending', 'unknown')
