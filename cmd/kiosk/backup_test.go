package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kiosk/internal/app/apptest"
	"kiosk/internal/pg/pgdev"
	"kiosk/internal/pg/pgtest"
)

// postgresProgram finds a program that comes with the server's.
func postgresProgram(t *testing.T, name string) string {
	t.Helper()
	dir, err := pgdev.FindBinaries()
	if err != nil {
		t.Skipf("no %s: %v", name, err)
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no %s beside the server's programs: %v", name, err)
	}
	return path
}

// A dump taken while the program works, restored into another database, is whole:
// its books are sound, and the program goes on from it.
func TestBackup_ARestoredDumpIsSoundAndGoesOn(t *testing.T) {
	t.Parallel()
	dump, restore := postgresProgram(t, "pg_dump"), postgresProgram(t, "pg_restore")
	w := apptest.New(t)
	b := newBalancer(t)
	env := w.Settings(b.URL)
	first := serve(t, env, "first")
	b.add(first)
	until(t, "the first instance is ACTIVE", first.active)
	p := w.Person("Ada", "en")
	p.Order("Pictures", "Z-Image", "a lighthouse")
	p.Wait("the picture", hasPhoto)
	p.Order("Pictures", "Z-Image", "a harbour") // may be anywhere on its way

	file := filepath.Join(t.TempDir(), "kiosk.dump")
	runProgram(t, dump, "--format=custom", "--no-owner", "--file="+file, w.Database)
	if err := first.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-first.done
	restored := pgtest.Empty(t)
	runProgram(t, restore, "--no-owner", "--exit-on-error", "--dbname="+restored, file)

	env = maps.Clone(env)
	env["DATABASE_URL"] = restored
	for _, command := range [][]string{{"migrate", "verify"}, {"ledger", "verify"}} {
		if stdout, stderr, code := kiosk(t, env, command...); code != 0 {
			t.Errorf("%s: %d %s %s", strings.Join(command, " "), code, stdout, stderr)
		}
	}
	second := serve(t, env, "second")
	b.add(second)
	until(t, "an instance is ACTIVE on the restored database", second.active)
	p.Say("/start")
	p.WaitText("What shall we make")
	files := p.Files()
	p.Order("Pictures", "Z-Image", "a wave")
	until(t, "the next picture comes", func() bool { return p.Files() > files })
	pool := pgtest.Pool(t, restored)
	until(t, "the order of before the dump is decided", func() bool {
		ageUnknown(t, pool) // its callback may have gone to the first database
		return second.health().Generations.Running == 0
	})
	second.settled(t)
	if stdout, stderr, code := kiosk(t, env, "ledger", "verify"); code != 0 {
		t.Errorf("ledger verify: %d %s %s", code, stdout, stderr)
	}
}

func runProgram(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(program), err, out)
	}
}
