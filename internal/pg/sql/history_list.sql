SELECT number, file, sha256, applied_at, duration_ms, version
FROM migration_history
ORDER BY number
