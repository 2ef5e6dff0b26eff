UPDATE bot_users SET language = $2, language_chosen = true WHERE id = $1
