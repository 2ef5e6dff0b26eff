package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// proxy is the network between one worker and the server. Bytes that a fault
// holds up arrive later, as TCP would repeat them, unless the connection ends.
type proxy struct {
	ln     net.Listener
	target string

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a fault begins or ends
	up      link          // from the worker to the server
	down    link
	links   map[*joint]bool
	joined  int
	held    []byte // chunks to the server that contain this are late
	late    time.Duration
	holding chan struct{} // told when one was met
	wg      sync.WaitGroup
	closed  bool
}

// link is one direction.
type link struct {
	cut     bool
	latency time.Duration
}

// joint is one connection through the proxy.
type joint struct {
	client, server *net.TCPConn
	number         int  // in the order of connecting
	severed        bool // neither side hears of the other again, and neither is told
}

func newProxy(target string) (*proxy, error) {
	ln, err := listen()
	if err != nil {
		return nil, err
	}
	p := &proxy{ln: ln, target: target, changed: make(chan struct{}), links: map[*joint]bool{}, holding: make(chan struct{}, 1)}
	p.wg.Go(p.accept)
	return p, nil
}

func (p *proxy) address() string { return p.ln.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		server, err := (&net.Dialer{Timeout: 5 * time.Second}).Dial("tcp", p.target)
		if err != nil {
			_ = client.Close() // nobody is told more
			continue
		}
		j := &joint{client: client.(*net.TCPConn), server: server.(*net.TCPConn)}
		p.mu.Lock()
		p.joined++
		j.number = p.joined
		p.links[j] = true
		p.mu.Unlock()
		p.wg.Go(func() { p.join(j) })
	}
}

func (p *proxy) join(j *joint) {
	var both sync.WaitGroup
	both.Go(func() { p.pump(j, j.client, j.server, &p.up) })
	both.Go(func() { p.pump(j, j.server, j.client, &p.down) })
	both.Wait()
	p.mu.Lock()
	delete(p.links, j)
	p.mu.Unlock()
	_ = j.client.Close() // it may be closed already
	_ = j.server.Close() // it may be closed already
}

// chunk is what was read at once; nil bytes are the end of the stream.
type chunk struct {
	bytes []byte
	at    time.Time
}

// pump carries one direction. Reading goes on while a fault holds up writing.
func (p *proxy) pump(j *joint, src, dst *net.TCPConn, l *link) {
	queue := make(chan chunk, 4096)
	go func() {
		for {
			b := make([]byte, 32<<10)
			n, err := src.Read(b)
			if n > 0 {
				queue <- chunk{b[:n], time.Now()}
			}
			if err != nil {
				queue <- chunk{nil, time.Now()}
				return
			}
		}
	}()
	for c := range queue {
		if !p.deliver(j, c, dst, l) {
			break
		}
	}
	_ = dst.CloseWrite() // the peer may be gone
}

func (p *proxy) deliver(j *joint, c chunk, dst *net.TCPConn, l *link) bool {
	p.mu.Lock()
	held := l == &p.up && len(p.held) > 0 && bytes.Contains(c.bytes, p.held)
	late := p.late
	p.mu.Unlock()
	if held {
		select {
		case p.holding <- struct{}{}:
		default:
		}
		time.Sleep(late)
	}
	if !p.admit(j, c.at, l) {
		return false
	}
	if c.bytes == nil {
		return false
	}
	_, err := dst.Write(c.bytes)
	return err == nil
}

// admit waits for the chunk's turn, and returns false when the proxy was closed.
func (p *proxy) admit(j *joint, at time.Time, l *link) bool {
	for {
		p.mu.Lock()
		cut, wait, changed, closed := l.cut || j.severed, time.Until(at.Add(l.latency)), p.changed, p.closed
		p.mu.Unlock()
		switch {
		case closed:
			return false
		case cut:
			<-changed
		case wait > 0:
			select {
			case <-changed:
			case <-time.After(wait):
			}
		default:
			return true
		}
	}
}

// change sets the state of both directions.
func (p *proxy) change(up, down link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up, p.down = up, down
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *proxy) heal() { p.change(link{}, link{}) }

// delay holds up what contains the text on its way to the server.
func (p *proxy) delay(text string, by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held, p.late = []byte(text), by
}

// meets waits until something that contains the text is on its way to the server.
func (p *proxy) meets(ctx context.Context, text string) error {
	for len(p.holding) > 0 {
		<-p.holding
	}
	p.delay(text, 0)
	return p.met(ctx)
}

// met waits until something was held up.
func (p *proxy) met(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-p.holding:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waited for %q on its way to the server: %w", p.held, ctx.Err())
	}
}

// reset breaks all connections at once on both sides.
func (p *proxy) reset() {
	p.each(func(j *joint) {
		_ = j.client.SetLinger(0) // a reset and no orderly end
		_ = j.server.SetLinger(0) // the same
		_ = j.client.Close()      // it may be closed already
		_ = j.server.Close()      // it may be closed already
	})
}

// sever swallows what the oldest connection carries, as a firewall does that
// forgot it: the one that holds the lock. The others are not concerned.
func (p *proxy) sever() {
	var oldest *joint
	p.each(func(j *joint) {
		if oldest == nil || j.number < oldest.number {
			oldest = j
		}
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	oldest.severed = true
}

// halfClose ends the connections on the server's side only: the worker hears
// nothing while the way down is cut.
func (p *proxy) halfClose() {
	p.each(func(j *joint) { _ = j.server.Close() }) // it may be closed already
}

func (p *proxy) each(do func(*joint)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for j := range p.links {
		do(j)
	}
}

func (p *proxy) close() {
	p.ln.Close()
	p.mu.Lock()
	p.closed = true
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
	p.reset()
	p.wg.Wait()
}
