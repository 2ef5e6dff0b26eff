TRUNCATE due.orders, due.order_events, river.orders, river.order_events, river.river_job
