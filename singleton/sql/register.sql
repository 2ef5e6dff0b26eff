-- Makes the lock's rows once; later calls change nothing.
WITH lease AS (
    INSERT INTO singleton_lease (name) VALUES ($1) ON CONFLICT (name) DO NOTHING
)
INSERT INTO singleton_fence (name, stripe)
SELECT $1, s FROM generate_series(0, $2::integer - 1) AS s
ON CONFLICT (name, stripe) DO NOTHING
