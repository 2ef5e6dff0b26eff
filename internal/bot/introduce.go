package bot

import (
	"context"
	"errors"

	"github.com/PaulSonOfLars/gotgbot/v2"
)

// Introduce tells Telegram the bot's commands and descriptions, in English for
// everybody and in Russian for those who read it. It is idempotent, and a call
// that is refused does not keep the others from being made.
func Introduce(ctx context.Context, api *gotgbot.Bot) error {
	return errors.Join(introduce(ctx, api, english(), ""), introduce(ctx, api, russian(), "ru"))
}

func introduce(ctx context.Context, api *gotgbot.Bot, t Texts, language string) error {
	commands := make([]gotgbot.BotCommand, 0, len(t.Commands))
	for _, c := range t.Commands {
		commands = append(commands, gotgbot.BotCommand{Command: c.Name, Description: c.About})
	}
	_, err1 := api.SetMyCommandsWithContext(ctx, commands, &gotgbot.SetMyCommandsOpts{LanguageCode: language})
	_, err2 := api.SetMyDescriptionWithContext(ctx, &gotgbot.SetMyDescriptionOpts{Description: t.Description, LanguageCode: language})
	_, err3 := api.SetMyShortDescriptionWithContext(ctx, &gotgbot.SetMyShortDescriptionOpts{ShortDescription: t.ShortAbout, LanguageCode: language})
	return errors.Join(err1, err2, err3)
}
