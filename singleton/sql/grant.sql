SELECT outcome, coalesce(new_epoch, 0), coalesce(new_term::text, ''), coalesce(server, 0),
       coalesce(former_instance, ''), coalesce(former_work_app, ''), coalesce(former_state, ''), coalesce(former_beat, 0)
FROM singleton_grant($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
