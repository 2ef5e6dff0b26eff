package bot

import (
	"fmt"
	"strings"

	"kiosk/internal/catalog"
)

func english() Texts {
	return Texts{
		Code: "en",

		ButtonBalance: "💰 Balance", ButtonHistory: "🕘 History", ButtonLanguage: "🌐 Русский", ButtonHome: "🏠 Menu", ButtonBack: "‹ Back",
		ButtonCancel: "Cancel", ButtonAgain: "🔁 Once more", ButtonEdit: "✏️ Other prompt", ButtonCopy: "📋 Copy prompt", ButtonSendResult: "📥 Send it to me",
		ButtonGenerate:     func(price string) string { return "Generate · " + price },
		ButtonGenerateFree: "Generate · free",
		ButtonOther:        func(label string) string { return "↺ " + label },
		ButtonModel:        func(title, price string) string { return title + " · " + price },
		ButtonOption:       func(label, value string) string { return label + ": " + value },

		Category: func(c catalog.Category) string {
			switch c {
			case catalog.Image:
				return "🖼 Pictures"
			case catalog.Video:
				return "🎬 Video"
			case catalog.Music:
				return "🎵 Music"
			case catalog.Speech:
				return "🗣 Speech"
			}
			return string(c)
		},
		Free:      "free",
		FromPrice: func(price string) string { return "from " + price },

		Welcome: func(name, credit string) string {
			gift := ""
			if credit != "" {
				gift = "\n\n🎁 You have <b>" + credit + "</b> to try it with."
			}
			return "<b>Hi, " + name + "! This is an AI studio.</b>\n\nPictures and video from a few words. You see the price before every run, and a run that fails costs nothing." + gift + "\n\nWhat shall we make?"
		},
		Home: func(balance string) string { return "<b>What shall we make?</b>\n\nBalance: " + balance },
		HomeWithText: func(text, balance string) string {
			return "<b>What shall I make of this?</b>\n<blockquote expandable>" + text + "</blockquote>\nBalance: " + balance
		},
		Models:   func(category string) string { return "<b>" + category + "</b>\n\nChoose a model:" },
		NoModels: "There are no models here at the moment.",
		Model: func(title, about, price, seconds, ask string) string {
			return "<b>" + title + "</b>\n" + about + "\n\n" + price + "\nReady in " + seconds + "\n\n" + ask
		},
		Asking: func(title, ask string) string { return "<b>" + title + "</b>\n" + ask },
		AskPrompt: func(limit string) string {
			return "✍️ <b>Describe what you want to see</b> in one message, up to " + limit + " characters."
		},
		AskText: func(label, limit string) string {
			return "✍️ <b>" + label + "</b>: send it as one message, up to " + limit + " characters."
		},
		AskPicture: "🖼 <b>Send a picture.</b> You can add the description as its caption.",
		AskPictures: func(limit string) string {
			return "🖼 <b>Send the pictures</b>, up to " + limit + ", one by one or as an album. You can add the description as a caption."
		},
		AskFile: func(label string) string { return "📎 <b>" + label + "</b>: send the file." },
		Price:   func(price string) string { return "Price: <b>" + price + "</b>" },
		PriceFree: func(left, full string) string {
			return "Price: <b>free</b> (" + left + "; then " + full + ")"
		},
		Confirm: func(c Confirmation) string {
			money := "Price: <b>" + c.Price + "</b>\nBalance: " + c.Balance
			if c.After != "" {
				money += ", after it " + c.After
			} else {
				money += " — <b>not enough</b>"
			}
			return "<b>" + c.Title + "</b>\n<blockquote expandable>" + c.Prompt + "</blockquote>\n" + strings.Join(append(c.Options, ""), "\n") + "\n" + money
		},
		Choose: func(label string) string { return label + ":" },
		Balance: func(available, held, free string) string {
			return balanceText("Balance", "reserved", available, held, free)
		},
		FreeLeft: func(n int) string {
			if n == 1 {
				return "1 free run left today"
			}
			return fmt.Sprintf("%d free runs left today", n)
		},
		History:      "<b>Your latest generations</b>",
		HistoryEmpty: "Nothing here yet. Your generations will be listed here.",
		HistoryLine: func(when, model, state, price string) string {
			return when + " · " + model + " · " + state + " · " + price
		},
		StateName: func(s string) string {
			switch s {
			case "succeeded":
				return "done"
			case "failed":
				return "failed, not charged"
			}
			return "in progress"
		},
		ChooseLanguage:  "Which language shall I speak?",
		LanguageChosen:  "I speak English now.",
		Help:            "<b>How it works</b>\n\n1. Choose a model: you see its price.\n2. Send a description, change options if you like.\n3. Confirm. The price is reserved, and charged only when the result is there. If it fails, nothing is charged.\n\n/start — menu\n/balance — balance\n/history — latest generations\n/cancel — forget the draft\n/language — язык",
		NothingToCancel: "There is nothing to cancel. Here is the menu.",
		Cancelled:       "Cancelled. Nothing was charged.",
		UnknownCommand:  "I do not know this command.",
		OnlyFiles:       "I understand text, pictures, audio and video. Choose what to make, and send one of them.",
		ModelFirst:      "Nice! Choose first what to make of it, then send it once more.",
		NoFilesHere:     "The chosen model takes no such file. Choose another model, or send text.",
		FileTooLarge:    "This file is too large: Telegram gives bots files of up to 20 MB.",

		Accepted: func(title, price string) string {
			return "⏳ <b>" + title + "</b>\nOrder accepted, " + price + " reserved."
		},
		Submitted: func(title, eta string) string {
			return "⏳ <b>" + title + "</b>\nSent to the model. It usually takes " + eta + "."
		},
		Running: func(title, eta string) string {
			return "🎨 <b>" + title + "</b>\nGenerating… it usually takes " + eta + "."
		},
		Done: func(title, price, balance string) string {
			if price == "" {
				return "✅ <b>" + title + "</b>\nReady, free of charge. Balance: " + balance
			}
			return "✅ <b>" + title + "</b>\nReady. Charged: " + price + ", balance: " + balance
		},
		FailedFor: func(title, reason string) string {
			return "❌ <b>" + title + "</b>\n" + reason + " Nothing was charged."
		},
		Reason: func(cause string) string {
			switch cause {
			case "moderation":
				return "The model refused this content. Try to word it differently."
			case "bad_input":
				return "The model did not take these settings."
			case "no_credits", "bad_key", "disabled":
				return "This model is not available at the moment. We have been told."
			case "no_answer":
				return "We could not find out what became of it in time."
			}
			return "The model failed. Please try again in a few minutes."
		},
		Apology: func(title, reason, price string) string {
			text := "😔 <b>" + title + "</b>: it did not work out.\n" + reason + "\n\n<b>Nothing was charged</b>"
			if price == "" {
				return text + "."
			}
			return text + ", " + price + " is back on your balance."
		},
		Caption: func(title, price, prompt string) string {
			return "<b>" + title + "</b> · " + price + "\n<blockquote expandable>" + prompt + "</blockquote>"
		},
		Link: func(title, url string) string {
			return "<b>" + title + "</b>: the file is too large for Telegram. <a href=\"" + url + "\">Download it here</a>; the link is valid for about a day."
		},
		OnceMore: "<i>Once more, in case this did not reach you:</i>",
		Uncertain: func(title string) string {
			return "<b>" + title + "</b> is ready, but Telegram did not confirm that you received it. If it is not above, press the button."
		},
		Seconds: func(n int) string {
			if n < 60 {
				return fmt.Sprintf("about %d s", n)
			}
			return fmt.Sprintf("about %d min", (n+59)/60)
		},

		Outdated:     "This card is outdated. Here is the present one.",
		AlreadyHere:  "Already on it.",
		PriceChanged: "The price has changed. Please look again.",
		Busy: func(limit int) string {
			return fmt.Sprintf("You have %d generations in progress. Please wait until one is ready.", limit)
		},
		Insufficient:  func(missing string) string { return "Not enough on your balance: " + missing + " is missing." },
		Sending:       "Sending…",
		SomethingOff:  "Something went wrong on our side. Nothing was charged. Please try again in a minute.",
		NotForSaleNow: "This model is not available at the moment. Please choose another one.",
		InputProblem: func(label string, e *catalog.InputError) string {
			switch e.Problem {
			case catalog.Missing:
				return label + ": please send some text."
			case catalog.TooLong:
				return fmt.Sprintf("%s: %d characters, and the model takes up to %d. Please send a shorter one.", label, e.Have, e.Limit)
			case catalog.TooShort:
				return fmt.Sprintf("%s: the model wants at least %d characters.", label, e.Limit)
			case catalog.TooMany:
				return fmt.Sprintf("%s: the model takes up to %d.", label, e.Limit)
			case catalog.NotNumber, catalog.OutOf, catalog.NotOption, catalog.NoField:
			}
			return label + ": this value is not possible. Please choose another one."
		},
		Commands: []Command{
			{"start", "Menu"}, {"balance", "Balance"}, {"history", "Latest generations"},
			{"cancel", "Forget the draft"}, {"language", "Language · Язык"}, {"help", "How it works"},
		},
		Description: "AI studio: pictures and video from a few words. You see the price before every run; a run that fails costs nothing.",
		ShortAbout:  "Pictures and video by AI. Price first, no result — no charge.",

		UnitSeconds: "s", UnitMinutes: "min", UnitHours: "h",
		Alert: englishAlert, AlertFires: englishAlertFires, AlertIsOver: englishAlertIsOver,
	}
}

func balanceText(title, reserved, available, held, free string) string {
	text := "<b>" + title + ": " + available + "</b>"
	if held != "" {
		text += "\n" + held + " " + reserved
	}
	if free != "" {
		text += "\n🎁 " + free
	}
	return text
}
