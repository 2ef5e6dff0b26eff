SELECT id::text FROM singleton_domain
