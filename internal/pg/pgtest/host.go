package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/pg/pgdev"
)

// host is a server that test databases are made on.
type host struct {
	admin    string        // URL of the database that commands are sent from
	own      *pgdev.Server // nil: somebody else's, by KIOSK_TEST_DATABASE_URL
	lease    *lease        // with somebody else's: tells other processes that we live
	prefix   string        // of our databases' names
	template string        // "": the server has none
	strategy string
	count    atomic.Int64
}

func (h *host) nextName() string {
	return h.prefix + strconv.FormatInt(h.count.Add(1), 10)
}

func (h *host) url(database string) string { return onDatabase(h.admin, database) }

func (h *host) create(ctx context.Context, name, template string) error {
	err := execute(ctx, h.admin, "CREATE DATABASE "+quote(name)+" TEMPLATE "+quote(template)+h.strategy)
	if err != nil {
		return fmt.Errorf("create a database for the test: %w", err)
	}
	return nil
}

func (h *host) drop(ctx context.Context, name string) error {
	if err := execute(ctx, h.admin, "DROP DATABASE IF EXISTS "+quote(name)+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop the database of the test: %w", err)
	}
	return nil
}

// keep leaves the database for a person, and returns how to get at it.
func (h *host) keep(ctx context.Context, name string) string {
	psql := "psql '" + withoutPassword(h.url(name)) + "'"
	if h.own == nil {
		if err := execute(ctx, h.admin, dateCommand(name)); err != nil {
			return fmt.Sprintf("the database of the failed test is at risk: %v: %s", err, psql)
		}
		return "the database of the failed test is kept for a day: " + psql
	}
	command, err := h.own.Keep()
	if err == nil {
		// Without Run the server ends at once and loses what it has not written.
		err = execute(ctx, h.admin, "CHECKPOINT")
	}
	if err != nil {
		return fmt.Sprintf("the database of the failed test is lost at the end of the process: %v", err)
	}
	return fmt.Sprintf("the database of the failed test is kept for a day. Start its server:\n\t%s\nand look into it:\n\t%s",
		command, psql)
}

func (h *host) stop() error {
	if h.own != nil {
		return h.own.Stop()
	}
	return h.lease.end()
}

// template is a database that test databases are copied from.
type template struct {
	name  string
	apply applyFunc
}

type applyFunc func(ctx context.Context, url string) error

func templateName(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "kiosk_template_" + hex.EncodeToString(sum[:8])
}

// make makes the template on the server of the URL. A finished one is marked as
// a template; one that was left half made is made anew.
func (t *template) make(ctx context.Context, admin string) error {
	if err := execute(ctx, admin,
		"DROP DATABASE IF EXISTS "+quote(t.name)+" WITH (FORCE)",
		"CREATE DATABASE "+quote(t.name)+" TEMPLATE template0"); err != nil {
		return fmt.Errorf("make the template: %w", err)
	}
	if err := t.apply(ctx, onDatabase(admin, t.name)); err != nil {
		return fmt.Errorf("apply the template: %w", err)
	}
	if err := execute(ctx, admin,
		"ALTER DATABASE "+quote(t.name)+" WITH is_template true allow_connections false"); err != nil {
		return fmt.Errorf("finish the template: %w", err)
	}
	return nil
}

// execute sends commands that take no data, one after another.
func execute(ctx context.Context, server string, commands ...string) (err error) {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	for _, command := range commands {
		if _, err := conn.Exec(ctx, command); err != nil {
			return err
		}
	}
	return nil
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// onDatabase returns the URL with another database.
func onDatabase(server, database string) string {
	u, err := url.Parse(server)
	if err != nil {
		panic("pgtest: URL was checked before: " + err.Error())
	}
	u.Path = "/" + database
	return u.String()
}

func withoutPassword(server string) string {
	u, err := url.Parse(server)
	if err != nil || u.User == nil {
		return server
	}
	u.User = url.User(u.User.Username())
	return u.String()
}
