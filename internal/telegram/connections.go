package telegram

import (
	"net"
	"net/http"
	"time"
)

// connections are those of all calls. The outbox alone makes dozens at a time to
// one host, of which Go's default would keep two connections.
var connections = newConnections()

func newConnections() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          128,
		MaxIdleConnsPerHost:   64,
		// Shorter than servers wait: one that closes a connection just as a call
		// begins makes its outcome unknown.
		IdleConnTimeout: 30 * time.Second,
		// A connection that died silently must not take many calls with it.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
	}
}
