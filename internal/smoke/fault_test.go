package smoke_test

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/app/apptest"
	"kiosk/internal/catalog"
	"kiosk/internal/ledger"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/simulator/kiesim"
	"kiosk/internal/simulator/telegramsim"
	"kiosk/internal/smoke"
)

// broken is one thing that is broken, and the one line that must say so.
type broken struct {
	name  string
	check string
	says  string // the constant part of the text
	also  string // and what it must name
	how   func(*stage)
	only  []string
}

// Each fault is named by one line, whose text no other fault has.
func TestFaults_EachHasOneLineAndATextOfItsOwn(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	texts := map[string]string{}
	all := slices.Concat(databaseFaults(), lockFaults(), moneyFaults(), telegramFaults(), kieFaults(), instanceFaults())
	t.Run("all", func(t *testing.T) {
		for _, b := range all {
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				cause := b.try(t)
				mu.Lock()
				defer mu.Unlock()
				if other, twice := texts[cause]; twice {
					t.Errorf("%q is said of %q, too", cause, other)
				}
				texts[cause] = b.name
			})
		}
	})
	if len(texts) < len(all) { // some failed, or were not asked for
		return
	}
	for _, text := range smoke.Texts() {
		broughtAbout := false
		for cause := range texts {
			broughtAbout = broughtAbout || cause == text || strings.HasPrefix(cause, text+":")
		}
		if !broughtAbout {
			t.Errorf("no fault here brings about %q", text)
		}
	}
	t.Logf("%d faults, %d texts", len(texts), len(smoke.Texts()))
}

// try breaks a deployment and returns the cause that smoke names.
func (b broken) try(t *testing.T) string {
	s := newStage(t)
	b.how(s)
	r := s.smoke(b.only...)
	var found []smoke.Result
	for _, c := range bad(r) {
		if c.Status != smoke.Skipped {
			found = append(found, c)
		}
		for _, secret := range []string{apptest.Token, apptest.KieKey, "a-secret-password", "another-key"} {
			if strings.Contains(c.Cause+c.Remedy, secret) {
				t.Errorf("a secret is in %q", c.Cause)
			}
		}
	}
	if len(found) != 1 || found[0].Check != b.check || !strings.HasPrefix(found[0].Cause, b.says) || !strings.Contains(found[0].Cause, b.also) || found[0].Remedy == "" {
		t.Fatalf("want the check %q to say %q with %q, and nothing else; got %+v", b.check, b.says, b.also, found)
	}
	if r.OK != (found[0].Status == smoke.Warn) {
		t.Errorf("%s, and the run is fine: %t", found[0].Status, r.OK)
	}
	t.Logf("%s: %s", found[0].Check, found[0].Cause)
	return found[0].Cause
}

func set(name, value string) func(*stage) {
	return func(s *stage) { s.settings[name] = value }
}

func sql(text string) func(*stage) { return func(s *stage) { s.exec(text) } }

// onDatabase changes how every new session of the database begins.
func onDatabase(change string) func(*stage) {
	return func(s *stage) {
		u, err := url.Parse(s.Database)
		if err != nil {
			s.T.Fatal(err)
		}
		s.exec(fmt.Sprintf(`ALTER DATABASE %q %s`, u.Path[1:], change))
	}
}

// shadow puts a function of ours before PostgreSQL's own.
func shadow(function string) func(*stage) {
	return func(s *stage) {
		s.exec(`CREATE FUNCTION public.` + function)
		onDatabase(`SET search_path = public, pg_catalog`)(s)
	}
}

// as returns the database's URL for another role, which is made for this test and
// may use all tables but for what change takes away.
func (s *stage) as(change string) string {
	role := fmt.Sprintf("smoke_test_%d", time.Now().UnixNano())
	s.exec(`CREATE ROLE ` + role + ` LOGIN`)
	s.T.Cleanup(func() { s.exec(`DROP OWNED BY ` + role + `; DROP ROLE ` + role) })
	s.exec(`GRANT USAGE ON SCHEMA public TO ` + role)
	s.exec(`GRANT ALL ON ALL TABLES IN SCHEMA public TO ` + role)
	s.exec(`GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO ` + role)
	if change != "" {
		s.exec(strings.ReplaceAll(change, "$role", role))
	}
	return s.user(role)
}

func (s *stage) user(name string) string {
	u, err := url.Parse(s.Database)
	if err != nil {
		s.T.Fatal(err)
	}
	u.User = url.User(name)
	return u.String()
}

func (s *stage) databaseNamed(name string) string {
	u, err := url.Parse(s.Database)
	if err != nil {
		s.T.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func databaseFaults() []broken {
	return []broken{
		{name: "setting missing", check: "settings", says: "the settings are not valid", also: "ADMIN_IDS", how: set("ADMIN_IDS", "")},
		{name: "setting wrong", check: "settings", says: "the settings are not valid", also: "LOCK_STALE_HEARTBEAT_SECONDS", how: set("LOCK_STALE_HEARTBEAT_SECONDS", "3")},

		{name: "URL unreadable", check: "database", says: "DATABASE_URL is not readable", how: set("DATABASE_URL", "postgres://kiosk:a-secret-password@db:port/kiosk")},
		{name: "server down", check: "database", says: "the database server does not answer", how: set("DATABASE_URL", "postgres://kiosk:a-secret-password@127.0.0.1:1/kiosk")},
		{name: "host unknown", check: "database", says: "the database's host name cannot be resolved", how: set("DATABASE_URL", "postgres://kiosk:a-secret-password@db.invalid:5432/kiosk")},
		{name: "no TLS", check: "database", says: "no encrypted connection to the database", how: func(s *stage) { s.settings["DATABASE_URL"] = plainOnly(s.T) }},
		{name: "wrong password", check: "database", says: "the database refuses the password", also: "28P01", how: func(s *stage) {
			s.settings["DATABASE_URL"] = refuser(s.T, "28P01", `password authentication failed for user "kiosk"`)
		}},
		{name: "no such role", check: "database", says: "the database does not let this role in", how: func(s *stage) { s.settings["DATABASE_URL"] = s.user("nobody_of_that_name") }},
		{name: "no such database", check: "database", says: "there is no such database", how: func(s *stage) { s.settings["DATABASE_URL"] = s.databaseNamed("nothing_of_that_name") }},
		{name: "no connection left", check: "database", says: "the database has no connection left", how: func(s *stage) {
			s.settings["DATABASE_URL"] = s.as("ALTER ROLE $role CONNECTION LIMIT 0")
		}},
		{name: "server starts", check: "database", says: "the database is starting or stopping", how: func(s *stage) {
			s.settings["DATABASE_URL"] = refuser(s.T, "57P03", "the database system is starting up")
		}},
		{name: "server old", check: "database", says: "PostgreSQL is too old", how: shadow(`current_setting(text) RETURNS text LANGUAGE sql AS $$
			SELECT CASE WHEN $1 LIKE 'server_version%' THEN '140011' ELSE pg_catalog.current_setting($1) END $$`)},
		{name: "read only", check: "database", says: "the database takes no writes", how: onDatabase(`SET default_transaction_read_only = on`)},
		{name: "server errs", check: "database", says: "the database answers with an error", how: shadow(`pg_is_in_recovery() RETURNS boolean LANGUAGE plpgsql AS $$
			BEGIN RAISE EXCEPTION 'out of order' USING ERRCODE = 'XX000'; END $$`)},

		{name: "lock server down", check: "lock database", says: "LOCK_DATABASE_URL leads to no usable database", how: set("LOCK_DATABASE_URL", "postgres://kiosk@127.0.0.1:1/kiosk")},
		{name: "lock elsewhere", check: "lock database", says: "LOCK_DATABASE_URL leads to another database", how: func(s *stage) { s.settings["LOCK_DATABASE_URL"] = pgtest.URL(s.T) }},
		{name: "pooler", check: "lock database", says: "a pooler stands between the lock and PostgreSQL", how: func(s *stage) { s.settings["LOCK_DATABASE_URL"] = pooler(s.T, s.Database) }},

		{name: "owner cannot connect", check: "migrations", says: "DATABASE_MIGRATE_URL leads to no usable database", how: set("DATABASE_MIGRATE_URL", "postgres://kiosk@127.0.0.1:1/kiosk")},
		{name: "owner elsewhere", check: "migrations", says: "DATABASE_MIGRATE_URL leads to another database", how: func(s *stage) { s.settings["DATABASE_MIGRATE_URL"] = pgtest.URL(s.T) }},
		{name: "owner may not create", check: "privileges", says: "the role that migrates may not create tables", how: func(s *stage) {
			s.exec(`REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
			s.settings["DATABASE_MIGRATE_URL"] = s.as("")
		}},
		{name: "no schema", check: "migrations", says: "the database has no schema yet", how: func(s *stage) { s.settings["DATABASE_URL"] = pgtest.Empty(s.T) }},
		{name: "migration pending", check: "migrations", says: "migrations are pending", how: sql(`DELETE FROM migration_history WHERE number = (SELECT max(number) FROM migration_history)`)},
		{name: "migration changed", check: "migrations", says: "an applied migration was changed", also: "0003_", how: sql(`UPDATE migration_history SET sha256 = 'x' WHERE number = 3`)},
		{name: "database newer", check: "migrations", says: "the database is newer than this binary", also: "9999_", how: sql(`INSERT INTO migration_history VALUES (9999, '9999_future.sql', 'x', now(), 1, 'v9')`)},
		{name: "history damaged", check: "migrations", says: "the history of migrations is not readable", how: sql(`ALTER TABLE migration_history RENAME COLUMN sha256 TO sha`)},

		{name: "column gone", check: "statements", says: "an SQL statement does not fit this database", also: "outbox", how: sql(`ALTER TABLE outbox_messages DROP COLUMN error`)},
		{name: "function changed", check: "statements", says: "an SQL statement does not fit this database", also: "internal/ledger/sql/audit.sql: SQLSTATE 42", how: sql(`DROP FUNCTION ledger_audit()`)},
		{name: "lock function gone", check: "statements", says: "an SQL statement does not fit this database", also: "singleton/sql/fence.sql", how: sql(`DROP FUNCTION singleton_check`)},
		{name: "lock column gone", check: "statements", says: "an SQL statement does not fit this database", also: ": singleton/sql/", how: sql(`ALTER TABLE singleton_lease RENAME COLUMN beat_at TO beat_gone`)},
		{name: "column privilege lost", check: "statements", says: "the role may not run an SQL statement", also: "42501", how: func(s *stage) {
			s.settings["DATABASE_MIGRATE_URL"], s.settings["LOCK_DATABASE_URL"] = s.Database, s.Database
			s.settings["DATABASE_URL"] = s.as(`REVOKE UPDATE ON inbox_messages FROM $role; GRANT UPDATE (done_at, error, attempts, due_at) ON inbox_messages TO $role`)
		}},
		{name: "function privilege lost", check: "statements", says: "the role may not run an SQL statement", also: "ledger_audit", how: func(s *stage) {
			s.settings["DATABASE_MIGRATE_URL"], s.settings["LOCK_DATABASE_URL"] = s.Database, s.Database
			s.settings["DATABASE_URL"] = s.as(`REVOKE EXECUTE ON FUNCTION ledger_audit() FROM PUBLIC`)
		}},
	}
}

// ignore keeps a change from happening without an error.
func ignore(table, when string) func(*stage) {
	return func(s *stage) {
		s.exec(`CREATE FUNCTION ignore_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$`)
		s.exec(`CREATE TRIGGER ignore_it BEFORE UPDATE ON ` + table + ` FOR EACH ROW WHEN (` + when + `) EXECUTE FUNCTION ignore_it()`)
	}
}

// refuse raises an error at a change.
func refuse(change, table, when string) func(*stage) {
	return func(s *stage) {
		s.exec(`CREATE FUNCTION refuse_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused by a trigger on %', TG_TABLE_NAME; END $$`)
		s.exec(`CREATE TRIGGER refuse_it BEFORE ` + change + ` ON ` + table + ` FOR EACH ROW WHEN (` + when + `) EXECUTE FUNCTION refuse_it()`)
	}
}

// instead gives a function of the schema another body.
func instead(body string, old, present string) func(*stage) {
	return func(s *stage) {
		var definition string
		if err := s.pool.QueryRow(s.ctx, `SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = $1`, body).Scan(&definition); err != nil {
			s.T.Fatal(err)
		}
		if !strings.Contains(definition, old) {
			s.T.Fatalf("%s has no %q", body, old)
		}
		s.exec(strings.Replace(definition, old, present, 1))
	}
}

func lockFaults() []broken {
	list := []broken{
		{name: "never granted", says: "the lock is not granted to anybody", how: instead("singleton_grant", "BEGIN", "BEGIN outcome := 'busy'; RETURN;")},
		{name: "heartbeat lost", says: "the lock's holder cannot renew its heartbeat", how: ignore("singleton_lease", "NEW.beat > 1 AND NEW.beat = OLD.beat + 1")},
		{name: "no takeover", says: "a silent holder of the lock is not replaced", how: func(s *stage) {
			s.exec(`CREATE FUNCTION spend_budget() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				INSERT INTO singleton_event (name, epoch, kind, instance) SELECT NEW.name, NEW.epoch, 'takeover', 'x' FROM generate_series(1, 3); RETURN NEW; END $$`)
			s.exec(`CREATE TRIGGER spend_budget AFTER INSERT ON singleton_event FOR EACH ROW WHEN (NEW.kind = 'acquired') EXECUTE FUNCTION spend_budget()`)
		}},
		{name: "no fence", says: "the fence lets a replaced holder commit", how: instead("singleton_check", "BEGIN", "BEGIN RETURN;")},
		{name: "fence errs", says: "the fence refuses a holder that it should let through", how: instead("singleton_check", "BEGIN", "BEGIN RAISE EXCEPTION 'the fence fell over';")},
		{name: "no release", says: "the lock is not released by a stop", how: ignore("singleton_lease", "NEW.state = 'released'")},
		{name: "lock rows stay", says: "the scratch rows of the lock check cannot be removed", how: refuse("DELETE", "singleton_lease", "true")},
	}
	for i := range list {
		list[i].check, list[i].only = "lock", []string{"lock"}
	}
	return list
}

// stuck is a folder that never answers.
type stuck struct{ fs.FS }

func (stuck) Open(string) (fs.File, error)          { select {} }
func (stuck) ReadDir(string) ([]fs.DirEntry, error) { select {} }

func withModels(models fs.FS) func(*stage) {
	return func(s *stage) { s.change = func(c *smoke.Config) { c.Models = models } }
}

func model(id, usd string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(`{id: ` + id + `, title: T, provider: kie, category: image, about: {en: a, ru: b}, seconds: 1,
inputs: [{name: prompt, type: text, required: true, label: {en: a, ru: b}}], price: {unit: image, tiers: [{usd: ` + usd + `}], as_of: 2026-10-01}, example: {prompt: x}}`)}
}

// tamper gives somebody money past the functions of the books.
func tamper(s *stage) {
	books, err := ledger.New("RUB")
	if err != nil {
		s.T.Fatal(err)
	}
	if err := pgx.BeginFunc(s.ctx, s.pool, func(tx pgx.Tx) error {
		_, err := books.GiveBonus(s.ctx, tx, "welcome", 7001, 300, ledger.Promo, "welcome")
		return err
	}); err != nil {
		s.T.Fatal(err)
	}
	s.exec(`ALTER TABLE ledger_accounts DISABLE TRIGGER ALL`)
	s.exec(`UPDATE ledger_accounts SET balance = 301 WHERE kind = 'bonus'`)
}

func moneyFaults() []broken {
	return []broken{
		{name: "hanging", check: "models", says: "the check did not end in time", also: "models", how: withModels(stuck{}), only: []string{"models"}},
		{name: "books wrong", check: "ledger", says: "the books contradict themselves", how: tamper},
		{name: "audit errs", check: "ledger", says: "the books cannot be audited", how: sql(`CREATE OR REPLACE FUNCTION ledger_audit() RETURNS TABLE (defect text, subject text, detail text)
			LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the auditor is ill'; END $$`)},
		{name: "nothing sold", check: "models", says: "the settings of prices fit no model", how: set("MAX_COST_SHARE", "0.0001")},
		{name: "model broken", check: "models", says: "a model is not valid", also: "broken.yaml", how: withModels(fstest.MapFS{"broken.yaml": {Data: []byte("id: [")}})},
		{name: "some unsold", check: "models", says: "a model is not sold at these prices", also: "dear", how: func(s *stage) {
			s.settings["MAX_COST_SHARE"] = "0.499" // of twice the cost: only what is rounded up to a kopeck stays below
			withModels(fstest.MapFS{"a.yaml": model("cheap", "0.000001"), "b.yaml": model("dear", "0.01")})(s)
		}},
	}
}

func hookFault(f telegramsim.Fault) func(*stage) {
	return func(s *stage) {
		if _, err := s.Telegram.Fault(f); err != nil {
			s.T.Fatal(err)
		}
	}
}

// deliver registers a webhook and has somebody write n times, until Telegram has
// tried to deliver.
func (s *stage) deliver(address string, n int) {
	s.settings["WEBHOOK_BASE_URL"] = address
	s.register()
	p := s.Person("Ann", "en")
	for range n {
		p.Say("hello")
	}
}

// waitError waits until Telegram has noted a failed delivery, and with drained
// until nothing waits any more.
func (s *stage) waitError(drained bool) {
	for s.ctx.Err() == nil {
		info, err := s.api().GetWebhookInfoWithContext(s.ctx, nil)
		if err != nil {
			s.T.Fatal(err)
		}
		if info.LastErrorDate > 0 && (!drained || info.PendingUpdateCount == 0) {
			return
		}
		time.Sleep(20 * time.Millisecond) // Telegram announces nothing
	}
	s.T.Fatal("no delivery failed")
}

func telegramFaults() []broken {
	return []broken{
		{name: "Telegram down", check: "telegram token", says: "Telegram's server does not answer", how: set("TELEGRAM_API_URL", "http://127.0.0.1:1")},
		{name: "token revoked", check: "telegram token", says: "Telegram refuses the bot token", also: "401", how: set("TELEGRAM_BOT_TOKEN", "700000000:a-secret-password-of-somebody-else")},
		{name: "token malformed", check: "telegram token", says: "Telegram refuses the bot token", also: "form", how: set("TELEGRAM_BOT_TOKEN", "a-secret-password")},
		{name: "Telegram errs", check: "telegram token", says: "Telegram answers with an error", also: "500", how: hookFault(telegramsim.Fault{Method: "getMe", Action: "fail", Code: 500})},
		{name: "Telegram waits", check: "telegram token", says: "Telegram answers with an error", also: "429", how: hookFault(telegramsim.Fault{Method: "getMe", Action: "fail", Code: 429, RetryAfter: 7})},
		{name: "no webhook", check: "telegram webhook", says: "no webhook is registered", how: func(s *stage) {
			if _, err := s.api().DeleteWebhookWithContext(s.ctx, nil); err != nil {
				s.T.Fatal(err)
			}
		}},
		{name: "other webhook", check: "telegram webhook", says: "Telegram delivers to another address", how: func(s *stage) {
			if _, err := s.api().SetWebhookWithContext(s.ctx, "https://elsewhere.example.com/a-secret-password", nil); err != nil {
				s.T.Fatal(err)
			}
		}},
		{name: "webhook while polling", check: "telegram webhook", says: "a webhook is registered, so polling gets nothing", how: set("BOT_MODE", "polling")},
		{name: "wrong secret", check: "telegram secret", says: "the webhook refuses Telegram's secret", how: func(s *stage) {
			s.deliver(webhook(s.T, http.StatusUnauthorized), 1)
			s.waitError(false)
		}},
		{name: "webhook fails", check: "telegram delivery", says: "Telegram's deliveries fail", also: "503", how: func(s *stage) {
			s.deliver(webhook(s.T, http.StatusServiceUnavailable), 1)
			s.waitError(false)
		}},
		{name: "webhook failed before", check: "telegram delivery", says: "a delivery of Telegram failed a short time ago", how: func(s *stage) {
			s.deliver(webhook(s.T, http.StatusBadGateway, http.StatusOK), 1)
			s.waitError(true)
		}},
		{name: "updates pile up", check: "telegram delivery", says: "updates pile up at Telegram", also: "120", how: func(s *stage) {
			hookFault(telegramsim.Fault{Method: "webhook", Action: "delay", DelayMillis: 60_000})(s)
			s.deliver(webhook(s.T, http.StatusOK), 120)
		}},
		{name: "kinds withheld", check: "telegram updates", says: "Telegram withholds kinds of updates", also: "callback_query, my_chat_member", how: func(s *stage) {
			_, err := s.api().RequestWithContext(s.ctx, "setWebhook", map[string]any{
				"url": s.settings["WEBHOOK_BASE_URL"] + "/webhook/telegram", "allowed_updates": []string{"message"}}, nil)
			if err != nil {
				s.T.Fatal(err)
			}
		}},
	}
}

func kieFault(f kiesim.Fault) func(*stage) {
	return func(s *stage) {
		if err := s.Kie.Fault(f); err != nil {
			s.T.Fatal(err)
		}
	}
}

func creditFault(code int) func(*stage) {
	return kieFault(kiesim.Fault{Method: "credit", Action: "fail", Code: code})
}

// balance puts another account in place of the usual one.
func balance(credits float64) func(*stage) {
	return func(s *stage) {
		k, err := kiesim.New(kiesim.Config{APIKey: apptest.KieKey, Credits: credits})
		if err != nil {
			s.T.Fatal(err)
		}
		s.T.Cleanup(func() { _ = k.Close() })
		s.settings["KIE_API_URL"] = serveHTTP(s.T, k)
	}
}

// live orders a generation after how.
func live(most int64, how func(*stage)) func(*stage) {
	return func(s *stage) {
		how(s)
		s.change = func(c *smoke.Config) {
			c.Live = &smoke.Live{MaxCost: 1, Announce: func(string, catalog.USD) {}, Patience: 3 * time.Second, Every: 50 * time.Millisecond}
			c.Live.MaxCost = catalog.USD(most)
		}
	}
}

func kieFaults() []broken {
	generation := []string{"generation"}
	nothing := func(*stage) {}
	return []broken{
		{name: "KIE down", check: "kie key", says: "KIE's server does not answer", how: set("KIE_API_URL", "http://127.0.0.1:1")},
		{name: "key invalid", check: "kie key", says: "KIE refuses the API key", also: "401", how: set("KIE_API_KEY", "another-key")},
		{name: "key's limit", check: "kie key", says: "KIE's limit of this API key is used up", also: "433", how: creditFault(433)},
		{name: "account refused", check: "kie key", says: "KIE's account has no credits", also: "402", how: creditFault(402)},
		{name: "maintenance", check: "kie key", says: "KIE is under maintenance", how: creditFault(455)},
		{name: "KIE errs", check: "kie key", says: "KIE answers with an error", also: "500", how: creditFault(500)},
		{name: "KIE answers a page", check: "kie key", says: "KIE answers with an error", also: "502", how: kieFault(kiesim.Fault{Method: "credit", Action: "html"})},
		{name: "account empty", check: "kie credits", says: "KIE's account has no credits", also: "0.00", how: balance(-1)},
		{name: "account low", check: "kie credits", says: "KIE's account is almost empty", also: "2.50 USD", how: balance(500)},

		{name: "live too dear", check: "generation", says: "the cheapest generation costs more than --max-cost", also: "0.000001", how: live(1, nothing), only: generation},
		{name: "live refused", check: "generation", says: "the provider refused the generation", also: "422", how: live(1e6, kieFault(kiesim.Fault{Method: "createTask", Action: "fail", Code: 422})), only: generation},
		{name: "live fails", check: "generation", says: "the generation failed", how: live(1e6, kieFault(kiesim.Fault{Method: "generate", Action: "fail", Code: 501})), only: generation},
		{name: "live lost", check: "generation", says: "the generation did not end in time", how: live(1e6, kieFault(kiesim.Fault{Method: "generate", Action: "slow", DelayMS: 60_000})), only: generation},
	}
}
