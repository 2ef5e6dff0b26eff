package main

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
)

// launch starts an instance and returns when it is ready. Unlike serve it never
// meets another instance at its address, which among hundreds of them happens,
// and its end is no orderly stop.
func launch(t *testing.T, env map[string]string) *process {
	t.Helper()
	address := ownAddress(t)
	env = maps.Clone(env)
	env["LISTEN"] = address
	p := &process{cmd: command(t, env, "serve"), url: "http://" + address, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = t.Output(), t.Output()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // a killed process is an expected end
		close(p.done)
	}()
	t.Cleanup(p.kill)
	until(t, "the process is ready", func() bool {
		if !p.alive() {
			t.Fatal("the process died before it was ready")
		}
		resp, err := http.Get(p.url + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return p
}

// kill ends a process as a crash does, and returns when it is dead.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// The ports of instances lie below those that systems hand out by themselves.
const (
	firstPort = 20_000
	portCount = 12_000
)

// nextPort starts elsewhere in every process, for two test runs at once.
var nextPort = portsFrom(os.Getpid() * 997)

func portsFrom(n int) *atomic.Int64 {
	var next atomic.Int64
	next.Store(int64(n))
	return &next
}

// ownAddress returns an address that nobody listens on and that neither another
// call here nor the system gives away.
func ownAddress(t *testing.T) string {
	t.Helper()
	for range portCount {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+nextPort.Add(1)%portCount)
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return address
	}
	t.Fatal("every port is taken")
	return ""
}
