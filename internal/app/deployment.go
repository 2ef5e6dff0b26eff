package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net"

	"github.com/PaulSonOfLars/gotgbot/v2"

	"kiosk/internal/smoke"
)

// allowedUpdates are the kinds that the bot reads. The list is sent with every
// registration, because Telegram keeps the previous one otherwise.
func allowedUpdates() []string { return []string{"message", "callback_query", "my_chat_member"} }

// webhookAddress is where Telegram delivers, "" when the bot polls.
func (c Config) webhookAddress() string {
	if c.Mode != "webhook" {
		return ""
	}
	return c.WebhookURL + telegramPath
}

// RegisterWebhook tells Telegram where to deliver, or to keep the updates for
// polling. It is idempotent and drops nothing that waits.
func (c Config) RegisterWebhook(ctx context.Context, api *gotgbot.Bot) error {
	if c.webhookAddress() == "" {
		_, err := api.DeleteWebhookWithContext(ctx, nil)
		return err
	}
	_, err := api.SetWebhookWithContext(ctx, c.webhookAddress(), &gotgbot.SetWebhookOpts{
		SecretToken: c.webhookSecret(), AllowedUpdates: allowedUpdates(), MaxConnections: 100,
	})
	return err
}

// derived makes a secret of its own for each purpose out of the bot token, so
// that an operator has one secret less to keep.
func (c Config) derived(purpose string) string {
	mac := hmac.New(sha256.New, []byte(c.BotToken.Reveal()))
	mac.Write([]byte(purpose))
	return hex.EncodeToString(mac.Sum(nil))
}

func (c Config) webhookSecret() string {
	if s := c.WebhookSecret.Reveal(); s != "" {
		return s
	}
	return c.derived("kiosk telegram webhook secret")
}

// Smoke returns what `kiosk smoke` checks with these settings. problems are the
// mistakes that LoadConfig found in them.
func (c Config) Smoke(problems []Problem) smoke.Config {
	s := smoke.Config{
		Secrets:  append(c.secrets(), c.webhookSecret()),
		Database: c.Database.Reveal(), MigrateDatabase: c.MigrateDatabase(), LockDatabase: c.LockDatabase(),
		LockName: LockName, StaleHeartbeat: c.stale(),
		Token: c.BotToken.Reveal(), TelegramURL: c.TelegramURL,
		Webhook: c.webhookAddress(), AllowedUpdates: allowedUpdates(),
		KieURL: c.KieURL, KieKey: c.KieKey.Reveal(), LowCredits: float64(c.LowCredits),
		Rate: c.Rate, Markup: c.Markup, MaxShare: c.MaxShare,
		Instances: []string{c.LocalURL()},
	}
	if s.Webhook != "" {
		s.Public = c.WebhookURL
		s.Instances = append(s.Instances, c.WebhookURL)
	}
	for _, p := range problems {
		s.Problems = append(s.Problems, smoke.Problem{Name: p.Name, Text: p.Text})
	}
	return s
}

// LocalURL is where the instance with these settings answers on its own machine.
func (c Config) LocalURL() string {
	host, port, err := net.SplitHostPort(c.Address())
	if err != nil {
		return "http://" + c.Address()
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
