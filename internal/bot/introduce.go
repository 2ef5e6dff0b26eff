package bot

import (
	"context"

	"github.com/PaulSonOfLars/gotgbot/v2"
)

// Introduce tells Telegram the bot's commands and descriptions, in English for
// everybody and in Russian for those who read it. It is idempotent.
func Introduce(ctx context.Context, api *gotgbot.Bot) error {
	for _, t := range []Texts{english(), russian()} {
		language := ""
		if t.Code != "en" {
			language = t.Code
		}
		var commands []gotgbot.BotCommand
		for _, c := range t.Commands {
			commands = append(commands, gotgbot.BotCommand{Command: c.Name, Description: c.About})
		}
		if _, err := api.SetMyCommandsWithContext(ctx, commands, &gotgbot.SetMyCommandsOpts{LanguageCode: language}); err != nil {
			return err
		}
		if _, err := api.SetMyDescriptionWithContext(ctx, &gotgbot.SetMyDescriptionOpts{Description: t.Description, LanguageCode: language}); err != nil {
			return err
		}
		if _, err := api.SetMyShortDescriptionWithContext(ctx, &gotgbot.SetMyShortDescriptionOpts{ShortDescription: t.ShortAbout, LanguageCode: language}); err != nil {
			return err
		}
	}
	return nil
}
