// Package kiosk holds what belongs to the program as a whole and to no room:
// the list of its SQL. Each room owns its statements and embeds them by name;
// this list exists so that all of them can be prepared against a database, by a
// test and by `kiosk smoke`, without a room that could be forgotten.
package kiosk

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed singleton/sql/*.sql internal/*/sql/*.sql
var statements embed.FS

// script matches files of many statements that are applied and never prepared.
const script = "schema_[0-9].sql"

// Statement is one file with one SQL statement.
type Statement struct {
	File string // internal/inbox/sql/store.sql
	SQL  string
}

// Statements returns every SQL statement of the program, by file.
func Statements() ([]Statement, error) {
	var list []Statement
	err := fs.WalkDir(statements, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if isScript, _ := path.Match(script, path.Base(file)); isScript { // the pattern is valid
			return nil
		}
		raw, err := fs.ReadFile(statements, file)
		list = append(list, Statement{File: file, SQL: strings.TrimSpace(string(raw))})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the program's SQL: %w", err)
	}
	return list, nil
}
