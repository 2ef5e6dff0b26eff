package singleton

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/bootstrap_lock.sql
var sqlBootstrapLock string

//go:embed sql/schema_version.sql
var sqlSchemaVersion string

//go:embed sql/schema_applied.sql
var sqlSchemaApplied string

//go:embed sql/schema_0.sql
var sqlSchema0 string

//go:embed sql/schema_1.sql
var sqlSchema1 string

//go:embed sql/schema_2.sql
var sqlSchema2 string

//go:embed sql/schema_3.sql
var sqlSchema3 string

// schema returns the scripts in order; the first is version 1.
func schema() []string { return []string{sqlSchema1, sqlSchema2, sqlSchema3} }

// SchemaHash identifies the tables and functions that Bootstrap makes, for those
// who keep prepared databases.
func SchemaHash() string {
	sum := sha256.Sum256([]byte(sqlSchema0 + strings.Join(schema(), "\n")))
	return hex.EncodeToString(sum[:8])
}

// bootstrapKey serialises Bootstrap. It differs from every lock's key, which
// are hashes, with all but certainty.
const bootstrapKey int64 = 0x73696e676c65746f // "singleto"

// Bootstrap makes the package's tables and functions in the connection's first
// schema, or brings those of an older version up to date. It is idempotent, safe
// when many processes call it at once, and takes no lock that a running holder
// would feel when there is nothing to do. Run it before anything else uses the
// lock; it needs no other migration. The schema only grows, so processes of an
// older version go on.
func Bootstrap(ctx context.Context, c *pgx.Conn) error {
	var version int
	if err := c.QueryRow(ctx, sqlSchemaVersion).Scan(&version); err == nil && version >= len(schema()) {
		return nil
	}
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlBootstrapLock, bootstrapKey); err != nil {
			return fmt.Errorf("wait for another bootstrap: %w", err)
		}
		if err := script(ctx, tx, sqlSchema0); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, sqlSchemaVersion).Scan(&version); err != nil {
			return fmt.Errorf("read the version of the lock's tables: %w", err)
		}
		return upgrade(ctx, tx, version)
	})
}

func upgrade(ctx context.Context, tx pgx.Tx, from int) error {
	for i, text := range schema() {
		version := i + 1
		if version <= from {
			continue
		}
		if err := script(ctx, tx, text); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sqlSchemaApplied, version); err != nil {
			return fmt.Errorf("note the version of the lock's tables: %w", err)
		}
	}
	return nil
}

// script runs many statements in one message: the simple protocol, without parameters.
func script(ctx context.Context, tx pgx.Tx, text string) error {
	if _, err := tx.Conn().PgConn().Exec(ctx, text).ReadAll(); err != nil {
		return fmt.Errorf("make the lock's tables: %w", err)
	}
	return nil
}
