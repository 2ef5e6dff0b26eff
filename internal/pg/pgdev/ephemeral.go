package pgdev

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	folderPrefix = "kpg-"
	lockSuffix   = ".lock"
	dataName     = "pgdata"
	runName      = "run"
	logName      = "server.log"
	keptName     = "kept"

	fastFolderSpace = 1 << 30
)

// A small WAL segment makes the folder, which is copied for every server,
// smaller by 11 MB.
var ephemeralInitdb = []string{"--no-sync", "--wal-segsize=1"}

const ephemeralConf = `
# kiosk: a server whose data may be lost at any time
listen_addresses = ''
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
wal_level = minimal
max_wal_senders = 0
shared_buffers = 32MB
max_connections = 300
checkpoint_timeout = 1h
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
`

func startEphemeral(ctx context.Context, o Options, a account) (_ *Server, err error) {
	bin, err := provideBinaries(ctx, o, a, 0)
	if err != nil {
		return nil, err
	}
	c, err := openCache()
	if err != nil {
		return nil, err
	}
	s := &Server{ephemeral: true, bin: bin, account: a}
	if err := s.makeEphemeralFolder(ctx); err != nil {
		return nil, err
	}
	started := false
	defer func() { // deferred, because a seed may end this goroutine
		if !started {
			err = errors.Join(err, s.discard())
		}
	}()
	if err := s.fillFolder(ctx, c, o.Seed); err != nil {
		return nil, err
	}
	if err := s.boot(ctx); err != nil {
		return nil, err
	}
	started = true
	o.Log.Debug("private postgres runs", "dir", s.dir, "version", bin.version)
	return s, nil
}

// makeEphemeralFolder makes the folder and holds the lock beside it, which
// tells a sweep that the folder is in use. The lock comes first and goes last,
// so there is no folder without one.
func (s *Server) makeEphemeralFolder(ctx context.Context) error {
	base, err := s.account.ephemeralBase()
	if err != nil {
		return err
	}
	s.dir = filepath.Join(base, folderPrefix+strings.ToLower(rand.Text()[:10]))
	// A sweep may take the new file for a leftover before we have locked it.
	s.lock, err = waitLock(ctx, s.dir+lockSuffix, unix.LOCK_EX)
	if err != nil {
		return err
	}
	if err := s.makeSubfolders(); err != nil {
		return errors.Join(err, s.discard())
	}
	return nil
}

// discard ends whatever runs and removes everything.
func (s *Server) discard() error {
	var err error
	if s.process != nil {
		err = s.process.end(step{syscall.SIGQUIT, quitLimit}, step{syscall.SIGKILL, quitLimit})
	}
	err = errors.Join(err, removeFolder(s.dir), os.Remove(s.lock.path()))
	s.lock.release()
	return err
}

func (s *Server) makeSubfolders() error {
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(s.dir, s.account.parentMode()); err != nil {
		return err
	}
	s.data = filepath.Join(s.dir, dataName)
	if err := os.Mkdir(s.data, 0o700); err != nil {
		return err
	}
	var err error
	s.run, err = s.account.makeRunFolder(s.dir)
	return err
}

// ephemeralBase returns the folder that server folders are made in: in memory
// if there is room.
func (a account) ephemeralBase() (string, error) {
	var stat unix.Statfs_t
	if fastFolder != "" && unix.Access(fastFolder, unix.W_OK|unix.X_OK) == nil &&
		unix.Statfs(fastFolder, &stat) == nil && uint64(stat.Bavail)*uint64(stat.Bsize) >= fastFolderSpace {
		return fastFolder, nil
	}
	base, err := filepath.EvalSymlinks(os.TempDir())
	if err != nil {
		return "", fmt.Errorf("find a folder for temporary files: %w", err)
	}
	if err := a.reach(base); err != nil {
		return "", fmt.Errorf("%w; set TMPDIR to a folder that everybody can enter, such as /tmp", err)
	}
	return base, nil
}

// fillFolder puts an initialized data folder, with the seed if there is one,
// into the server's folder.
func (s *Server) fillFolder(ctx context.Context, c cache, seed *Seed) error {
	base := dataPrefix + s.baseKey()
	bare := func() error {
		return c.fill(ctx, base, s.data, s.account, func() error { return s.initEphemeral(ctx) })
	}
	if seed == nil {
		return bare()
	}
	key := base + "-" + digest(seed.Key)
	return c.fill(ctx, key, s.data, s.account, func() error {
		if err := bare(); err != nil {
			return err
		}
		return s.plant(ctx, seed)
	})
}

// baseKey changes with everything that an initialized data folder depends on.
func (s *Server) baseKey() string {
	all := append([]string{s.bin.version, s.bin.dir, ephemeralConf}, initdbArguments("", ephemeralInitdb...)...)
	return fmt.Sprintf("%d-%s", s.bin.major, digest(strings.Join(all, "\x00")))
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

func (s *Server) initEphemeral(ctx context.Context) error {
	if s.account.dropped {
		if err := os.Lchown(s.data, int(s.account.uid), int(s.account.gid)); err != nil {
			return err
		}
	}
	if err := s.initdb(ctx, s.data, ephemeralInitdb...); err != nil {
		return err
	}
	conf, err := os.OpenFile(filepath.Join(s.data, "postgresql.conf"), os.O_WRONLY|os.O_APPEND|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("configure the server: %w", err)
	}
	defer conf.Close()
	if _, err := conf.WriteString(ephemeralConf); err != nil {
		return fmt.Errorf("configure the server: %w", err)
	}
	return conf.Close()
}

// plant lets the seed fill the server and shuts it down in order, so that its
// data folder can be copied.
func (s *Server) plant(ctx context.Context, seed *Seed) error {
	if err := s.boot(ctx); err != nil {
		return err
	}
	if err := seed.Fill(ctx, s.URL("postgres")); err != nil {
		return errors.Join(fmt.Errorf("make the content of the seed: %w", err), s.halt())
	}
	return s.shutDown()
}

// initdb initializes data, an empty folder of the account.
func (s *Server) initdb(ctx context.Context, data string, extra ...string) error {
	cmd := s.account.command(syscall.SIGTERM, filepath.Join(s.bin.dir, "initdb"), initdbArguments(data, extra...)...)
	return runToEnd(ctx, cmd)
}

func initdbArguments(data string, extra ...string) []string {
	return append([]string{"-D", data, "-U", superuser, "-A", "trust", "--no-locale", "-E", "UTF8"}, extra...)
}
