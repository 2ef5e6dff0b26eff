SELECT language FROM bot_users WHERE id = $1
