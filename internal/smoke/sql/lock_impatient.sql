-- Has the watchers of the scratch lock forget how long its holder trusts itself.
UPDATE singleton_lease SET stale_ms = 0 WHERE name = $1
