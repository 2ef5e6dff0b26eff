package main

import (
	"context"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"kiosk/internal/app/apptest"
	"kiosk/internal/pg/pgtest"
)

// build links the program as of a commit time.
func build(t *testing.T, built string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kiosk")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-X kiosk/internal/app.built="+built, "-o", path, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// serveBinary starts an instance of a program that was linked before.
func serveBinary(t *testing.T, path string, env map[string]string, name string) *process {
	t.Helper()
	env = maps.Clone(env)
	env["LISTEN"], env["INSTANCE_NAME"] = freeAddress(t), name
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), path, "serve")
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH"), "HOME="+os.Getenv("HOME"))
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	p := &process{cmd: cmd, url: "http://" + env["LISTEN"], done: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // its end is looked at where it matters
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-p.done
	})
	until(t, name+" is ready", func() bool {
		resp, err := http.Get(p.url + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return p
}

// Platforms keep the old version alive beside the new one. The new one takes the
// lock as soon as it is ready, the old one never takes it back, and the setting
// turns that off.
func TestServe_TheNewerVersionBecomesActive(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("links the program twice")
	}
	older, newer := build(t, "2026-01-01T00:00:00Z"), build(t, "2026-02-01T00:00:00Z")
	w := apptest.New(t)
	b := newBalancer(t)
	env := w.Settings(b.URL)

	old := serveBinary(t, older, env, "old")
	until(t, "the old version is ACTIVE", old.active)
	off := maps.Clone(env)
	off["LOCK_NEWER_VERSION_FIRST"] = "false"
	patient := serveBinary(t, newer, off, "patient")
	fresh := serveBinary(t, newer, env, "new")
	until(t, "the new version is ACTIVE", fresh.active)
	again := serveBinary(t, older, env, "old-2")
	until(t, "a second old one waits", func() bool { return again.health().Lock.Holder == "new" })
	if patient.active() || old.active() || again.active() {
		t.Error("two are ACTIVE")
	}
	var kinds string
	err := pgtest.Pool(t, w.Database).QueryRow(t.Context(), `SELECT string_agg(kind, ',' ORDER BY id) FROM singleton_event`).Scan(&kinds)
	if err != nil || kinds != "acquired,asked,released,acquired" {
		t.Errorf("history %s, %v", kinds, err)
	}
}
