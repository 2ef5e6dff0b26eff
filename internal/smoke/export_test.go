package smoke

// Mute and its parts are tested apart: it opens a port.
type Mute = mute

// NewMute starts a mute before the database of address.
var NewMute = newMute

func (m *mute) URL() string { return m.url() }
func (m *mute) Silence()    { m.silence() }
func (m *mute) Thaw()       { m.thaw() }
func (m *mute) Close()      { m.close() }
