package bot

func russianAlertFires(a AlertNews) string {
	beyond := "тревога выше "
	if a.Below {
		beyond = "тревога ниже "
	}
	head := "🔴 <b>" + a.Title + "</b>\n" + a.Value + " (" + beyond + a.Limit + "), " + a.Clock
	if a.Lasted != "" {
		head = "🔴 <b>Всё ещё: " + a.Title + "</b>\n" + a.Value + " (" + beyond + a.Limit + "), уже " + a.Lasted
	}
	return head + "\n\n" + a.Remedy + "\n\n<code>" + a.ID + "</code> в docs/troubleshooting.md"
}

func russianAlertIsOver(a AlertNews) string {
	return "🟢 <b>Прошло: " + a.Title + "</b>\nСейчас " + a.Value + ", длилось " + a.Lasted + "\n<code>" + a.ID + "</code>"
}

func russianAlert(id string) Alert {
	switch id {
	case "KioskTakeovers":
		return Alert{"Экземпляры отбирают работу друг у друга", "Выполните `kiosk lock history`: там владельцы и причины. Проверьте процессор, память и задержку базы у замолчавшего экземпляра; LOCK_STALE_HEARTBEAT_SECONDS увеличивайте, только если паузы не убрать."}
	case "KioskNobodyActive":
		return Alert{"Никто не был ACTIVE: обновления сохранялись, но не обрабатывались", "Посмотрите /readyz каждого экземпляра и `lock trouble` в его журнале; проверьте, что база работает и что LOCK_DATABASE_URL — прямой адрес без пулера. Если ни один не запущен, запустите."}
	case "KioskTwoActive":
		return Alert{"Два экземпляра считают себя ACTIVE", "Старший ничего не изменит в базе, но ещё обращается к Telegram и провайдеру. Остановите тот, у которого в /health меньше epoch."}
	case "KioskHeartbeatLate":
		return Alert{"Сердцебиение блокировки опаздывает", "Скоро работу перехватят. Проверьте задержку базы в /health, её блокировки и диск, а также процессор экземпляра ACTIVE."}
	case "KioskUpdatesWaiting":
		return Alert{"Обновления ждут обработки", "Посмотрите /health: есть ли ACTIVE, быстра ли база, не падает ли раз за разом одно обновление (`message failed` в журнале)."}
	case "KioskUpdatesFailed":
		return Alert{"От обновлений отказались после нескольких попыток", "Найдите в журнале `message failed`: там ошибка и ключ обновления. Людям сказано, что что-то пошло не так; устраните причину."}
	case "KioskGenerationsStuck":
		return Alert{"Заказы просрочены, и никто над ними не работает", "Найдите в журнале `work failed` с номером заказа. Если там пусто, передайте работу другому экземпляру: `kiosk lock step-down`."}
	case "KioskDeliveriesWaiting":
		return Alert{"Сообщения людям ждут отправки", "Проверьте состояние Telegram и `message not sent` в журнале: сбой, неверный токен или лимит самого Telegram (429)."}
	case "KioskDeliveriesUnknown":
		return Alert{"Многие сообщения могли не дойти", "Ответы Telegram потеряны. Проверьте сеть между экземпляром и Bot API. У людей есть кнопка, которая пришлёт результат ещё раз."}
	case "KioskHoldsOverdue":
		return Alert{"Деньги удерживаются дольше срока", "Выполните `kiosk ledger verify` и найдите заказы открытых холдов: каждый должен закончиться, и холд вместе с ним."}
	case "KioskLedgerDefect":
		return Alert{"Книги противоречат себе", "Выполните `kiosk ledger verify`: он перечислит противоречия. Не принимайте деньги, пока они не объяснены; если строки меняли руками, восстановите из копии."}
	case "KioskProviderOutOfCredits":
		return Alert{"KIE отклоняет заказы: кредиты кончились", "Пополните счёт на kie.ai. До этого заказы не выполняются и не оплачиваются."}
	case "KioskProviderCreditsLow":
		return Alert{"Кредиты KIE на исходе", "Пополните счёт на kie.ai. Порог задаёт LOW_CREDITS."}
	case "KioskProviderKeyRefused":
		return Alert{"KIE не принимает ключ", "Сверьте KIE_API_KEY со страницей ключей kie.ai: истёк, удалён или разрешён с других адресов."}
	case "KioskProviderErrors":
		return Alert{"Много обращений к KIE не удаётся", "Посмотрите причины в kiosk_provider_errors_total и состояние самого KIE. Заказы ждут 15 минут, потом отменяются без оплаты."}
	case "KioskWebhookErrors":
		return Alert{"Telegram не может доставить обновления", "Выполните `kiosk smoke`: он покажет адрес вебхука и последнюю ошибку Telegram. Проверьте WEBHOOK_BASE_URL, сертификат и что адрес ведёт к этим экземплярам."}
	case "KioskUpdatesRefused":
		return Alert{"Обновления отклоняются с кодом 503", "База не успевает их принять; Telegram повторит. Проверьте её нагрузку, блокировки и место на диске."}
	case "KioskBotAPIErrors":
		return Alert{"Много обращений к Telegram не удаётся", "По исходам: unauthorized — токен отозван (TELEGRAM_BOT_TOKEN), not_sent — сеть не достаёт до Bot API, unknown — ответы теряются."}
	case "KioskStartupSlow":
		return Alert{"Экземпляр медленно запускался", "startup_seconds в /health называет фазу. Медленная база — сеть или сервер; медленные миграции — блокировка долгой транзакции."}
	case "KioskMigrationsPending":
		return Alert{"Схема не та, которую ждёт эта версия", "Выполните `kiosk migrate status`. Недостающее применит `kiosk migrate up`; если файл изменён или неизвестен, запустите версию, которая его знает."}
	}
	return Alert{Title: id, Remedy: "См. docs/troubleshooting.md."}
}
