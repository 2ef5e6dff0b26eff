package pgtest_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/pg/pgtest"
)

// sharedServer stands for the server of somebody else: what children make on it
// has the number of its database in the name.
type sharedServer struct {
	t       *testing.T
	url     string
	setting string // of the children
	oid     int
}

const secret = "correct-horse"

func newSharedServer(t *testing.T) *sharedServer {
	t.Helper()
	needPrivateServer(t)
	s := &sharedServer{t: t, url: pgtest.Empty(t)}
	u, err := url.Parse(s.url)
	must(t, err)
	u.User = url.UserPassword(u.User.Username(), secret)
	s.setting = "KIOSK_TEST_DATABASE_URL=" + u.String()
	s.oid = queryInt(t, s.url, "SELECT oid::int FROM pg_database WHERE datname = current_database()")
	return s
}

func (s *sharedServer) execute(commands ...string) {
	s.t.Helper()
	must(s.t, execute(s.t.Context(), s.url, commands...))
}

// list returns the names of the databases that match, with oid for ours.
func (s *sharedServer) list(pattern string) []string {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.url)
	must(s.t, err)
	defer conn.Close(s.t.Context())
	rows, err := conn.Query(s.t.Context(), "SELECT datname FROM pg_database WHERE datname LIKE $1",
		strings.ReplaceAll(pattern, "oid", fmt.Sprint(s.oid)))
	must(s.t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(s.t, err)
	return names
}

func (s *sharedServer) has(name string) bool { return len(s.list(name)) > 0 }

const (
	testDatabases = "kiosk_test_oid_%"
	templates     = "kiosk_template_%_oid"
)

func TestSharedServer_PassedTestsLeaveOneTemplate(t *testing.T) {
	t.Parallel()
	s := newSharedServer(t)
	for range 2 {
		child(t, childWithRun, "passes", s.setting)
	}
	if names := s.list(testDatabases); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
	if names := s.list(templates); len(names) != 1 {
		t.Errorf("templates: %v", names)
	}
}

func TestSharedServer_ChildrenAtTheSameTimeMakeOneTemplate(t *testing.T) {
	t.Parallel()
	s := newSharedServer(t)
	t.Run("children", func(t *testing.T) {
		for range 3 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				child(t, childWithRun, "passes", s.setting)
			})
		}
	})
	if names := s.list(templates); len(names) != 1 {
		t.Errorf("templates: %v", names)
	}
}

func TestSharedServer_FailedTestIsKeptForADay(t *testing.T) {
	t.Parallel()
	s := newSharedServer(t)
	out := child(t, childWithRun, "fails", s.setting)
	if strings.Contains(out, secret) {
		t.Errorf("the log shows the password:\n%s", out)
	}
	child(t, childWithRun, "passes", s.setting)
	kept := s.list(testDatabases)
	if len(kept) != 1 || !strings.Contains(out, kept[0]) {
		t.Fatalf("kept: %v; the log says:\n%s", kept, out)
	}
	s.execute(dated(kept[0], 25*time.Hour))
	child(t, childWithRun, "passes", s.setting)
	if names := s.list(testDatabases); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
}

func TestSharedServer_OnlyLeftoversOfTheDeadAreDropped(t *testing.T) {
	t.Parallel()
	s := newSharedServer(t)
	holder, err := pgx.Connect(t.Context(), s.url)
	must(t, err)
	defer holder.Close(t.Context())
	_, err = holder.Exec(t.Context(), "SELECT pg_advisory_lock($1::int, 2)", 0x6b696f73)
	must(t, err)

	name := func(format string) string { return fmt.Sprintf(format, s.oid) }
	dead, alive := name("kiosk_test_%d_100_1_1"), name("kiosk_test_%d_100_2_1")
	foreign, person := name("kiosk_test_1%d_100_1_1"), name("kiosk_test_%d_mine")
	old, fresh := name("kiosk_template_aa_%d"), name("kiosk_template_bb_%d")
	for _, n := range []string{dead, alive, foreign, person, old, fresh} {
		s.execute("CREATE DATABASE " + n)
	}
	s.execute(dated(old, 8*24*time.Hour), dated(fresh, 0),
		"ALTER DATABASE "+old+" WITH is_template true allow_connections false")

	child(t, childWithRun, "passes", s.setting)
	for n, want := range map[string]bool{
		dead: false, alive: true, foreign: true, person: true, old: false, fresh: true,
	} {
		if s.has(n) != want {
			t.Errorf("%s: exists is %t, want %t", n, !want, want)
		}
	}
}

func TestSharedServer_HalfMadeTemplateIsMadeAnew(t *testing.T) {
	t.Parallel()
	s := newSharedServer(t)
	child(t, childWithRun, "passes", s.setting)
	made := s.list(templates)
	if len(made) != 1 {
		t.Fatalf("templates: %v", made)
	}
	s.execute("ALTER DATABASE "+made[0]+" WITH is_template false",
		"DROP DATABASE "+made[0],
		"CREATE DATABASE "+made[0], // without its table
		dated(made[0], 0))
	child(t, childWithRun, "passes", s.setting)
}

func dated(name string, age time.Duration) string {
	return fmt.Sprintf("COMMENT ON DATABASE %s IS '%s'", name, time.Now().Add(-age).UTC().Format(time.RFC3339))
}
