// Package telegramsim is a server that speaks the Telegram Bot API over HTTP and plays the people on the other side.
// A bot pointed at it cannot tell it from the real server by the calls it is meant to make: it sends to private
// chats, edits, answers button presses, sells for Stars, and receives updates by webhook or by long polling under
// Telegram's own rules of order, retry and expiry. People act through a web chat at "/", through the control calls
// below "/sim/", or in-process through the methods of [Server].
//
// Invariants. Everything that the simulator knows sits behind one mutex, which is never held while another server is
// called. A [Message] is immutable once it is published: an edit replaces it. Every goroutine belongs to the Server
// and has ended when Close returns. Nothing a client sends may panic it.
//
// It is honest about what it lacks. There are only private chats of one bot: no groups, channels, inline mode,
// stickers, polls, games, business accounts or mini apps. Reply keyboards are accepted and not shown. Photos keep
// their bytes (Telegram recompresses them), media are measured by their headers and not transcoded. Rate limits
// happen only when a fault asks for them. Connections to a webhook do not warm up slowly, 410 Gone does not remove
// one, and it may use plain HTTP on a loopback address, which Telegram refuses.
//
// The real server's refusals are reproduced by text and code where its source or its documentation shows them.
package telegramsim
