package main

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/PaulSonOfLars/gotgbot/v2"

	"kiosk/internal/app"
	"kiosk/internal/app/apptest"
	"kiosk/internal/generation"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/simulator/kiesim"
	"kiosk/internal/simulator/telegramsim"
	"kiosk/singleton"
)

func faults() []fault {
	return slices.Concat(settingFaults(), databaseFaults(), lockFaults(), telegramFaults(), kieFaults(), workFaults())
}

func sql(text string) func(*scene) { return func(s *scene) { s.exec(text) } }

func set(change ...string) func(*scene) {
	return func(s *scene) {
		for i := 0; i < len(change); i += 2 {
			s.env[change[i]] = change[i+1]
		}
	}
}

func again(change ...string) func(*scene) {
	return func(s *scene) { set(change...)(s); s.again(nil) }
}

// settingFaults keep an instance from starting.
func settingFaults() []fault {
	list := []fault{
		{name: "settings invalid", cause: "several mistakes at once; all are named", how: set("ADMIN_IDS", "", "KIE_API_KEY", "", "USD_RATE", "eighty", "LOG_LEVEL", "loud")},
		{name: "thresholds too tight", cause: "a stale time of 30 s with a heartbeat of 15 s: one lost renewal would be a takeover", how: set("LOCK_HEARTBEAT_SECONDS", "15", "LOCK_STALE_HEARTBEAT_SECONDS", "30")},
		{name: "wrong database password", cause: "DATABASE_URL has another password than the role", how: func(s *scene) {
			s.env["DATABASE_URL"] = refuser(s.t, "28P01", `password authentication failed for user "kiosk"`)
		}},
		{name: "changed migration file", cause: "a file was edited after it had been applied", how: sql(`UPDATE migration_history SET sha256 = 'x' WHERE number = 3`)},
		{name: "lock in another database", cause: "LOCK_DATABASE_URL leads to another database than DATABASE_URL: each would have its own lock", how: func(s *scene) {
			s.env["LOCK_DATABASE_URL"] = pgtest.URL(s.t)
		}},
	}
	for i := range list {
		list[i].fresh, list[i].ends, list[i].health, list[i].alert = true, true, noteEnded, noteEnded
	}
	return list
}

func databaseFaults() []fault {
	return []fault{
		{
			name: "database down", cause: "PostgreSQL does not answer", fresh: true,
			health: "503 down", log: "lock trouble", part: "connection refused", alone: "KioskNobodyActive", alert: noteChat, metric: "kiosk_singleton_active 0",
			how: func(s *scene) {
				g, address := databaseGate(s.t, s.Database, false)
				s.env["DATABASE_URL"] = address
				s.env["LOCK_HEARTBEAT_SECONDS"], s.env["LOCK_STALE_HEARTBEAT_SECONDS"] = "1", "4"
				s.run()
				g.shut()
				s.heal = append(s.heal, g.reopen)
			},
		},
		{
			name: "migration pending", cause: "the program is newer than the schema (`kiosk serve` applies it when it starts)",
			health: "200 degraded", log: "alert", part: "KioskMigrationsPending", alert: "KioskMigrationsPending",
			how: sql(`DELETE FROM migration_history WHERE number = (SELECT max(number) FROM migration_history)`),
		},
		{
			name: "function changed", cause: "ledger_top_up was replaced by one with another signature",
			health: "failed", log: "message failed", part: "42883", alert: "KioskUpdatesFailed",
			how: func(s *scene) {
				s.exec(`DROP FUNCTION ledger_top_up; CREATE FUNCTION ledger_top_up(text) RETURNS text LANGUAGE sql AS 'SELECT $1'`)
				s.Person("Ada", "en").Say("/start")
			},
		},
		{
			name: "column privilege lost", cause: "the role of DATABASE_URL may no longer update one column of bot_sessions", fresh: true,
			health: "failed", log: "message failed", part: "42501", alert: "KioskUpdatesFailed",
			how: func(s *scene) {
				role := fmt.Sprintf("broken_%d", time.Now().UnixNano())
				s.env["DATABASE_MIGRATE_URL"], s.env["LOCK_DATABASE_URL"] = s.Database, s.Database
				s.env["DATABASE_URL"] = asRole(s, role)
				s.run()
				s.exec(`REVOKE UPDATE ON bot_sessions FROM ` + role + `; GRANT UPDATE (updated_at) ON bot_sessions TO ` + role)
				s.boss.Say("/balance")
			},
		},
		{
			name: "disk of the database full", cause: "PostgreSQL refuses to write with SQLSTATE 53100 (here by a trigger on inbox_messages)",
			health: "200 ok", beside: noteReads, log: "messages not stored", alert: "KioskUpdatesRefused",
			how: func(s *scene) {
				s.exec(`CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
					RAISE EXCEPTION 'could not extend file "base/5/1259": No space left on device' USING ERRCODE = '53100'; END $$;
					CREATE TRIGGER full_disk BEFORE INSERT ON inbox_messages FOR EACH STATEMENT EXECUTE FUNCTION full_disk()`)
				for i := range 12 {
					s.Person(fmt.Sprint("P", i), "en").Say("hello")
				}
			},
		},
	}
}

// asRole makes a role that may do everything but own, and returns its URL.
func asRole(s *scene, role string) string {
	s.exec(`CREATE ROLE ` + role + ` LOGIN`)
	s.t.Cleanup(func() { s.exec(`DROP OWNED BY ` + role + `; DROP ROLE ` + role) })
	s.exec(`GRANT USAGE ON SCHEMA public TO ` + role + `; GRANT ALL ON ALL TABLES IN SCHEMA public TO ` + role + `; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO ` + role)
	u, err := url.Parse(s.Database)
	if err != nil {
		s.t.Fatal(err)
	}
	u.User = url.User(role)
	return u.String()
}

// hasty is a lock that notices silence sooner.
func hasty(s *scene) {
	s.env["LOCK_HEARTBEAT_SECONDS"], s.env["LOCK_STALE_HEARTBEAT_SECONDS"] = "1", "4"
}

func lockFaults() []fault {
	return []fault{
		{
			name: "heartbeat fails", cause: "the statement that renews the lock is refused: a column was renamed", fresh: true,
			health: "the lock is in trouble; `lock.state` is not ACTIVE", log: "lock trouble", part: "42703", alone: "KioskNobodyActive", alert: noteChat, metric: "kiosk_singleton_active 0",
			how: func(s *scene) {
				hasty(s)
				s.run()
				s.exec(`ALTER TABLE singleton_lease RENAME COLUMN beat_at TO beat_gone`)
				s.heal = append(s.heal, func() { s.exec(`ALTER TABLE singleton_lease RENAME COLUMN beat_gone TO beat_at`) })
			},
		},
		{
			name: "nobody is ACTIVE", cause: "the only instance was stopped",
			health: noteEnded, log: "lock released", alone: "KioskNobodyActive", alert: noteChat,
			how:   func(s *scene) { s.stop() },
			after: saidAfterwards,
		},
		{
			name: "holder frozen, no standby", cause: "the process of the ACTIVE instance stands still, and it is the only one", fresh: true,
			health: noteSilent, log: noteSilent, alone: "KioskNobodyActive", alert: noteChat, how: freeze,
		},
		{
			name: "holder frozen, a standby follows", cause: "the same with a second instance, which takes over",
			health: "heartbeat", log: "took over from a stale holder", alert: noteOne, fine: true, fresh: true, see: "kiosktakeovers",
			how: func(s *scene) {
				freeze(s)
				delete(s.env, "WEBHOOK_BASE_URL") // of its own again
				s.launch()
				s.serving()
			},
		},
		{
			name: "pooler in between", cause: "DATABASE_URL leads through a transaction pooler and LOCK_DATABASE_URL is not set", fresh: true,
			health: "lease", log: "DATABASE_URL leads through a transaction pooler: the lock works in lease mode, and a dead instance is followed after the stale time; set LOCK_DATABASE_URL to the direct address for milliseconds",
			alert: noteHarmless,
			how: func(s *scene) {
				_, s.env["DATABASE_URL"] = databaseGate(s.t, s.Database, true)
				s.run()
			},
		},
		{
			name: "two lock domains", cause: "two instances have the same bot and two databases: each is ACTIVE in its own",
			health: "200 ok", beside: noteApart, log: noteApart, alone: "KioskTwoActive", alert: noteApart, metric: "kiosk_singleton_active 1",
			how: func(s *scene) {
				env := maps.Clone(s.env)
				maps.Copy(env, map[string]string{"DATABASE_URL": pgtest.URL(s.t), "WEBHOOK_BASE_URL": s.app.URL(), "INSTANCE_NAME": "kiosk-2"})
				s.others = append(s.others, s.Start(generation.Limits{}, env).URL())
			},
		},
	}
}

// freeze starts a process of its own and stops it in the middle of its term.
func freeze(s *scene) {
	hasty(s)
	b := newBalancer(s.t)
	s.env["WEBHOOK_BASE_URL"] = b.URL
	p := serve(s.t, s.settings(), "frozen")
	s.t.Cleanup(func() { _ = p.cmd.Process.Signal(syscall.SIGCONT) })
	b.add(p)
	until(s.t, "the instance is ACTIVE and serves", func() bool {
		info, err := s.api().GetWebhookInfoWithContext(s.Context(), nil)
		return err == nil && strings.HasPrefix(info.Url, b.URL) && p.active()
	})
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
	until(s.t, "the heartbeat is stale", func() bool {
		h, err := singleton.ReadHolding(s.Context(), s.pool, app.LockName)
		return err == nil && h.HeartbeatAge > 4500*time.Millisecond
	})
	s.health = p.url
}

// saidAfterwards starts an instance, which tells how long nobody was there.
func saidAfterwards(s *scene) {
	s.exec(`UPDATE admin_presence SET seen_at = seen_at - interval '5 minutes'`)
	s.launch()
	s.boss.WaitText("🔴", "KioskNobodyActive")
}

func telegramFault(s *scene, f telegramsim.Fault) {
	if _, err := s.Telegram.Fault(f); err != nil {
		s.t.Fatal(err)
	}
}

func telegramFaults() []fault {
	return []fault{
		{
			name: "Telegram down", cause: "the Bot API cannot be reached", fresh: true,
			health: "200 ok", beside: noteOutside, log: "webhook not looked at", alone: "KioskBotAPIErrors", alert: noteChat,
			how: func(s *scene) {
				g := plainGate(s.t, strings.TrimPrefix(s.SimURL, "http://"))
				s.env["TELEGRAM_API_URL"] = "http://" + g.address
				s.run()
				g.shut()
				s.heal = append(s.heal, g.reopen)
			},
			after: func(s *scene) { s.boss.WaitText("🔴", "KioskBotAPIErrors") },
		},
		{
			name: "bot token invalid", cause: "TELEGRAM_BOT_TOKEN was revoked",
			health: "200 ok", beside: noteOutside, log: "webhook not registered", alone: "KioskBotAPIErrors", alert: noteChat,
			how: again("TELEGRAM_BOT_TOKEN", "700000000:another-token-that-nobody-knows-of"),
		},
		{
			name: "wrong webhook URL", cause: "WEBHOOK_BASE_URL leads to another program",
			health: "200 ok", beside: noteOutside, log: "alert", part: "KioskWebhookErrors", alert: "KioskWebhookErrors",
			how: func(s *scene) {
				again("WEBHOOK_BASE_URL", serveHTTP(s.t, http.NotFoundHandler()))(s)
				s.serving()
				s.boss.Say("/balance")
			},
		},
		{
			name: "wrong webhook secret", cause: "Telegram sends another secret than this instance expects, and gets 401",
			health: "200 ok", beside: noteOutside, log: "delivery refused", alert: "KioskWebhookErrors",
			how: func(s *scene) {
				s.serving()
				if _, err := s.api().SetWebhookWithContext(s.Context(), s.app.URL()+"/webhook/telegram", &gotgbot.SetWebhookOpts{
					SecretToken: "another-secret", AllowedUpdates: []string{"message", "callback_query", "my_chat_member"},
				}); err != nil {
					s.t.Fatal(err)
				}
				s.boss.Say("/balance")
			},
		},
		{
			name: "deliveries fail", cause: "Telegram's connections to the webhook are cut, and updates wait there",
			health: "200 ok", beside: noteOutside, log: "alert", part: "KioskWebhookErrors", alert: "KioskWebhookErrors",
			how: func(s *scene) {
				telegramFault(s, telegramsim.Fault{Method: "webhook", Action: "drop_before"})
				s.boss.Say("/balance")
			},
		},
		{
			name: "clock off", cause: "this machine is ten minutes behind",
			health: "200 ok", beside: noteOutside, log: noteHarmless, alert: noteHarmless,
			how: func(s *scene) {
				again("TELEGRAM_API_URL", clockProxy(s.t, s.SimURL, 10*time.Minute), "KIE_API_URL", clockProxy(s.t, s.env["KIE_API_URL"], 10*time.Minute))(s)
				s.serving()
			},
		},
	}
}

func (s *scene) serving() {
	if err := s.app.WaitServing(s.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func kieFaults() []fault {
	return []fault{
		{
			name: "KIE down", cause: "KIE's server cannot be reached", how: again("KIE_API_URL", "http://127.0.0.1:1"),
			health: "200 ok", beside: noteOutside, log: "credits not read", alert: "KioskProviderErrors",
		},
		{
			name: "KIE key invalid", cause: "KIE_API_KEY was deleted", how: again("KIE_API_KEY", "another-key"),
			health: "200 ok", beside: noteOutside, log: "credits not read", alert: "KioskProviderKeyRefused",
		},
		{
			name: "KIE without credits", cause: "the account at KIE is empty, and somebody orders",
			health: "200 ok", beside: noteOutside, log: "submission not accepted", alert: "KioskProviderOutOfCredits",
			how: func(s *scene) {
				empty, err := kiesim.New(kiesim.Config{APIKey: apptest.KieKey, Credits: -1, NoRateLimit: true})
				if err != nil {
					s.t.Fatal(err)
				}
				s.t.Cleanup(func() { _ = empty.Close() })
				server := httptest.NewServer(empty)
				s.t.Cleanup(server.Close)
				again("KIE_API_URL", server.URL)(s)
				s.serving()
				s.Person("Ada", "en").Order("Pictures", "Z-Image", "a fox")
			},
		},
	}
}

func workFaults() []fault {
	return []fault{
		{
			name: "update set aside", cause: "one person's update fails each time (here by a trigger on her session)",
			health: "failed", log: "message failed", part: "poisoned", alert: "KioskUpdatesFailed",
			how: func(s *scene) {
				ada := s.Person("Ada", "en")
				s.exec(strings.ReplaceAll(`CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'poisoned'; END $$;
					CREATE TRIGGER poison BEFORE INSERT OR UPDATE ON bot_users FOR EACH ROW WHEN (NEW.id = $id) EXECUTE FUNCTION poison()`, "$id", fmt.Sprint(ada.ID)))
				ada.Say("/start")
			},
		},
		{
			name: "order stuck", cause: "every attempt to move one order fails (here by a trigger)",
			health: "degraded", log: "work failed", part: "broken", alert: "KioskGenerationsStuck",
			how: sql(`CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$;
				CREATE TRIGGER broken BEFORE UPDATE ON generations FOR EACH ROW EXECUTE FUNCTION broken();
				INSERT INTO generations (id, request_key, user_id, chat_id, language, model, params, price, cost_micros, state, task_id, due_at)
				VALUES (gen_random_uuid(), 'stuck', 7, 7, 'en', 'z-image', '{}', 0, 1, 'running', 'stuck', clock_timestamp() - interval '10 minutes')`),
		},
		{
			name: "books changed by hand", cause: "a balance was changed past the triggers, with session_replication_role = replica",
			health: "degraded", log: "the books contradict themselves", alert: "KioskLedgerDefect",
			how: sql(`BEGIN; SET LOCAL session_replication_role = replica;
				UPDATE ledger_accounts SET balance = balance + 1 WHERE kind = 'bonus'; COMMIT`),
		},
	}
}
