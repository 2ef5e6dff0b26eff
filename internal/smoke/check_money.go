package smoke

import (
	"context"
	"errors"
	"strings"
	"time"

	"kiosk/internal/catalog"
	"kiosk/internal/ledger"
)

func moneyChecks() []check {
	return []check{
		{name: "ledger", needs: []string{checkStatements}, limit: 5 * time.Second, run: books},
		{name: checkModels, settings: []string{"USD_RATE", "PRICE_MARKUP", "MAX_COST_SHARE"}, limit: 3 * time.Second, run: models},
	}
}

func books(ctx context.Context, r *run) finding {
	defects, err := ledger.Audit(ctx, r.pool)
	if err != nil {
		return fail(booksUnread, "%s", innermost(err))
	}
	if len(defects) > 0 {
		d := defects[0]
		return fail(booksWrong, "%d found; the first: %s, %s (%s)", len(defects), d.Subject, d.Defect, d.Detail)
	}
	return pass("every balance is the sum of its transfers")
}

// prices is what the models cost.
type prices struct {
	cheapest *catalog.Model // that needs no file, nil for none
	cost     catalog.USD    // of its example
	input    map[string]any // of its example
}

// models reads every model, orders its example and builds the request.
func models(_ context.Context, r *run) finding {
	all, err := r.loadModels()
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return fail(modelInvalid, "%s", first)
	}
	pricer, err := catalog.NewPricer(r.Rate, r.Markup, r.MaxShare)
	if err != nil {
		return fail(pricesInvalid, "%s", err)
	}
	list, unsold := all.List(""), []string(nil)
	for _, m := range list {
		err := r.order(pricer, m)
		if errors.Is(err, catalog.ErrUnprofitable) {
			unsold = append(unsold, m.ID)
			continue
		}
		if err != nil {
			return fail(modelInvalid, "%s: %s", m.ID, err)
		}
	}
	switch {
	case len(unsold) == len(list):
		return fail(pricesInvalid, "none of %d is sold", len(list))
	case len(unsold) > 0:
		return warn(modelUnsold, "%s", strings.Join(unsold, ", "))
	}
	return pass("%d models parse, have a price, and build their example", len(list))
}

func (r *run) loadModels() (*catalog.Catalog, error) {
	if r.Models == nil {
		return catalog.Embedded()
	}
	return catalog.Load(r.Models)
}

// order quotes the example of a model and builds its request, and remembers the
// cheapest one that runs from words alone.
func (r *run) order(p *catalog.Pricer, m *catalog.Model) error {
	full, cost, _, err := m.Quote(p, m.ExampleValues())
	if err != nil {
		return err
	}
	input, err := m.Request(full)
	if err != nil {
		return err
	}
	needsFile := false
	for _, in := range m.Inputs {
		needsFile = needsFile || in.Type.IsFile() && full[in.Name] != ""
	}
	if !needsFile && (r.prices.cheapest == nil || cost < r.prices.cost) {
		r.prices = prices{m, cost, input}
	}
	return nil
}
