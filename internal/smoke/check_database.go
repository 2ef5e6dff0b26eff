package smoke

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/pg"
)

//go:embed sql/server.sql
var sqlServer string

//go:embed sql/rights.sql
var sqlRights string

// The checks that others wait for by name.
const (
	checkDatabase   = "database"
	checkLockURL    = "lock database"
	checkMigrations = "migrations"
	checkStatements = "statements"
	checkInstances  = "instances"
	checkInbox      = "inbox"
	checkAddress    = "address"
	checkToken      = "telegram token"
	checkWebhook    = "telegram webhook"
	checkSecret     = "telegram secret"
	checkKieKey     = "kie key"
	checkCredits    = "kie credits"
	checkModels     = "models"
	checkGeneration = "generation"
)

func databaseChecks() []check {
	return []check{
		{name: "settings", limit: time.Second, run: settings},
		{name: checkDatabase, settings: []string{"DATABASE_URL"}, limit: 4 * time.Second, run: database},
		{name: checkLockURL, settings: []string{"LOCK_DATABASE_URL"}, needs: []string{checkDatabase}, limit: 4 * time.Second, run: lockDatabase},
		{name: checkMigrations, settings: []string{"DATABASE_MIGRATE_URL"}, needs: []string{checkLockURL}, limit: 4 * time.Second, run: migrations},
		{name: "privileges", needs: []string{checkMigrations}, limit: 3 * time.Second, run: privileges},
		{name: checkStatements, needs: []string{checkMigrations}, limit: 6 * time.Second, run: statements},
		{name: "lock", settings: []string{"LOCK_DATABASE_URL"}, needs: []string{checkStatements}, limit: 7 * time.Second, run: lock},
	}
}

// settings reports every mistake at once.
func settings(_ context.Context, r *run) finding {
	if len(r.Problems) == 0 {
		return pass("all valid")
	}
	var list []string
	for _, p := range r.Problems {
		list = append(list, p.Name+": "+p.Text)
	}
	return fail(settingsInvalid, "%s", strings.Join(list, "\n"))
}

// run is what the checks of one run share. A field is set by the check that is
// named with it, before those that need it begin.
type run struct {
	Config
	mask    *strings.Replacer
	outcome map[string]*outcome

	pool    *pgxpool.Pool // database
	domain  string        // database
	hook    webhookInfo   // telegram webhook
	credits float64       // kie key
	prices  prices        // models
}

func (r *run) close() {
	if r.pool != nil {
		r.pool.Close()
	}
}

// minVersion is the oldest PostgreSQL that the program is tested with.
const minVersion = 150000

func database(ctx context.Context, r *run) finding {
	pool, err := openPool(ctx, r.Database)
	if err != nil {
		return whyNot(err)
	}
	r.pool = pool
	s, err := askServer(ctx, pool)
	switch {
	case err != nil:
		return whyNot(err)
	case s.number < minVersion:
		return fail(dbOld, "%s, want 15 or newer", s.version)
	case s.readOnly:
		return fail(dbReadOnly, "%s", s.name)
	}
	r.domain = s.domain
	return pass("PostgreSQL %s, database %s, role %s", s.version, s.name, s.role)
}

// openPool connects in the way that also works through a transaction pooler:
// nothing stays in a session that may be lent to others.
func openPool(ctx context.Context, address string) (*pgxpool.Pool, error) {
	return pg.Open(ctx, address, pg.Options{MaxConns: 4, Pooled: true})
}

// server is what a database says about itself.
type server struct {
	number   int
	version  string
	readOnly bool
	name     string
	role     string
	pid      uint32
	domain   string // equal for two connections to one database, whatever their addresses
}

func askServer(ctx context.Context, db pg.DB) (server, error) {
	var s server
	if err := db.QueryRow(ctx, sqlServer).Scan(&s.number, &s.version, &s.readOnly, &s.name, &s.role, &s.pid); err != nil {
		return s, fmt.Errorf("ask the server: %w", err)
	}
	var err error
	s.domain, err = pg.Identity(ctx, db)
	return s, err
}

// whyNot names the one reason for which a database cannot be used.
func whyNot(err error) finding {
	t, detail := reason(err)
	return fail(t, "%s", detail)
}

func reason(err error) (trouble, string) {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refusal(e.Code), serverSays(e)
	}
	if _, ok := errors.AsType[*pgconn.ParseConfigError](err); ok {
		return dbURL, "" // the library's words would quote parts of it
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dbHost, dns.Name
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, wrongHost := errors.AsType[x509.HostnameError](err)
	if untrusted || wrongHost || strings.Contains(err.Error(), "TLS") {
		return dbTLS, innermost(err)
	}
	return dbDown, innermost(err)
}

// refusal reads the SQLSTATE with which a server refuses a connection or a question.
func refusal(code string) trouble {
	switch code {
	case "28P01":
		return dbPassword
	case "28000", "42501":
		return dbRole
	case "3D000":
		return dbMissing
	case "53300":
		return dbFull
	case "57P03", "57P01", "57P02":
		return dbStarting
	}
	return dbFailed
}

// innermost returns the last cause, which says most in fewest words.
func innermost(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	for {
		if joined, ok := err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) > 0 {
			causes := joined.Unwrap()
			err = causes[len(causes)-1]
			continue
		}
		next := errors.Unwrap(err)
		if next == nil {
			break
		}
		err = next
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return serverSays(e)
	}
	return err.Error()
}

func serverSays(e *pgconn.PgError) string { return fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.Code) }

// connect makes a single connection and asks it who it is.
func connect(ctx context.Context, address string) (*pgx.Conn, server, error) {
	cfg, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, server{}, err
	}
	cfg.ConnectTimeout = 3 * time.Second
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, server{}, err
	}
	s, err := askServer(ctx, conn)
	if err != nil {
		hangUp(conn)
		return nil, s, err
	}
	return conn, s, nil
}

func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // a failed goodbye still closes the socket
}

// lockDatabase finds out what the lock's connection leads to. The server names its
// process when a connection begins; a pooler names something else.
func lockDatabase(ctx context.Context, r *run) finding {
	conn, s, err := connect(ctx, r.LockDatabase)
	if err != nil {
		t, detail := reason(err)
		return fail(lockURL, "%s", t.with(detail))
	}
	defer hangUp(conn)
	switch {
	case s.domain != r.domain:
		return fail(lockElse, "%s", s.name)
	case s.readOnly:
		return fail(lockURL, "%s", dbReadOnly.with(s.name))
	case conn.PgConn().PID() != s.pid:
		return warn(lockPooled, "the connection announced server process %d and %d answers", conn.PgConn().PID(), s.pid)
	}
	return pass("direct: the lock is held by a session of its own")
}

// privileges says who may do what. What a role lacks for a statement is the
// business of the check of statements.
func privileges(ctx context.Context, r *run) finding {
	var role, schema string
	var create, owner bool
	if err := r.pool.QueryRow(ctx, sqlRights).Scan(&role, &schema, &create, &owner); err != nil {
		return whyNot(err)
	}
	maker := role
	if r.MigrateDatabase != r.Database {
		conn, _, err := connect(ctx, r.MigrateDatabase)
		if err != nil {
			t, detail := reason(err)
			return fail(migrateURL, "%s", t.with(detail))
		}
		defer hangUp(conn)
		var owns bool
		if err := conn.QueryRow(ctx, sqlRights).Scan(&maker, &schema, &create, &owns); err != nil {
			return whyNot(err)
		}
	}
	switch {
	case !create:
		return fail(mayNotMake, "role %s, schema %s", maker, schema)
	case owner:
		return pass("privileges: advisory (role %s works and owns the tables; triggers and constraints still hold)", role)
	}
	return pass("role %s works, role %s owns the tables", role, maker)
}
