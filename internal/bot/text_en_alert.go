package bot

func englishAlertFires(a AlertNews) string {
	beyond := "alarm above "
	if a.Below {
		beyond = "alarm below "
	}
	head := "🔴 <b>" + a.Title + "</b>\n" + a.Value + " (" + beyond + a.Limit + "), " + a.Clock
	if a.Lasted != "" {
		head = "🔴 <b>Still: " + a.Title + "</b>\n" + a.Value + " (" + beyond + a.Limit + "), for " + a.Lasted
	}
	return head + "\n\n" + a.Remedy + "\n\n<code>" + a.ID + "</code> in docs/troubleshooting.md"
}

func englishAlertIsOver(a AlertNews) string {
	return "🟢 <b>Over: " + a.Title + "</b>\n" + a.Value + " now, after " + a.Lasted + "\n<code>" + a.ID + "</code>"
}

func englishAlert(id string) Alert {
	switch id {
	case "KioskTakeovers":
		return Alert{"Instances keep taking over from each other", "Run `kiosk lock history`: it names the holders and the reasons. Look at the CPU, memory and database latency of the instance that was silent; raise LOCK_STALE_HEARTBEAT_SECONDS only if the pauses cannot be removed."}
	case "KioskNobodyActive":
		return Alert{"Nobody was ACTIVE: updates were stored, but not handled", "Look at /readyz of every instance and at its log for `lock trouble`; check that the database is up and that LOCK_DATABASE_URL is a direct, unpooled URL. Start an instance if none runs."}
	case "KioskTwoActive":
		return Alert{"Two instances believe to be ACTIVE", "The fence keeps the older one from changing anything, but it still calls Telegram and the provider. Stop the instance whose /health shows the smaller epoch."}
	case "KioskHeartbeatLate":
		return Alert{"The lock's heartbeat is late", "A takeover is near. Check the latency of the database in /health, its locks and its disk, and the CPU of the ACTIVE instance."}
	case "KioskUpdatesWaiting":
		return Alert{"Updates wait to be handled", "Look at /health: is an instance ACTIVE, is the database fast, does one update fail again and again (`message failed` in the log)?"}
	case "KioskUpdatesFailed":
		return Alert{"Updates were given up after several attempts", "Search the log for `message failed`: it has the error and the key of the update. The people were told that something went wrong; fix the cause."}
	case "KioskGenerationsStuck":
		return Alert{"Orders are due and nobody works on them", "Search the log for `work failed` with the id of the order. If nothing is logged, hand over to another instance: `kiosk lock step-down`."}
	case "KioskDeliveriesWaiting":
		return Alert{"Messages to people wait to be sent", "Check Telegram's state and the log for `message not sent`: an outage, a wrong token, or Telegram's own limit (429)."}
	case "KioskDeliveriesUnknown":
		return Alert{"Many messages may not have arrived", "Telegram's answers were lost. Check the network between this instance and the Bot API. People have a button that sends a result again."}
	case "KioskHoldsOverdue":
		return Alert{"Money is held past its time", "Run `kiosk ledger verify` and look for the orders of the open holds: each must end, and the hold ends with it."}
	case "KioskLedgerDefect":
		return Alert{"The books contradict themselves", "Run `kiosk ledger verify`: it lists the contradictions. Stop taking money until they are explained; restore from a backup if rows were changed by hand."}
	case "KioskProviderOutOfCredits":
		return Alert{"KIE refuses orders: no credits are left", "Top up at kie.ai. Orders fail and are not charged until then."}
	case "KioskProviderCreditsLow":
		return Alert{"KIE credits run low", "Top up at kie.ai. LOW_CREDITS sets when this is said."}
	case "KioskProviderKeyRefused":
		return Alert{"KIE refuses the key", "Check KIE_API_KEY against the key page of kie.ai: expired, deleted, or limited to other addresses."}
	case "KioskProviderErrors":
		return Alert{"Many calls to KIE fail", "Look at the causes in kiosk_provider_errors_total and at KIE's own state. Orders wait for 15 minutes before they fail; nothing is charged for them."}
	case "KioskWebhookErrors":
		return Alert{"Telegram cannot deliver updates", "Run `kiosk smoke`: it shows the webhook's address and Telegram's last error. Check WEBHOOK_BASE_URL, its certificate, and that the address leads to these instances."}
	case "KioskUpdatesRefused":
		return Alert{"Updates are refused with 503", "The database does not take them in time; Telegram repeats them. Check its load, its locks and its disk space."}
	case "KioskBotAPIErrors":
		return Alert{"Many calls to Telegram fail", "By outcome: unauthorized means that the token was revoked (TELEGRAM_BOT_TOKEN), not_sent that the network does not reach the Bot API, unknown that answers are lost."}
	case "KioskStartupSlow":
		return Alert{"The instance started slowly", "startup_seconds in /health names the phase. A slow database phase is the network or the server, slow migrations are a lock held by a long transaction."}
	case "KioskMigrationsPending":
		return Alert{"The schema is not what this version wants", "Run `kiosk migrate status`. Apply what is pending with `kiosk migrate up`; if a file was changed or is unknown, run the version that knows it."}
	}
	return Alert{Title: id, Remedy: "See docs/troubleshooting.md."}
}
