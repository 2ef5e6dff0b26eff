INSERT INTO generation_results (generation_id, position, kind, url) VALUES ($1, $2, $3, $4)
