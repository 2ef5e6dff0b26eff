package main

import (
	"errors"
	"net"
	"testing"
	"time"
)

// pair is a client that talks through a proxy to a server of the test.
func pair(t *testing.T) (p *proxy, client, server net.Conn) {
	t.Helper()
	ln, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if p, err = newProxy(ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	client, err = net.Dial("tcp", p.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	send(t, client, "hello")
	if got, _ := receive(server, 5*time.Second); got != "hello" {
		t.Fatalf("received %q", got)
	}
	return p, client, server
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func receive(c net.Conn, limit time.Duration) (string, error) {
	b := make([]byte, 100)
	_ = c.SetReadDeadline(time.Now().Add(limit)) // a closed one says so when it is read
	n, err := c.Read(b)
	return string(b[:n]), err
}

func TestProxy_WhatACutHeldUpArrivesWhenItHeals(t *testing.T) {
	t.Parallel()
	p, client, server := pair(t)
	p.change(link{cut: true}, link{})
	send(t, client, "late")
	if got, err := receive(server, 200*ms); err == nil {
		t.Fatalf("%q came through a cut", got)
	}
	send(t, server, "answer")
	if got, _ := receive(client, 5*time.Second); got != "answer" {
		t.Fatalf("the other way: %q", got)
	}
	p.heal()
	if got, _ := receive(server, 5*time.Second); got != "late" {
		t.Fatalf("after the cut: %q", got)
	}
}

func TestProxy_LatencyDelaysOneWay(t *testing.T) {
	t.Parallel()
	p, client, server := pair(t)
	p.change(link{}, link{latency: 300 * ms})
	began := time.Now()
	send(t, server, "slow")
	if got, _ := receive(client, 5*time.Second); got != "slow" || time.Since(began) < 300*ms {
		t.Fatalf("%q after %s", got, time.Since(began))
	}
}

func TestProxy_HalfCloseIsHeardByTheServerAlone(t *testing.T) {
	t.Parallel()
	p, client, server := pair(t)
	p.change(link{}, link{cut: true})
	p.halfClose()
	if _, err := receive(server, 5*time.Second); err == nil || isTimeout(err) {
		t.Fatalf("the server's side was not closed: %v", err)
	}
	if _, err := receive(client, 200*ms); !isTimeout(err) {
		t.Fatalf("the client heard of it: %v", err)
	}
}

func TestProxy_SeveredConnectionsAreSilentAndNewOnesWork(t *testing.T) {
	t.Parallel()
	p, client, server := pair(t)
	p.sever()
	send(t, client, "lost")
	if _, err := receive(server, 200*ms); !isTimeout(err) {
		t.Fatalf("a severed connection: %v", err)
	}
	p.heal()
	if _, err := receive(server, 200*ms); !isTimeout(err) {
		t.Fatalf("a severed connection healed: %v", err)
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
