package smoke_test

import (
	"net/http"
	"time"

	"kiosk/internal/smoke"
)

// skew lets servers of the outside have a clock of their own.
func skew(ahead time.Duration, names ...string) func(*stage) {
	return func(s *stage) {
		for _, name := range names {
			s.settings[name] = clockProxy(s.T, s.settings[name], ahead)
		}
	}
}

func instanceFaults() []broken {
	return []broken{
		{name: "own clock off", check: "clock", says: "this machine's clock is off", also: "10m", how: skew(10*time.Minute, "TELEGRAM_API_URL", "KIE_API_URL")},
		{name: "other clock off", check: "clock", says: "the clock of an outside server is off", also: "KIE is 10m", how: skew(-10*time.Minute, "KIE_API_URL")},
		{name: "database's clock off", check: "clock", says: "PostgreSQL's clock is off", how: shadow(`clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() + interval '10 minutes' $$`)},

		{name: "disk full", check: "disk", says: "the disk is almost full", how: func(s *stage) {
			s.change = func(c *smoke.Config) { c.Folders, c.MinFree = []string{s.T.TempDir()}, 1<<62 }
		}},
		{name: "folder missing", check: "disk", says: "a folder of results cannot be used", how: func(s *stage) {
			s.change = func(c *smoke.Config) { c.Folders = []string{"/nowhere/results"} }
		}},

		{name: "nobody ever", check: "instances", says: "no instance is ACTIVE", also: "none ever", how: func(s *stage) { s.before = false }},
		{name: "all stopped", check: "instances", says: "no instance is ACTIVE", also: "holder", how: func(s *stage) {
			s.exec(`INSERT INTO singleton_lease (name, epoch, instance, state) VALUES ('kiosk', 3, 'holder', 'released')`)
			s.before = false
		}},
		{name: "holder dead", check: "instances", says: "the ACTIVE instance is silent", also: "holder, for 43m", how: func(s *stage) {
			s.exec(`INSERT INTO singleton_lease (name, epoch, instance, state, beat_at, acquired_at) VALUES ('kiosk', 3, 'holder', 'held', now() - interval '43 minutes', now() - interval '1 hour')`)
			s.before = false
		}},
		{name: "two ACTIVE", check: "instances", says: "two instances call themselves ACTIVE", also: "other", how: func(s *stage) {
			a := s.serve()
			other := instance(s.T, `{"status":"ok","instance":"other","lock":{"state":"ACTIVE"}}`)
			s.change = func(c *smoke.Config) { c.Instances = []string{a.URL(), other} }
		}},
		{name: "unwell", check: "instances", says: "an instance reports that it is not well", also: "other is degraded: orders are due", how: func(s *stage) {
			s.serve()
			other := instance(s.T, `{"status":"degraded","reasons":["orders are due and nobody works on them","the books contradict themselves"],"instance":"other","lock":{"state":"PASSIVE"}}`)
			s.change = func(c *smoke.Config) { c.Instances = []string{other} }
		}},
		{name: "inbox not stored", check: "inbox", says: "the inbox cannot store a message", how: func(s *stage) {
			s.serve()
			refuse("INSERT", "inbox_messages", "true")(s)
		}},
		{name: "inbox not handled", check: "inbox", says: "the ACTIVE instance does not handle the inbox", how: func(s *stage) {
			s.hold()
			s.deliver(webhook(s.T, http.StatusUnauthorized), 0)
		}},
		{name: "inbox fails", check: "inbox", says: "the ACTIVE instance fails on a message", how: func(s *stage) {
			s.serve()
			refuse("UPDATE", "inbox_messages", "NEW.state = 'done'")(s)
		}},
		{name: "update set aside", check: "inbox", says: "updates were set aside after several attempts", also: "1 in the last hour", how: func(s *stage) {
			s.serve()
			s.exec(`INSERT INTO inbox_messages (source, key, lane, body, state) VALUES ('telegram', 'aside', '7', '', 'failed'), ('telegram', 'old', '7', '', 'failed')`)
			s.exec(`UPDATE inbox_messages SET due_at = due_at - interval '2 hours' WHERE key = 'old'`)
		}},
		{name: "inbox row stays", check: "inbox", says: "the scratch row of the inbox check cannot be removed", how: func(s *stage) {
			s.serve()
			refuse("DELETE", "inbox_messages", "true")(s)
		}},
		{name: "address dead", check: "address", says: "the public address does not answer from here", how: func(s *stage) {
			s.serve()
			s.settings["WEBHOOK_BASE_URL"] = "http://127.0.0.1:1"
			s.register()
		}},
		{name: "address elsewhere", check: "address", says: "another program answers at the public address", also: "404", how: func(s *stage) {
			s.serve()
			s.settings["WEBHOOK_BASE_URL"] = serveHTTP(s.T, http.NotFoundHandler())
			s.register()
		}},
	}
}
