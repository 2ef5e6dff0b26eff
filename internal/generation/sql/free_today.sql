-- Free runs of the last 24 hours; a failed one was none.
SELECT count(*) FROM generations
WHERE user_id = $1 AND free AND state <> 'failed' AND created_at > clock_timestamp() - interval '24 hours'
