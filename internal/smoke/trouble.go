package smoke

import (
	"fmt"
	"strings"
)

// trouble is one way in which a check fails: the constant part of its text, which
// names one cause.
type trouble string

// What can be wrong. Each text stands in the table below, and nowhere twice.
const (
	notEnded trouble = "the check did not end in time"

	settingsInvalid trouble = "the settings are not valid"

	dbURL      trouble = "DATABASE_URL is not readable"
	dbDown     trouble = "the database server does not answer"
	dbHost     trouble = "the database's host name cannot be resolved"
	dbTLS      trouble = "no encrypted connection to the database comes about"
	dbPassword trouble = "the database refuses the password"
	dbRole     trouble = "the database does not let this role in"
	dbMissing  trouble = "there is no such database on the server"
	dbFull     trouble = "the database has no connection left"
	dbStarting trouble = "the database is starting or stopping"
	dbOld      trouble = "PostgreSQL is too old"
	dbReadOnly trouble = "the database takes no writes"
	dbFailed   trouble = "the database answers with an error"

	lockURL     trouble = "LOCK_DATABASE_URL leads to no usable database"
	lockPooled  trouble = "a pooler stands between the lock and PostgreSQL"
	lockElse    trouble = "LOCK_DATABASE_URL leads to another database than DATABASE_URL"
	migrateURL  trouble = "DATABASE_MIGRATE_URL leads to no usable database"
	migrateElse trouble = "DATABASE_MIGRATE_URL leads to another database than DATABASE_URL"
	mayNotMake  trouble = "the role that migrates may not create tables"

	schemaEmpty   trouble = "the database has no schema yet"
	schemaPending trouble = "migrations are pending"
	schemaChanged trouble = "an applied migration was changed"
	schemaNewer   trouble = "the database is newer than this binary"
	schemaFailed  trouble = "the history of migrations is not readable"

	sqlMisfit trouble = "an SQL statement does not fit this database"
	sqlDenied trouble = "the role may not run an SQL statement"

	lockNotGranted  trouble = "the lock is not granted to anybody"
	lockNoHeartbeat trouble = "the lock's holder cannot renew its heartbeat"
	lockNoTakeover  trouble = "a silent holder of the lock is not replaced"
	lockNotFenced   trouble = "the fence lets a replaced holder commit"
	lockFenceFails  trouble = "the fence refuses a holder that it should let through"
	lockNotReleased trouble = "the lock is not released by a stop"
	lockRowsStay    trouble = "the scratch rows of the lock check cannot be removed"

	booksWrong    trouble = "the books contradict themselves"
	booksUnread   trouble = "the books cannot be audited"
	pricesInvalid trouble = "the settings of prices fit no model"
	modelInvalid  trouble = "a model is not valid"
	modelUnsold   trouble = "a model is not sold at these prices"

	inboxNotStored  trouble = "the inbox cannot store a message"
	inboxNotHandled trouble = "the ACTIVE instance does not handle the inbox"
	inboxFailed     trouble = "the ACTIVE instance fails on a message that needs nothing done"
	inboxAside      trouble = "updates were set aside after several attempts"
	inboxRowStays   trouble = "the scratch row of the inbox check cannot be removed"

	tgDown      trouble = "Telegram's server does not answer"
	tgToken     trouble = "Telegram refuses the bot token"
	tgFailed    trouble = "Telegram answers with an error"
	tgNoHook    trouble = "no webhook is registered with Telegram"
	tgOtherHook trouble = "Telegram delivers to another address than this deployment's"
	tgHooked    trouble = "a webhook is registered, so polling gets nothing"
	tgSecret    trouble = "the webhook refuses Telegram's secret" //nolint:gosec // a text about one
	tgErrors    trouble = "Telegram's deliveries fail"
	tgRecovered trouble = "a delivery of Telegram failed a short time ago"
	tgPending   trouble = "updates pile up at Telegram"
	tgKinds     trouble = "Telegram withholds kinds of updates that the bot needs"

	kieDown    trouble = "KIE's server does not answer"
	kieKey     trouble = "KIE refuses the API key"
	kieLimit   trouble = "KIE's limit of this API key is used up"
	kieRepair  trouble = "KIE is under maintenance"
	kieFailed  trouble = "KIE answers with an error"
	kieCredits trouble = "KIE's account has no credits for a single generation" //nolint:gosec // a text about them
	kieLow     trouble = "KIE's account is almost empty"

	clockLocal    trouble = "this machine's clock is off"
	clockDatabase trouble = "PostgreSQL's clock is off"
	clockOther    trouble = "the clock of an outside server is off"

	diskFull    trouble = "the disk is almost full"
	diskMissing trouble = "a folder of results cannot be used"

	nobodyActive  trouble = "no instance is ACTIVE"
	holderSilent  trouble = "the ACTIVE instance is silent"
	twoActive     trouble = "two instances call themselves ACTIVE"
	healthNotFine trouble = "an instance reports that it is not well"
	addressDead   trouble = "the public address does not answer from here"
	addressElse   trouble = "another program answers at the public address"

	liveTooDear trouble = "the cheapest generation costs more than --max-cost"
	liveRefused trouble = "the provider refused the generation"
	liveFailed  trouble = "the generation failed"
	liveLost    trouble = "the generation did not end in time"
)

// remark says where a trouble comes from and what to do.
type remark struct {
	of          trouble
	why, remedy string
}

// with returns the text and what was seen.
func (t trouble) with(detail string) string {
	if detail == "" {
		return string(t)
	}
	return string(t) + ": " + detail
}

func (t trouble) remedy() string {
	for _, r := range remarks() {
		if r.of == t {
			return r.remedy
		}
	}
	return ""
}

// Texts lists the constant part of every text of a failure.
func Texts() []string {
	var list []string
	for _, r := range remarks() {
		list = append(list, string(r.of))
	}
	return list
}

// Page renders the table of docs/troubleshooting.md.
func Page() string {
	var b strings.Builder
	b.WriteString("| smoke says | why | remedy |\n|---|---|---|\n")
	for _, r := range remarks() {
		fmt.Fprintf(&b, "| <a id=\"%s\"></a>%s | %s | %s |\n", anchor(string(r.of)), r.of, r.why, r.remedy)
	}
	return b.String()
}

// Anchor returns where the page explains a cause, "" for a cause of nobody's.
func Anchor(cause string) string {
	for _, text := range Texts() {
		if cause == text || strings.HasPrefix(cause, text+":") {
			return anchor(text)
		}
	}
	return ""
}

// anchor is how a browser finds the line of a text.
func anchor(text string) string {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return "smoke-" + strings.Join(words, "-")
}

func remarks() []remark {
	var list []remark
	for _, part := range [][]remark{databaseRemarks(), lockRemarks(), bookRemarks(), serviceRemarks(), instanceRemarks()} {
		list = append(list, part...)
	}
	return list
}
