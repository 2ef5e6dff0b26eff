-- Whether a generation has been due for longer than $1 milliseconds.
SELECT EXISTS (
    SELECT 1 FROM generations
    WHERE state IN ('held', 'running', 'unknown') AND due_at <= clock_timestamp() - $1::bigint * interval '1 millisecond'
)
