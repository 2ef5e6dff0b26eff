SELECT state FROM orders WHERE id = $1
