INSERT INTO migration_history (number, file, sha256, duration_ms, version)
VALUES ($1, $2, $3, $4, $5)
RETURNING applied_at
