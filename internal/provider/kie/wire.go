package kie

import (
	"context"
	"net"
	"net/http"
	"time"
)

// newConnections keeps as many connections as calls are under way together: 64
// generations are worked on at a time, and Go's default would keep two.
func newConnections() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          128,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       30 * time.Second, // before the server closes it under a create
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
	}
}

// window lets at most size calls reach a server within any period, and all of
// them if they want to. A call counts from before it is sent until a period after
// its answer, because when it arrived in between only the server knows.
type window struct {
	places chan struct{}
	period time.Duration
}

func newWindow(size int, period time.Duration) *window {
	return &window{make(chan struct{}, size), period}
}

// enter waits for a place, those first who came first. Call leave after the answer.
func (w *window) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case w.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *window) leave() { time.AfterFunc(w.period, func() { <-w.places }) }
