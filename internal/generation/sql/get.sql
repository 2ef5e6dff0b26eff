SELECT id, user_id, chat_id, message_id, language, model, params, price, cost_micros, free, state, cause,
       coalesce(task_id, ''), task_hint, coalesce(claim_epoch, 0), attempts, stage, created_at,
       coalesce(submitted_at, created_at), due_at <= clock_timestamp(),
       extract(epoch FROM clock_timestamp() - created_at)::float8,
       extract(epoch FROM clock_timestamp() - coalesce(submitted_at, created_at))::float8
FROM generations WHERE id = $1
