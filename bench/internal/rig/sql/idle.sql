-- Sessions report what they did when they end, at the latest.
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'kiosk/bench'
