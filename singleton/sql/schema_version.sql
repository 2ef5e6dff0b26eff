SELECT coalesce(max(version), 0) FROM singleton_schema
