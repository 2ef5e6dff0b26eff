package app

import (
	"context"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"kiosk/singleton"
)

// systemd is the manager that started the program with Type=notify. It is told by
// one datagram for each change; without it nothing is.
type systemd struct {
	socket   string
	watchdog time.Duration // it restarts the program after this long without a sign, 0 for never
}

func newSystemd(getenv Getenv) systemd {
	socket, _ := getenv("NOTIFY_SOCKET")
	text, _ := getenv("WATCHDOG_USEC")
	n, err := strconv.ParseInt(text, 10, 64)
	if pid, ok := getenv("WATCHDOG_PID"); err != nil || ok && pid != strconv.Itoa(os.Getpid()) {
		n = 0 // no watchdog, or another process's
	}
	return systemd{socket, time.Duration(n) * time.Microsecond}
}

func (a *App) tellSystemd(state string) {
	if a.systemd.socket == "" {
		return
	}
	conn, err := net.Dial("unixgram", a.systemd.socket) //nolint:noctx // a datagram socket has no handshake to wait for
	if err == nil {
		_, err = conn.Write([]byte(state))
		_ = conn.Close() // the datagram is with systemd, or err says why not
	}
	if err != nil {
		a.log.Warn("systemd not told", "state", state, "error", err.Error())
	}
}

// reportToSystemd says that the instance is ready, ACTIVE or PASSIVE, and from
// then on that it is alive, as long as its own /livez answers.
func (a *App) reportToSystemd(ctx context.Context) {
	if a.systemd.socket == "" || a.elector.WaitState(ctx, singleton.Active, singleton.Passive) != nil {
		return
	}
	a.tellSystemd("READY=1\nSTATUS=" + string(a.elector.Status().State))
	if a.systemd.watchdog <= 0 {
		return
	}
	period := a.systemd.watchdog / 4
	for signs := time.Tick(period); ; {
		select {
		case <-ctx.Done():
			return
		case <-signs:
			if a.alive(ctx, period) {
				a.tellSystemd("WATCHDOG=1\nSTATUS=" + string(a.elector.Status().State))
			}
		}
	}
}

// alive asks the instance from outside, as a platform's probe does.
func (a *App) alive(ctx context.Context, patience time.Duration) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.URL()+"/livez", nil)
	if err != nil {
		return false
	}
	resp, err := (&http.Client{Timeout: patience}).Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
