package bot

import (
	"fmt"
	"strings"

	"kiosk/internal/catalog"
)

func russian() Texts {
	return Texts{
		Code: "ru",

		ButtonBalance: "💰 Баланс", ButtonHistory: "🕘 История", ButtonLanguage: "🌐 English", ButtonHome: "🏠 Меню", ButtonBack: "‹ Назад",
		ButtonCancel: "Отмена", ButtonAgain: "🔁 Ещё раз", ButtonEdit: "✏️ Другой текст", ButtonCopy: "📋 Скопировать текст", ButtonSendResult: "📥 Прислать результат",
		ButtonGenerate:     func(price string) string { return "Создать · " + price },
		ButtonGenerateFree: "Создать · бесплатно",
		ButtonOther:        func(label string) string { return "↺ " + label },
		ButtonModel:        func(title, price string) string { return title + " · " + price },
		ButtonOption:       func(label, value string) string { return label + ": " + value },

		Category: func(c catalog.Category) string {
			switch c {
			case catalog.Image:
				return "🖼 Картинки"
			case catalog.Video:
				return "🎬 Видео"
			case catalog.Music:
				return "🎵 Музыка"
			case catalog.Speech:
				return "🗣 Речь"
			}
			return string(c)
		},
		Free:      "бесплатно",
		FromPrice: func(price string) string { return "от " + price },

		Welcome: func(name, credit string) string {
			gift := ""
			if credit != "" {
				gift = "\n\n🎁 Дарим <b>" + credit + "</b>, чтобы попробовать."
			}
			return "<b>Здравствуйте, " + name + "! Это ИИ-студия.</b>\n\nКартинки и видео по нескольким словам. Цену видно до запуска, а за неудачный запуск платить не нужно." + gift + "\n\nЧто создадим?"
		},
		Home: func(balance string) string { return "<b>Что создадим?</b>\n\nБаланс: " + balance },
		HomeWithText: func(text, balance string) string {
			return "<b>Что из этого сделать?</b>\n<blockquote expandable>" + text + "</blockquote>\nБаланс: " + balance
		},
		Models:   func(category string) string { return "<b>" + category + "</b>\n\nВыберите модель:" },
		NoModels: "Здесь пока нет моделей.",
		Model: func(title, about, price, seconds, ask string) string {
			return "<b>" + title + "</b>\n" + about + "\n\n" + price + "\nГотово примерно через " + seconds + "\n\n" + ask
		},
		Asking: func(title, ask string) string { return "<b>" + title + "</b>\n" + ask },
		AskPrompt: func(limit string) string {
			return "✍️ <b>Опишите, что хотите увидеть</b>, одним сообщением, до " + limit + " знаков."
		},
		AskText: func(label, limit string) string {
			return "✍️ <b>" + label + "</b>: пришлите одним сообщением, до " + limit + " знаков."
		},
		AskPicture: "🖼 <b>Пришлите картинку.</b> Описание можно добавить подписью к ней.",
		AskPictures: func(limit string) string {
			return "🖼 <b>Пришлите картинки</b>, до " + limit + ", по одной или альбомом. Описание можно добавить подписью."
		},
		AskFile: func(label string) string { return "📎 <b>" + label + "</b>: пришлите файл." },
		Price:   func(price string) string { return "Цена: <b>" + price + "</b>" },
		PriceFree: func(left, full string) string {
			return "Цена: <b>бесплатно</b> (" + left + ", дальше " + full + ")"
		},
		Confirm: func(c Confirmation) string {
			money := "Цена: <b>" + c.Price + "</b>\nБаланс: " + c.Balance
			if c.After != "" {
				money += ", останется " + c.After
			} else {
				money += " — <b>не хватает</b>"
			}
			return "<b>" + c.Title + "</b>\n<blockquote expandable>" + c.Prompt + "</blockquote>\n" + strings.Join(append(c.Options, ""), "\n") + "\n" + money
		},
		Choose: func(label string) string { return label + ":" },
		Balance: func(available, held, free string) string {
			return balanceText("Баланс", "в резерве", available, held, free)
		},
		FreeLeft: func(n int) string {
			return fmt.Sprintf("%s %d %s на сегодня", plural(n, "остался", "осталось", "осталось"), n,
				plural(n, "бесплатный запуск", "бесплатных запуска", "бесплатных запусков"))
		},
		History:      "<b>Последние запуски</b>",
		HistoryEmpty: "Пока пусто. Здесь будут ваши запуски.",
		HistoryLine: func(when, model, state, price string) string {
			return when + " · " + model + " · " + state + " · " + price
		},
		StateName: func(s string) string {
			switch s {
			case "succeeded":
				return "готово"
			case "failed":
				return "не вышло, не списано"
			}
			return "в работе"
		},
		ChooseLanguage:  "На каком языке говорить?",
		LanguageChosen:  "Теперь говорю по-русски.",
		Help:            "<b>Как это работает</b>\n\n1. Выберите модель: цена видна сразу.\n2. Пришлите описание, при желании измените параметры.\n3. Подтвердите. Цена резервируется и списывается, только когда результат готов. Не вышло — не списываем.\n\n/start — меню\n/balance — баланс\n/history — последние запуски\n/cancel — убрать черновик\n/language — language",
		NothingToCancel: "Отменять нечего. Вот меню.",
		Cancelled:       "Отменено. Ничего не списано.",
		UnknownCommand:  "Такой команды нет.",
		OnlyFiles:       "Я понимаю текст, картинки, аудио и видео. Выберите, что создать, и пришлите что-то из этого.",
		ModelFirst:      "Отлично! Сначала выберите, что из этого сделать, и пришлите ещё раз.",
		NoFilesHere:     "Выбранная модель таких файлов не принимает. Выберите другую или пришлите текст.",
		FileTooLarge:    "Файл слишком велик: Telegram отдаёт ботам файлы до 20 МБ.",

		Accepted: func(title, price string) string {
			return "⏳ <b>" + title + "</b>\nЗаказ принят, в резерве " + price + "."
		},
		Submitted: func(title, eta string) string {
			return "⏳ <b>" + title + "</b>\nОтправлено модели. Обычно это занимает " + eta + "."
		},
		Running: func(title, eta string) string {
			return "🎨 <b>" + title + "</b>\nСоздаю… Обычно это занимает " + eta + "."
		},
		Done: func(title, price, balance string) string {
			if price == "" {
				return "✅ <b>" + title + "</b>\nГотово, бесплатно. Баланс: " + balance
			}
			return "✅ <b>" + title + "</b>\nГотово. Списано: " + price + ", баланс: " + balance
		},
		FailedFor: func(title, reason string) string {
			return "❌ <b>" + title + "</b>\n" + reason + " Ничего не списано."
		},
		Reason: func(cause string) string {
			switch cause {
			case "moderation":
				return "Модель отказалась от такого содержания. Попробуйте описать иначе."
			case "bad_input":
				return "Модель не приняла эти параметры."
			case "no_credits", "bad_key", "disabled":
				return "Эта модель сейчас недоступна. Мы уже знаем об этом."
			case "no_answer":
				return "Не удалось вовремя узнать, что с ней стало."
			}
			return "Модель не справилась. Попробуйте ещё раз через несколько минут."
		},
		Apology: func(title, reason, price string) string {
			text := "😔 <b>" + title + "</b>: не получилось.\n" + reason + "\n\n<b>Ничего не списано</b>"
			if price == "" {
				return text + "."
			}
			return text + ", " + price + " снова на балансе."
		},
		Caption: func(title, price, prompt string) string {
			return "<b>" + title + "</b> · " + price + "\n<blockquote expandable>" + prompt + "</blockquote>"
		},
		Link: func(title, url string) string {
			return "<b>" + title + "</b>: файл слишком велик для Telegram. <a href=\"" + url + "\">Скачать можно здесь</a>, ссылка действует около суток."
		},
		OnceMore: "<i>Ещё раз — на случай, если это сообщение не дошло:</i>",
		Uncertain: func(title string) string {
			return "<b>" + title + "</b>: результат готов, но Telegram не подтвердил доставку. Если его нет выше, нажмите кнопку."
		},
		Seconds: func(n int) string {
			if n < 60 {
				return fmt.Sprintf("%d с", n)
			}
			return fmt.Sprintf("%d мин", (n+59)/60)
		},

		Outdated:     "Эта карточка устарела. Вот актуальная.",
		AlreadyHere:  "Уже в работе.",
		PriceChanged: "Цена изменилась. Посмотрите, пожалуйста, ещё раз.",
		Busy: func(limit int) string {
			return fmt.Sprintf("В работе уже %d %s. Дождитесь, пожалуйста, одного из них.", limit, plural(limit, "запуск", "запуска", "запусков"))
		},
		Insufficient:  func(missing string) string { return "На балансе не хватает " + missing + "." },
		Sending:       "Отправляю…",
		SomethingOff:  "Что-то сломалось на нашей стороне. Ничего не списано. Попробуйте через минуту.",
		NotForSaleNow: "Эта модель сейчас недоступна. Выберите, пожалуйста, другую.",
		InputProblem: func(label string, e *catalog.InputError) string {
			switch e.Problem {
			case catalog.Missing:
				return label + ": пришлите, пожалуйста, текст."
			case catalog.TooLong:
				return fmt.Sprintf("%s: %d %s, а модель принимает до %d. Пришлите, пожалуйста, короче.", label, e.Have, plural(int(e.Have), "знак", "знака", "знаков"), e.Limit)
			case catalog.TooShort:
				return fmt.Sprintf("%s: модели нужно хотя бы %d %s.", label, e.Limit, plural(int(e.Limit), "знак", "знака", "знаков"))
			case catalog.TooMany:
				return fmt.Sprintf("%s: модель принимает до %d.", label, e.Limit)
			case catalog.NotNumber, catalog.OutOf, catalog.NotOption, catalog.NoField:
			}
			return label + ": такое значение не подходит. Выберите, пожалуйста, другое."
		},
		Commands: []Command{
			{"start", "Меню"}, {"balance", "Баланс"}, {"history", "Последние запуски"},
			{"cancel", "Убрать черновик"}, {"language", "Язык · Language"}, {"help", "Как это работает"},
		},
		Description: "ИИ-студия: картинки и видео по нескольким словам. Цену видно до запуска; не вышло — не списываем.",
		ShortAbout:  "Картинки и видео от ИИ. Сначала цена; нет результата — нет списания.",

		UnitSeconds: "с", UnitMinutes: "мин", UnitHours: "ч",
		Alert: russianAlert, AlertFires: russianAlertFires, AlertIsOver: russianAlertIsOver,
	}
}
