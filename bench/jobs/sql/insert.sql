INSERT INTO orders (id, request_key, user_id, chat_id, message_id, language, model, params, price, cost_micros, state)
VALUES ($1, $2, $3, $3, 42, 'en', 'z-image', '{"prompt": "a lighthouse in the fog, oil on canvas", "aspect_ratio": "4:3"}', 400, 4000, 'held')
