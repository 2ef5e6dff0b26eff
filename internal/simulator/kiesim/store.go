package kiesim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// snapshot is what survives a restart. Uploads lie beside it as files.
type snapshot struct {
	Credits float64 `json:"credits"`
	Tasks   []Task  `json:"tasks"`
}

// keeper writes snapshots. Whoever waits while one is being written shares the next, so a burst costs two writes.
type keeper struct {
	path    string
	changes atomic.Uint64 // counts what is to be kept
	mu      sync.Mutex
	written uint64 // the count that the latest snapshot includes
}

// open prepares the place of uploads and reads the snapshot, if there is one.
func (s *Server) open() (err error) {
	dir := s.cfg.DataDir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "kiesim-"); err != nil {
			return err
		}
		s.scratch = dir
	}
	uploads := filepath.Join(dir, "uploads")
	if err := os.MkdirAll(uploads, 0o755); err != nil {
		return err
	}
	if s.cfg.DataDir != "" {
		s.keeper = &keeper{path: filepath.Join(dir, "state.json")}
		if err := s.load(); err != nil {
			return err
		}
	}
	s.uploads, err = os.OpenRoot(uploads)
	return err
}

func (s *Server) load() error {
	data, err := os.ReadFile(s.keeper.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var snap snapshot
	if err := json.Unmarshal(data, &snap); err != nil {
		return fmt.Errorf("read %s (remove it to start anew): %w", s.keeper.path, err)
	}
	s.credits = snap.Credits
	for i := range snap.Tasks {
		t := &snap.Tasks[i]
		s.tasks[t.ID] = t
		s.order = append(s.order, t.ID)
	}
	return nil
}

// save returns when every change made before it is on disk. A failure is logged and does not stop the simulation: what
// is at stake is a restart.
func (s *Server) save() {
	k := s.keeper
	if k == nil {
		return
	}
	mine := k.changes.Add(1)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.written >= mine {
		return
	}
	covered := k.changes.Load() // Before the snapshot is taken: it then includes at least these.
	if err := writeFile(k.path, s.snapshot()); err != nil {
		s.log.Error("state not saved", "path", k.path, "error", err)
		return
	}
	k.written = covered
}

func (s *Server) snapshot() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap := snapshot{Credits: s.credits, Tasks: make([]Task, 0, len(s.order))}
	for _, id := range s.order {
		snap.Tasks = append(snap.Tasks, *s.tasks[id])
	}
	return encode(snap)
}

// writeFile replaces a file so that a crash leaves either the old or the new content.
func writeFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // Fails after the rename, as it should.
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
