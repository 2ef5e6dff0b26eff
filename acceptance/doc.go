// Package acceptance runs the bot in polling mode against a Bot API server that
// others wrote, from /start to a delivered picture:
//
//	bot ──▶ recorder ──▶ tg-mock        (github.com/watzon/tg-mock, spec of Bot API 9.2)
//	 │      keeps every call, holds
//	 │      an empty getUpdates answer
//	 └────▶ simulated KIE
//
// Our own simulator and our own client could share one wrong idea of Telegram's
// protocol; two judges that know nothing of us cannot. tg-mock takes or refuses
// each call: does the method exist, is every required field there, can the body
// be read. The parameter structs of github.com/mymmrac/telego (Bot API 10.3) are
// the second: every recorded call must decode into them with no field unknown
// and none of the wrong type. Faults (429, 403, 400, 409, 404) are tg-mock's.
//
// What neither judge knows, and only internal/simulator/telegramsim checks:
// webhooks with their secret header, retries and order of delivery; multipart
// uploads, which tg-mock cannot read; limits, such as the 64 bytes of callback
// data or the length of a caption; whether the entities of a text are closed;
// whether an edit changes anything or its message exists; the time within which
// a press must be answered; drafts and all else that came after 9.2. Albums are
// judged by telego alone: tg-mock's sendMediaGroup hangs (see askAlbum).
//
// It is a module of its own so that the product depends on neither peer. The
// tests need Go (telego sets the version in go.mod) and the server programs of
// PostgreSQL; they start all processes themselves and leave none behind.
package acceptance
