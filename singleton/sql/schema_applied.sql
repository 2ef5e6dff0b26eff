INSERT INTO singleton_schema (version) VALUES ($1) ON CONFLICT DO NOTHING
