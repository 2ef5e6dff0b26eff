package telegramsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// saveDelay gathers changes that come together into one write.
const saveDelay = 200 * time.Millisecond

// snapshot is the form of state on disk.
type snapshot struct {
	Version      int                     `json:"version"`
	Complete     bool                    `json:"complete"` // written by Close: nothing happened after it
	Chats        []chatSnapshot          `json:"chats"`
	Files        []*file                 `json:"files"`
	LastFile     int                     `json:"last_file"`
	Webhook      webhook                 `json:"webhook"`
	LastUpdateID int64                   `json:"last_update_id"`
	Pending      []updateSnapshot        `json:"pending"`
	Profile      profile                 `json:"profile"`
	Stars        []starTransaction       `json:"stars"`
	Links        map[string]invoiceOffer `json:"links"`
}

type chatSnapshot struct {
	User      User                   `json:"user"`
	Started   bool                   `json:"started"`
	Blocked   bool                   `json:"blocked"`
	Messages  []*Message             `json:"messages"`
	LastID    int64                  `json:"last_id"`
	Offers    map[int64]invoiceOffer `json:"offers"`
	Reactions map[int64][]reaction   `json:"reactions"`
	Presses   []Answer               `json:"presses"`
	ReadUpTo  int64                  `json:"read_up_to"`
	Menu      *menuButton            `json:"menu,omitempty"`
}

type updateSnapshot struct {
	Update
	MessageID int64 `json:"message_id"`
}

const snapshotVersion = 1

func (s *Server) snapshotPath() string { return filepath.Join(s.cfg.DataDir, "telegram.json") }

// saveLoop writes the state a little after it changed, until Close.
func (s *Server) saveLoop() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.dirty:
		}
		if !s.sleep(s.ctx, saveDelay) {
			return
		}
		if err := s.save(); err != nil {
			s.log.Error("simulator state not saved", "path", s.snapshotPath(), "error", err)
		}
	}
}

// save writes the state; without a DataDir it does nothing.
func (s *Server) save() error {
	if s.cfg.DataDir == "" {
		return nil
	}
	data, err := json.Marshal(s.takeSnapshot())
	if err != nil {
		return fmt.Errorf("telegram simulator: encode state: %w", err)
	}
	if err := writeAtomically(s.snapshotPath(), data); err != nil {
		return fmt.Errorf("telegram simulator: save state: %w", err)
	}
	return nil
}

// takeSnapshot copies what may change under the lock; messages and files are immutable and shared.
func (s *Server) takeSnapshot() snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := snapshot{
		Version: snapshotVersion, Complete: s.closed, LastFile: s.lastFile, Webhook: s.webhook, LastUpdateID: s.lastUpdateID,
		Stars: slices.Clone(s.stars), Links: maps.Clone(s.links), Profile: s.profile.clone(),
		Files: slices.Collect(maps.Values(s.files)),
	}
	for _, u := range s.pendingLocked() {
		out.Pending = append(out.Pending, updateSnapshot{u.Update, u.messageID})
	}
	for _, id := range s.order {
		out.Chats = append(out.Chats, s.chats[id].snapshot())
	}
	return out
}

func (c *chat) snapshot() chatSnapshot {
	out := chatSnapshot{
		User: c.user, Started: c.started, Blocked: c.blocked, Messages: slices.Clone(c.messages), LastID: c.lastID,
		Offers: maps.Clone(c.offers), Reactions: maps.Clone(c.reactions), ReadUpTo: c.readUpTo, Menu: c.menu,
	}
	for _, p := range c.presses {
		out.Presses = append(out.Presses, p.Answer)
	}
	return out
}

func (p profile) clone() profile {
	p.Names, p.Descriptions = maps.Clone(p.Names), maps.Clone(p.Descriptions)
	p.Shorts, p.Commands = maps.Clone(p.Shorts), maps.Clone(p.Commands)
	return p
}

// restore reads what an earlier Server left in DataDir. It runs before any goroutine does.
func (s *Server) restore() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	in, err := s.loadSnapshot()
	if err != nil {
		return err
	}
	if in == nil {
		s.pointWebhookLocked(s.webhook)
		return nil
	}
	if !in.Complete {
		in.skipIDs()
	}
	s.lastFile, s.lastUpdateID, s.stars = in.LastFile, in.LastUpdateID, in.Stars
	maps.Copy(s.links, in.Links)
	s.profile = in.Profile
	for _, f := range in.Files {
		s.files[f.ID], s.paths[f.Path] = f, f
	}
	for _, c := range in.Chats {
		restored := c.chat()
		s.chats[c.User.ID] = restored
		s.order = append(s.order, c.User.ID)
		for _, a := range c.Presses {
			s.rememberPressLocked(restored, a)
		}
	}
	for _, u := range in.Pending {
		s.updates = append(s.updates, &update{Update: u.Update, messageID: u.MessageID, pause: s.cfg.RetryBase / 2})
	}
	s.pointWebhookLocked(in.Webhook)
	return nil
}

// skipIDs leaves out the numbers that a process may have given away between this
// snapshot and its sudden end: an id that came twice would make a bot take
// something new for a repetition.
func (in *snapshot) skipIDs() {
	const unsaved = 1000
	in.LastUpdateID += unsaved
	in.LastFile += unsaved
	for i := range in.Chats {
		in.Chats[i].LastID += unsaved
	}
}

// loadSnapshot returns nil when there is none.
func (s *Server) loadSnapshot() (*snapshot, error) {
	if s.cfg.DataDir == "" {
		return nil, nil
	}
	s.blobs.dir = filepath.Join(s.cfg.DataDir, "files")
	if err := os.MkdirAll(s.blobs.dir, 0o700); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(s.snapshotPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	in := &snapshot{Profile: newProfile()}
	if err := json.Unmarshal(data, in); err != nil {
		return nil, fmt.Errorf("%s: %w; delete it to begin anew", s.snapshotPath(), err)
	}
	if in.Version != snapshotVersion {
		return nil, fmt.Errorf("%s has version %d, not %d; delete it to begin anew",
			s.snapshotPath(), in.Version, snapshotVersion)
	}
	return in, nil
}

func (in chatSnapshot) chat() *chat {
	c := newChat(in.User)
	c.started, c.blocked, c.messages, c.lastID = in.Started, in.Blocked, in.Messages, in.LastID
	c.readUpTo, c.menu = in.ReadUpTo, in.Menu
	maps.Copy(c.offers, in.Offers)
	maps.Copy(c.reactions, in.Reactions)
	return c
}
