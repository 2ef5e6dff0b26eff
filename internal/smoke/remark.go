package smoke

func databaseRemarks() []remark {
	return []remark{
		{notEnded, "something hangs: a server that accepts and says nothing, or a database under heavy load", "run smoke again; if it stays, look at the load of the database and at the network between here and the server"},
		{settingsInvalid, "a setting is missing or has a value that cannot work", "correct each setting that is named; `kiosk env --check` says the same without the other checks"},

		{dbURL, "the value is no URL of PostgreSQL; often a password with a special character that is not percent-encoded", "write postgres://USER:PASSWORD@HOST:5432/NAME and percent-encode the password"},
		{dbDown, "PostgreSQL is down, or a firewall or a wrong port is in between", "start PostgreSQL, or correct host and port in DATABASE_URL; from this machine, `pg_isready -h HOST -p PORT` must say yes"},
		{dbHost, "the name in DATABASE_URL does not exist in DNS from here", "correct the host in DATABASE_URL; a platform's internal name works only inside that platform"},
		{dbTLS, "the server offers no TLS, or its certificate is not trusted", "use the sslmode that your provider names in DATABASE_URL, and sslrootcert for a private authority"},
		{dbPassword, "the password in DATABASE_URL is not the role's", "copy the password anew, percent-encoded, or set it with ALTER ROLE … PASSWORD"},
		{dbRole, "the role does not exist, may not log in, or pg_hba.conf has no line for it", "correct the user in DATABASE_URL, or create the role with LOGIN and let it in by pg_hba.conf"},
		{dbMissing, "the name at the end of DATABASE_URL does not exist on this server", "correct the name, or create it with CREATE DATABASE"},
		{dbFull, "all connections that the server or the role may have are in use", "raise max_connections or the role's limit, or run fewer instances; each takes up to 22 connections"},
		{dbStarting, "PostgreSQL starts, stops, or recovers", "wait a minute and run smoke again; if it stays, read PostgreSQL's log"},
		{dbOld, "the server is older than PostgreSQL 15", "upgrade PostgreSQL, or name a newer server in DATABASE_URL"},
		{dbReadOnly, "it is a replica, or default_transaction_read_only is on (some providers do that when the disk is full)", "name the primary in DATABASE_URL; free disk space on the server; then switch default_transaction_read_only off"},
		{dbFailed, "a reason that has no line of its own here", "the SQLSTATE is explained in PostgreSQL's documentation, appendix A; read the server's log"},

		{migrateURL, "the role that owns the schema cannot connect", "correct DATABASE_MIGRATE_URL, or remove it when one role does everything"},
		{migrateElse, "the schema would be changed in one database and used in another", "let both URLs name the same server and database; only the role may differ"},
		{mayNotMake, "the role lacks CREATE on the schema; since PostgreSQL 15 only the owner of a database has it in `public`", "GRANT CREATE ON SCHEMA public TO the role of DATABASE_MIGRATE_URL (or of DATABASE_URL without one)"},
		{schemaEmpty, "nothing was ever applied here: a new database, or the wrong one", "check the name in DATABASE_URL, then run `kiosk migrate up`"},
		{schemaPending, "this binary is newer than the database", "run `kiosk migrate up`, or start an instance of this version, which does the same"},
		{schemaChanged, "a file of internal/pg/migrations was edited after it had been applied", "deploy the binary that applied it, and put the change into a new migration"},
		{schemaNewer, "a newer version has migrated this database, and this binary was rolled back too far", "deploy the version that `kiosk migrate status` names in its last line"},
		{schemaFailed, "migration_history is gone in part, or the role may not read it", "compare `kiosk migrate status` with the last backup; grant SELECT on migration_history"},
		{sqlMisfit, "a table, column or function was changed by hand, or lost", "restore what the SQLSTATE names from internal/pg/migrations or from a backup; never change the schema by hand"},
		{sqlDenied, "with two roles, the one of DATABASE_URL lacks a privilege on what the message names", "GRANT it to the role of DATABASE_URL as the owner; ALTER DEFAULT PRIVILEGES does it for later tables"},
	}
}

func lockRemarks() []remark {
	return []remark{
		{lockURL, "the lock's own connection cannot be made", "correct LOCK_DATABASE_URL, or remove it when DATABASE_URL is direct"},
		{lockElse, "each would have its own lock, and two instances could be ACTIVE", "let LOCK_DATABASE_URL name the direct address of the same database"},
		{lockPooled, "a transaction pooler lends server processes to clients; the lock works without a session of its own, but a dead instance is followed only after the stale time", "set LOCK_DATABASE_URL to the direct, unpooled address (Neon: without `-pooler`; Supabase: port 5432 of the database; Render: the internal URL)"},
		{lockNotGranted, "the lock's functions or tables are not as the program made them, or are locked by somebody", "look for long transactions in pg_stat_activity; then compare the functions singleton_* with singleton/sql"},
		{lockNoHeartbeat, "updates of the lock's row have no effect, or take too long", "look for triggers on singleton_lease, and for a database that answers slower than half a second"},
		{lockNoTakeover, "a standby cannot end the session of a dead instance: another database role, or the function singleton_grant was changed", "let all instances use one database role; compare the functions singleton_* with singleton/sql"},
		{lockNotFenced, "the function singleton_check was changed: a frozen instance that wakes up could write", "stop all instances but one at once, and restore singleton_check from singleton/sql"},
		{lockFenceFails, "the function singleton_check was changed or is slow", "compare singleton_check with singleton/sql; nothing works on the ACTIVE instance until it is right"},
		{lockNotReleased, "the row of the lock cannot be set to released", "look for triggers on singleton_lease; a stop would cost the stale time until this is gone"},
		{lockRowsStay, "the role may not delete from the tables singleton_*", "GRANT DELETE on singleton_lease, singleton_fence and singleton_event; rows whose name begins with smoke/ do no harm"},
	}
}

func bookRemarks() []remark {
	return []remark{
		{booksWrong, "balances and transfers differ: somebody wrote into the ledger's tables past its functions", "stop sales, keep the database as it is, run `kiosk ledger verify`, and compare with the last backup"},
		{booksUnread, "the audit ended with an error, or takes longer than smoke may", "run `kiosk ledger verify`, which waits for as long as it takes"},
		{pricesInvalid, "USD_RATE, PRICE_MARKUP and MAX_COST_SHARE leave no model that may be sold", "raise PRICE_MARKUP or MAX_COST_SHARE; `kiosk models list` shows the prices"},
		{modelInvalid, "a model's file is wrong, or its example cannot be ordered", "run `kiosk models validate FILE`, which says where"},
		{modelUnsold, "its cost exceeds MAX_COST_SHARE of its price", "raise PRICE_MARKUP or MAX_COST_SHARE, or leave it as it is: the model is hidden and nothing else suffers"},
		{inboxNotStored, "the row could not be committed", "read the message; free disk space on the database server; grant INSERT on inbox_messages"},
		{inboxNotHandled, "it is overloaded, stuck, or cannot reach the database that this run uses", "look at /health (inbox, outbox) and at the log of the ACTIVE instance; `kiosk serve` elsewhere takes over when it is stopped"},
		{inboxFailed, "its database transactions fail", "search its log for `message failed`"},
		{inboxAside, "each failed five times within the last hour; their people were told that something went wrong", "search the log for `message failed`: it has the error and the key of the update; fix that cause"},
		{inboxRowStays, "the role may not delete from inbox_messages", "GRANT DELETE ON inbox_messages; rows whose key begins with smoke: do no harm"},
	}
}

func serviceRemarks() []remark {
	return []remark{
		{tgDown, "no network path to TELEGRAM_API_URL, or the address is wrong", "check DNS and the firewall for outgoing https; correct TELEGRAM_API_URL, or remove it for Telegram's own"},
		{tgToken, "it was revoked, or is another bot's or another server's", "get the token from @BotFather (/mybots, API Token) and set TELEGRAM_BOT_TOKEN"},
		{tgFailed, "Telegram is in trouble, or asks to wait", "wait as long as the message says and run smoke again"},
		{tgNoHook, "no instance has registered it yet, or another program with this token polls", "start an instance, which registers it; see that nothing else uses the token"},
		{tgOtherHook, "WEBHOOK_BASE_URL is not what the ACTIVE instance was started with, or another deployment uses the same token", "correct WEBHOOK_BASE_URL and restart; give each deployment a bot of its own"},
		{tgHooked, "another deployment uses the same token, or no instance in polling mode is ACTIVE yet", "start an instance in polling mode, which removes it; give each deployment a bot of its own"},
		{tgSecret, "TELEGRAM_WEBHOOK_SECRET or the token differs between the instances", "give all instances the same settings and restart the ACTIVE one, which registers the secret anew"},
		{tgErrors, "Telegram cannot reach the webhook: address, certificate, port, or an instance that answers 5xx", "open WEBHOOK_BASE_URL/livez from outside; read the instances' log; Telegram repeats by itself once it works"},
		{tgRecovered, "most often a deploy or a restart; nothing waits now", "nothing, unless it comes again"},
		{tgPending, "the instances store more slowly than people write, or were down", "look at /health (inbox) of the instances; the number must fall"},
		{tgKinds, "the webhook was registered by an older version or by hand", "restart the ACTIVE instance, which registers the list anew"},

		{kieDown, "no network path to KIE_API_URL, or the address is wrong", "check DNS and the firewall for outgoing https; correct KIE_API_URL, or remove it for KIE's own"},
		{kieKey, "it was deleted, is another account's, or is bound to other IP addresses", "make a key at kie.ai (API Key), allow this machine's address there, and set KIE_API_KEY"},
		{kieLimit, "the key has an hourly, daily or total limit of credits", "raise the limit of the key at kie.ai, or wait until its period ends"},
		{kieRepair, "KIE says so itself", "wait; generations that were ordered are submitted when it is over"},
		{kieFailed, "KIE is in trouble, or asks to wait", "run smoke again in a minute; KIE's own state is at kie.ai"},
		{kieCredits, "the balance does not cover the cheapest model", "top the account up at kie.ai; orders are refused and refunded until then"},
		{kieLow, "fewer than LOW_CREDITS are left", "top the account up at kie.ai before it ends"},

		{clockLocal, "no time synchronisation on this machine", "switch NTP on (timedatectl set-ntp true); signed callbacks are refused from five minutes on"},
		{clockDatabase, "no time synchronisation on the database server", "switch NTP on there; due times and reports are off by as much"},
		{clockOther, "a proxy or a cache in between answers, or their clock is wrong", "see that the addresses lead where they should; signed callbacks of KIE are refused from five minutes on"},

		{liveTooDear, "nothing was generated", "raise --max-cost, or leave --live out"},
		{liveRefused, "the provider did not take the order; nothing was paid", "the message is the provider's; the other checks of KIE name most reasons"},
		{liveFailed, "the order was taken and the model failed; KIE returns the credits", "run it again; if it stays, look at kie.ai for the state of this model"},
		{liveLost, "the provider is slow, or lost the task", "look for the task at kie.ai; its cost may have been taken"},
	}
}

func instanceRemarks() []remark {
	return []remark{
		{nobodyActive, "nothing runs, or the instances cannot reach the database", "start `kiosk serve`; when one runs, read its log for `lock trouble`"},
		{holderSilent, "it died without a stop and no standby runs, or it hangs", "start an instance: it takes over after the stale time; run two for a hot standby"},
		{twoActive, "they use two databases, or one shows an answer of the past", "compare DATABASE_URL and LOCK_DATABASE_URL of both; stop one at once"},
		{healthNotFine, "its /health says degraded or down", "the reason stands in the line; its explanation is under \"What /health says\""},
		{addressDead, "nothing listens there, or this machine may not reach it although Telegram may", "open WEBHOOK_BASE_URL/livez from another network; correct DNS, the proxy or WEBHOOK_BASE_URL"},
		{addressElse, "WEBHOOK_BASE_URL leads to another service, or a proxy does not pass /webhook on", "correct WEBHOOK_BASE_URL, or let the proxy pass all paths to the instances"},
		{diskFull, "results that wait for delivery are kept there", "free space, or mount a larger disk; the instance needs at least 1 GiB"},
		{diskMissing, "it does not exist, or the program may not write into it", "create it for the user that runs the program"},
	}
}
