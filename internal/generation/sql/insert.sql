INSERT INTO generations (id, request_key, user_id, chat_id, message_id, language, model, params, price, cost_micros, free, state)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'held')
