-- The budget of takeovers is for flapping; a scenario of many rounds begins each with a full one.
UPDATE singleton_event SET at = at - interval '1 hour' WHERE kind = 'takeover' AND at > clock_timestamp() - interval '30 minutes'
