SELECT id, model, state, price, free, created_at FROM generations WHERE user_id = $1 ORDER BY created_at DESC, id LIMIT $2
