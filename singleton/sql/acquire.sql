SELECT outcome, coalesce(new_epoch, 0), coalesce(new_term::text, ''),
       coalesce(former_instance, ''), coalesce(former_work_app, ''), coalesce(former_state, '')
FROM singleton_acquire($1, $2, $3, $4, $5)
