package telegramsim

import "strings"

// methodTable lists every method that the simulator knows, by lower-case name: the Bot API ignores case.
func (s *Server) methodTable() map[string]method {
	table := map[string]method{}
	for _, m := range []method{
		{"getMe", s.getMe},
		{"logOut", acceptAndIgnore},
		{"close", acceptAndIgnore},

		{"setWebhook", s.setWebhook},
		{"deleteWebhook", s.deleteWebhook},
		{"getWebhookInfo", s.getWebhookInfo},
		{"getUpdates", s.getUpdates},

		{"sendMessage", s.sendMessage},
		{"copyMessage", s.copyMessage},
		{"sendPhoto", s.sendKind(kindPhoto)},
		{"sendVideo", s.sendKind(kindVideo)},
		{"sendAudio", s.sendKind(kindAudio)},
		{"sendVoice", s.sendKind(kindVoice)},
		{"sendDocument", s.sendKind(kindDocument)},
		{"sendAnimation", s.sendKind(kindAnimation)},
		{"sendMediaGroup", s.sendMediaGroup},
		{"sendChatAction", s.sendChatAction},
		{"getFile", s.getFile},
		{"getChat", s.getChat},

		{"editMessageText", s.editMessageText},
		{"editMessageCaption", s.editMessageCaption},
		{"editMessageMedia", s.editMessageMedia},
		{"editMessageReplyMarkup", s.editMessageReplyMarkup},
		{"deleteMessage", s.deleteMessage},
		{"deleteMessages", s.deleteMessages},
		{"setMessageReaction", s.setMessageReaction},
		{"pinChatMessage", acceptAndIgnore},
		{"unpinChatMessage", acceptAndIgnore},
		{"unpinAllChatMessages", acceptAndIgnore},

		{"answerCallbackQuery", s.answerCallbackQuery},

		{"sendInvoice", s.sendInvoice},
		{"createInvoiceLink", s.createInvoiceLink},
		{"answerPreCheckoutQuery", s.answerPreCheckoutQuery},
		{"refundStarPayment", s.refundStarPayment},
		{"getStarTransactions", s.getStarTransactions},
		{"getMyStarBalance", s.getMyStarBalance},

		{"setMyCommands", s.setMyCommands},
		{"getMyCommands", s.getMyCommands},
		{"deleteMyCommands", s.deleteMyCommands},
		{"setMyName", s.setLocal(nameText())},
		{"getMyName", s.getLocal(nameText())},
		{"setMyDescription", s.setLocal(descriptionText())},
		{"getMyDescription", s.getLocal(descriptionText())},
		{"setMyShortDescription", s.setLocal(shortText())},
		{"getMyShortDescription", s.getLocal(shortText())},
		{"setChatMenuButton", s.setChatMenuButton},
		{"getChatMenuButton", s.getChatMenuButton},
	} {
		table[strings.ToLower(m.name)] = m
	}
	return table
}
