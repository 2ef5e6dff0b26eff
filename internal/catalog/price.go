package catalog

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// USD is an amount in millionths of a US dollar, what providers' prices need.
type USD int64

// String returns dollars without trailing zeros: 22500 is "0.0225".
func (u USD) String() string {
	s := fmt.Sprintf("%d.%06d", u/1_000_000, u%1_000_000)
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}

// UnmarshalYAML reads a decimal number exactly, without floating point.
func (u *USD) UnmarshalYAML(raw []byte) error {
	text := strings.Trim(strings.TrimSpace(string(raw)), `"'`)
	r, ok := new(big.Rat).SetString(text)
	if !ok || r.Sign() < 0 {
		return fmt.Errorf("price %q: want dollars such as 0.0225", text)
	}
	micros := r.Mul(r, big.NewRat(1_000_000, 1))
	if !micros.IsInt() || !micros.Num().IsInt64() {
		return fmt.Errorf("price %q: want at most six decimals", text)
	}
	*u = USD(micros.Num().Int64())
	return nil
}

// Price is what the provider charges. The first tier whose conditions all hold
// counts; its price is for one unit.
type Price struct {
	Unit     string `yaml:"unit" json:"unit"`                   // image, second, video, request
	Quantity string `yaml:"quantity" json:"quantity,omitempty"` // the input that says how many units; one when empty
	Per      int64  `yaml:"per" json:"per,omitempty"`           // with a text as quantity: characters per unit, each started one counts
	Tiers    []Tier `yaml:"tiers" json:"tiers"`
	AsOf     string `yaml:"as_of" json:"as_of"` // the day on which the price was read
}

// Tier is a price under conditions on inputs.
type Tier struct {
	When Values `yaml:"when" json:"when,omitempty"`
	USD  USD    `yaml:"usd" json:"usd_micros"`
}

// ErrNoTier says that no price is known for these values; the model must not run.
var ErrNoTier = errors.New("no price is known for these options")

// Cost returns what the provider will charge for values that Complete returned.
func (m *Model) Cost(full Values) (USD, error) {
	for _, t := range m.Price.Tiers {
		if !t.holds(full) {
			continue
		}
		n, err := m.quantity(full)
		if err != nil {
			return 0, err
		}
		return t.USD * USD(n), nil
	}
	return 0, fmt.Errorf("%s: %w", m.ID, ErrNoTier)
}

func (t Tier) holds(full Values) bool {
	for name, want := range t.When {
		if full[name] != want {
			return false
		}
	}
	return true
}

func (m *Model) quantity(full Values) (int64, error) {
	if m.Price.Quantity == "" {
		return 1, nil
	}
	if m.Price.Per > 0 {
		n := int64(utf8.RuneCountInString(full[m.Price.Quantity]))
		return max((n+m.Price.Per-1)/m.Price.Per, 1), nil
	}
	n, err := strconv.ParseInt(full[m.Price.Quantity], 10, 32)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%s: %w: %s is %q", m.ID, ErrNoTier, m.Price.Quantity, full[m.Price.Quantity])
	}
	return n, nil
}

// Pricer turns the provider's cost into the price that people pay, in minor
// units of the operator's currency: cost x rate x mark-up, rounded up.
type Pricer struct {
	factor *big.Rat // minor units per millionth of a dollar
	share  *big.Rat // of the price that the cost may take at most
	cost   *big.Rat // minor units of cost per millionth of a dollar
}

// NewPricer reads decimal numbers: currency units per dollar, the mark-up, and
// the share of a price that its cost may reach.
func NewPricer(rate, markup, maxShare string) (*Pricer, error) {
	r, err := positive("USD_RATE", rate)
	if err != nil {
		return nil, err
	}
	k, err := positive("PRICE_MARKUP", markup)
	if err != nil {
		return nil, err
	}
	share, err := positive("MAX_COST_SHARE", maxShare)
	if err != nil {
		return nil, err
	}
	cost := new(big.Rat).Mul(r, big.NewRat(100, 1_000_000))
	return &Pricer{factor: new(big.Rat).Mul(cost, k), share: share, cost: cost}, nil
}

func positive(name, text string) (*big.Rat, error) {
	r, ok := new(big.Rat).SetString(strings.TrimSpace(text))
	if !ok || r.Sign() <= 0 {
		return nil, fmt.Errorf("%s is %q: want a number above zero such as 2.0", name, text)
	}
	return r, nil
}

// ErrUnprofitable says that a price would not cover its cost well enough.
var ErrUnprofitable = errors.New("the cost exceeds the allowed share of the price")

// Price returns the price of a cost, or ErrUnprofitable if its cost would take
// more than the allowed share of it.
func (p *Pricer) Price(cost USD) (int64, error) {
	if cost == 0 {
		return 0, nil
	}
	exact := new(big.Rat).Mul(p.factor, big.NewRat(int64(cost), 1))
	price := ceil(exact)
	if !price.IsInt64() {
		return 0, fmt.Errorf("price of %s USD: too large", cost)
	}
	paid := new(big.Rat).Mul(p.cost, big.NewRat(int64(cost), 1))
	limit := new(big.Rat).Mul(p.share, new(big.Rat).SetInt(price))
	if paid.Cmp(limit) > 0 {
		return 0, fmt.Errorf("price of %s USD: %w", cost, ErrUnprofitable)
	}
	return price.Int64(), nil
}

func ceil(r *big.Rat) *big.Int {
	n := new(big.Int).Add(r.Num(), new(big.Int).Sub(r.Denom(), big.NewInt(1)))
	return n.Div(n, r.Denom())
}

// Quote completes the values and returns them with cost and price.
func (m *Model) Quote(p *Pricer, values Values) (full Values, cost USD, price int64, err error) {
	if full, err = m.Complete(values); err != nil {
		return nil, 0, 0, err
	}
	if cost, err = m.Cost(full); err != nil {
		return nil, 0, 0, err
	}
	price, err = p.Price(cost)
	return full, cost, price, err
}

// FromPrice returns the lowest price of the model over its tiers at default
// options, for lists: "from 8.00".
func (m *Model) FromPrice(p *Pricer) (int64, error) {
	lowest := int64(-1)
	for _, t := range m.Price.Tiers {
		values := Values{}
		for _, in := range m.Inputs {
			values[in.Name] = in.Default
		}
		maps.Copy(values, t.When)
		n, err := m.quantity(values)
		if err != nil {
			return 0, err
		}
		price, err := p.Price(t.USD * USD(n))
		if err != nil {
			return 0, err
		}
		if lowest < 0 || price < lowest {
			lowest = price
		}
	}
	return lowest, nil
}
