package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kiosk/internal/app/apptest"
)

// devRun is a running `kiosk dev`.
type devRun struct {
	t       *testing.T
	cmd     *exec.Cmd
	sim     string // address of the simulators
	envFile string
	done    chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
}

// reachable is a folder that the unprivileged PostgreSQL user can reach, too;
// t.TempDir is not, when the tests run as root.
func reachable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "kiosk-dev-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// startDev starts `kiosk dev` and returns when it has printed "ready".
func startDev(t *testing.T, args ...string) *devRun {
	t.Helper()
	d := &devRun{t: t, done: make(chan struct{})}
	d.cmd = command(t, nil, append([]string{"dev", "--listen", "127.0.0.1:0", "--sim-listen", "127.0.0.1:0"}, args...)...)
	stderr, err := d.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.stop(syscall.SIGKILL) })
	ready := make(chan []string, 1)
	go d.read(stderr, ready)
	select {
	case m := <-ready:
		d.sim, d.envFile = m[1], m[2]
	case <-d.done:
		t.Fatalf("kiosk dev ended before it was ready:\n%s", d.output())
	case <-time.After(apptest.Patience):
		t.Fatalf("kiosk dev did not get ready:\n%s", d.output())
	}
	return d
}

func (d *devRun) read(stderr io.Reader, ready chan<- []string) {
	line := regexp.MustCompile(`^ready .*chat (http://\S+)/ .* (/\S*dev\.env)$`)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		d.mu.Lock()
		d.out.WriteString(lines.Text() + "\n")
		d.mu.Unlock()
		if m := line.FindStringSubmatch(lines.Text()); m != nil {
			ready <- m
		}
	}
	_ = d.cmd.Wait() // the exit code is read by those who care
	close(d.done)
}

func (d *devRun) output() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.String()
}

func (d *devRun) stop(s os.Signal) {
	_ = d.cmd.Process.Signal(s) // it may have ended
	<-d.done
}

// post and get speak to the simulators' control API, as a developer's script would.
func (d *devRun) post(path, body string) {
	d.t.Helper()
	resp, err := http.Post(d.sim+path, "application/json", strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		text, _ := io.ReadAll(resp.Body)
		d.t.Fatalf("POST %s: %s %s", path, resp.Status, text)
	}
}

type simMessage struct {
	ID    int64 `json:"message_id"`
	From  struct{ IsBot bool }
	Text  string `json:"text"`
	Photo []any  `json:"photo"`
	Keys  struct {
		Rows [][]struct {
			Text string `json:"text"`
			Data string `json:"callback_data"`
		} `json:"inline_keyboard"`
	} `json:"reply_markup"`
}

func (d *devRun) messages() []simMessage {
	d.t.Helper()
	resp, err := http.Get(fmt.Sprintf("%s/sim/users/%d/messages", d.sim, devAdminID))
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	var list []simMessage
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		d.t.Fatal(err)
	}
	return list
}

func (d *devRun) say(text string) {
	d.t.Helper()
	d.post(fmt.Sprintf("/sim/users/%d/messages", devAdminID), fmt.Sprintf(`{"text":%q}`, text))
}

func (d *devRun) press(label string) {
	d.t.Helper()
	until(d.t, "there is a button "+label, func() bool {
		list := d.messages()
		for _, m := range slices.Backward(list) {
			for _, row := range m.Keys.Rows {
				for _, k := range row {
					if strings.Contains(k.Text, label) {
						d.post(fmt.Sprintf("/sim/users/%d/press", devAdminID), fmt.Sprintf(`{"message_id":%d,"data":%q}`, m.ID, k.Data))
						return true
					}
				}
			}
		}
		return false
	})
}

func (d *devRun) waitText(part string) {
	d.t.Helper()
	defer func() {
		if d.t.Failed() {
			d.t.Logf("the chat shows %+v\n%s", d.messages(), d.output())
		}
	}()
	until(d.t, "the chat says "+part, func() bool {
		for _, m := range d.messages() {
			if strings.Contains(strings.ReplaceAll(m.Text, "\u00a0", " "), part) {
				return true
			}
		}
		return false
	})
}

// The newcomer's first minute, then Ctrl-C, a second start with everything still
// there, a kill -9, and a third start.
func TestDev_FirstMinuteAndEverythingSurvives(t *testing.T) {
	t.Parallel()
	dir := reachable(t)
	d := startDev(t, "--data", dir)
	d.say("/start")
	d.press("Pictures")
	d.press("Z-Image")
	d.waitText("Describe what you want")
	d.say("a lighthouse")
	d.press("Generate")
	d.waitText("Ready, free of charge")
	d.stop(syscall.SIGINT)
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("Ctrl-C ended with %d:\n%s", code, d.output())
	}
	noServerOn(t, dir)

	again := startDev(t, "--data", dir)
	again.waitText("Ready, free of charge")
	again.say("/history")
	again.waitText("done")
	again.stop(syscall.SIGKILL)

	third := startDev(t, "--data", dir)
	third.say("/balance")
	third.waitText("4 free runs left")
	third.stop(syscall.SIGTERM)
	noServerOn(t, dir)
}

// noServerOn fails if a PostgreSQL on the folder goes on running.
func noServerOn(t *testing.T, dir string) {
	t.Helper()
	until(t, "no server runs on "+dir, func() bool {
		lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil || len(lines) == 0 {
			t.Skip("no /proc here")
		}
		for _, f := range lines {
			raw, err := os.ReadFile(f)
			if err == nil && bytes.Contains(raw, []byte(dir)) && bytes.Contains(raw, []byte("postgres")) && !bytes.Contains(raw, []byte("--data")) {
				return false
			}
		}
		return true
	})
}

func TestDev_EphemeralLeavesNothing(t *testing.T) {
	t.Parallel()
	d := startDev(t, "--ephemeral")
	folder := filepath.Dir(d.envFile)
	raw, err := os.ReadFile(d.envFile)
	if err != nil {
		t.Fatal(err)
	}
	socket := regexp.MustCompile(`kpg-[a-z0-9]+`).FindString(string(raw))
	if socket == "" {
		t.Fatalf("dev.env names no private server:\n%s", raw)
	}
	for _, name := range []string{"PORT=", "LISTEN=", "INSTANCE_NAME="} {
		if strings.Contains(string(raw), "\n"+name) {
			t.Errorf("dev.env holds %s: a second instance could not join", name)
		}
	}
	d.stop(syscall.SIGINT)
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", folder, err)
	}
	for _, base := range []string{"/dev/shm", os.TempDir()} {
		if _, err := os.Stat(filepath.Join(base, socket)); !os.IsNotExist(err) {
			t.Errorf("%s/%s is left: %v", base, socket, err)
		}
	}
}

// dev.env lets more instances join the same database and simulators.
func TestDev_AnotherInstanceJoins(t *testing.T) {
	t.Parallel()
	d := startDev(t, "--ephemeral")
	p := serve(t, map[string]string{"KIOSK_ENV_FILE": d.envFile}, "joined")
	if p.active() {
		t.Fatal("a second instance is ACTIVE beside the first")
	}
	d.say("/start")
	d.waitText("AI studio")
}

func TestDev_TwoOnOneFolderAreRefused(t *testing.T) {
	t.Parallel()
	dir := reachable(t)
	startDev(t, "--data", dir)
	_, stderr, code := kiosk(t, nil, "dev", "--listen", "127.0.0.1:0", "--sim-listen", "127.0.0.1:0", "--data", dir)
	if code != 1 || !strings.Contains(stderr, dir) {
		t.Fatalf("code %d: %s", code, stderr)
	}
}
