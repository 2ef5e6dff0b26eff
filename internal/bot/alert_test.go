package bot_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"kiosk/internal/admin"
	"kiosk/internal/bot"
)

type rule struct {
	Alert       string `yaml:"alert"`
	Expr        string `yaml:"expr"`
	For         string `yaml:"for"`
	Keep        string `yaml:"keep_firing_for"`
	Labels      map[string]string
	Annotations map[string]string
}

func rules(t *testing.T) []rule {
	t.Helper()
	raw, err := os.ReadFile("../../deploy/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	return file.Groups[0].Rules
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The chat, Prometheus and the documents know the same alerts, with the same
// times, thresholds and remedies.
func TestAlerts_ChatRulesAndDocumentsSayTheSame(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	conditions, list := admin.Conditions(), rules(t)
	if len(list) != len(conditions) {
		t.Fatalf("%d rules, %d conditions", len(list), len(conditions))
	}
	english, russian := bot.English(), bot.Russian()
	for i, c := range conditions {
		r, words := list[i], english.Alert(c.ID)
		if r.Alert != c.ID {
			t.Errorf("rule %d is %s, condition %d is %s", i, r.Alert, i, c.ID)
			continue
		}
		if c.Own == nil && duration(t, r.For) != c.For || duration(t, r.Keep) != c.Keep {
			t.Errorf("%s: for %s and keep %s, want %s and %s", c.ID, r.For, r.Keep, c.For, c.Keep)
		}
		limit := " > " + strconv.FormatFloat(c.Threshold, 'g', -1, 64)
		if c.Limit == nil && c.Own == nil && !strings.HasSuffix(strings.TrimSpace(r.Expr), limit) {
			t.Errorf("%s: %s does not end in %s", c.ID, r.Expr, limit)
		}
		if words.Title == c.ID || russian.Alert(c.ID).Title == c.ID {
			t.Errorf("%s has no words in one language", c.ID)
		}
		if r.Annotations["description"] != words.Remedy || !strings.HasPrefix(r.Annotations["summary"], words.Title+":") {
			t.Errorf("%s: the rule says %q, the chat %q", c.ID, r.Annotations, words)
		}
		if r.Annotations["runbook_url"] != "docs/troubleshooting.md#"+strings.ToLower(c.ID) || r.Labels["severity"] == "" {
			t.Errorf("%s: runbook %q, labels %v", c.ID, r.Annotations["runbook_url"], r.Labels)
		}
		_, section, found := strings.Cut(string(docs), "\n### "+c.ID+"\n")
		section, _, _ = strings.Cut(section, "\n### ")
		if !found || !strings.Contains(section, words.Title) || !strings.Contains(section, "- Remedy: "+words.Remedy) {
			t.Errorf("docs/troubleshooting.md#%s lacks the title or the remedy", strings.ToLower(c.ID))
		}
	}
}

// Two different troubles never share a text: nobody has to guess.
func TestAlerts_NoTwoShareTheirWords(t *testing.T) {
	t.Parallel()
	for _, texts := range []bot.Texts{bot.English(), bot.Russian()} {
		seen := map[string]string{}
		for _, c := range admin.Conditions() {
			words := texts.Alert(c.ID)
			for _, text := range []string{words.Title, words.Remedy} {
				if other, ok := seen[text]; ok || text == "" {
					t.Errorf("%s: %s and %s share %q", texts.Code, c.ID, other, text)
				}
				seen[text] = c.ID
			}
		}
	}
}

func TestAlertText_SaysValueThresholdAndRemedyAndEscapes(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 25, 14, 5, 0, 0, time.UTC).Unix()
	for name, c := range map[string]struct {
		notice admin.Notice
		texts  bot.Texts
		want   []string
	}{
		"fires":   {admin.Notice{Alert: "KioskUpdatesWaiting", Value: 75.25, Threshold: 60, Unit: admin.Seconds, At: at}, bot.English(), []string{"🔴", "75.2 s (alarm above 60 s), 14:05 UTC", "Look at /health", "KioskUpdatesWaiting"}},
		"lasts":   {admin.Notice{Alert: "KioskUpdatesWaiting", Value: 900, Threshold: 60, Unit: admin.Seconds, Seconds: 14400}, bot.English(), []string{"Still", "15 min", "for 4 h"}},
		"below":   {admin.Notice{Alert: "KioskProviderCreditsLow", Value: 12.5, Threshold: 1000, Below: true, Unit: admin.Count}, bot.English(), []string{"12.5 (alarm below 1000)"}},
		"share":   {admin.Notice{Alert: "KioskProviderErrors", Value: 0.375, Threshold: 0.3, Unit: admin.Percent}, bot.Russian(), []string{"38 % (тревога выше 30 %)"}},
		"over":    {admin.Notice{Alert: "KioskUpdatesWaiting", Over: true, Value: 1, Unit: admin.Seconds, Seconds: 300}, bot.Russian(), []string{"🟢", "Прошло", "длилось 5 мин"}},
		"escaped": {admin.Notice{Alert: "<b>&", Value: 1, Unit: admin.Count}, bot.English(), []string{"&lt;b&gt;&amp;"}},
	} {
		text := strings.ReplaceAll(bot.AlertText(c.texts, c.notice), "\u00a0", " ")
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q lacks %q", name, text, want)
			}
		}
		if !balanced(text) {
			t.Errorf("%s: unbalanced tags in %q", name, text)
		}
	}
}
