package invoice

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// PriceFile is what requests cost, read by ParsePrices.
type PriceFile struct {
	Version   string // the name that its owner gave these prices
	SHA256    string // of the file, in hex
	Currency  string // as in ISO 4217
	Rounding  Rounding
	Decimals  int // of an amount
	Plans     []Plan
	Customers []Account
}

// Plan is the price of one usage plan.
type Plan struct {
	ID, Name string // of the usage plan; a request is of the plan with its id, else of the one with its name
	Free     bool   // requests are listed, and cost nothing
	Fee      *big.Rat
	Included int64 // requests that the fee covers
	Per      int64 // Tier.Price is for so many requests: a power of ten, so that every amount is a decimal
	Volume   bool  // all requests cost what the last one costs; otherwise each costs what its tier says
	Tiers    []Tier
	Count    Rules
}

// Tier is a price for the requests beyond the ones included, up to a number of them.
type Tier struct {
	UpTo  int64 // 0 is without end
	Price *big.Rat
}

// Account is where a customer is billed. Lines without a key id go by the name.
type Account struct {
	KeyID, Customer   string // one of them
	Stripe, OpenMeter string // customer id, subject; "" where the customer has none
}

// Rules say which requests count. Statuses are like 404 or 4xx, routes may have stars; "-" is one that is missing. A request
// counts that is among the first, or there are none, and is not among the exceptions.
type Rules struct {
	Statuses, ExceptStatuses []string
	Routes, ExceptRoutes     []string
}

// Charge is one part of an amount.
type Charge struct {
	Requests int64
	Price    *big.Rat // for Per requests
	Per      int64
	Amount   *big.Rat // exact
}

// charges is what a number of counted requests costs apart from the fee, and how many of them are included.
func (p *Plan) charges(counted int64) (charges []Charge, included int64) {
	included = min(counted, p.Included)
	left := counted - included
	add := func(requests int64, price *big.Rat) {
		amount := new(big.Rat).Mul(price, big.NewRat(requests, p.Per))
		charges = append(charges, Charge{requests, price, p.Per, amount})
	}
	var below int64
	for _, t := range p.Tiers {
		switch last := t.UpTo == 0 || left <= t.UpTo; {
		case left <= below:
			return charges, included
		case p.Volume && last:
			add(left, t.Price)
			return charges, included
		case p.Volume:
		case last:
			add(left-below, t.Price)
			return charges, included
		default:
			add(t.UpTo-below, t.Price)
		}
		below = t.UpTo
	}
	return charges, included
}

// plan is the price of a usage plan, or nil.
func (f *PriceFile) plan(id, name string) *Plan {
	for i := range f.Plans {
		if f.Plans[i].ID != "" && f.Plans[i].ID == id {
			return &f.Plans[i]
		}
	}
	for i := range f.Plans {
		if f.Plans[i].ID == "" && f.Plans[i].Name == name && name != missing {
			return &f.Plans[i]
		}
	}
	return nil
}

// account is where a line is billed, or the zero Account.
func (f *PriceFile) account(keyID, customer string) Account {
	for _, a := range f.Customers {
		if a.KeyID != "" && a.KeyID == keyID || keyID == missing && a.Customer != "" && a.Customer == customer {
			return a
		}
	}
	return Account{}
}

// matcher is Rules made ready.
type matcher struct{ statuses, exceptStatuses, routes, exceptRoutes *regexp.Regexp }

func (r Rules) matcher() matcher {
	return matcher{anyOf(r.Statuses, `[0-9]{2}`, "xx"), anyOf(r.ExceptStatuses, `[0-9]{2}`, "xx"), anyOf(r.Routes, `.*`, "*"), anyOf(r.ExceptRoutes, `.*`, "*")}
}

// anyOf matches any of the patterns, in which wild stands for what any says. It is nil when there are none.
func anyOf(patterns []string, any, wild string) *regexp.Regexp {
	if len(patterns) == 0 {
		return nil
	}
	all := make([]string, len(patterns))
	for i, p := range patterns {
		parts := strings.Split(p, wild)
		for j := range parts {
			parts[j] = regexp.QuoteMeta(parts[j])
		}
		all[i] = strings.Join(parts, any)
	}
	return regexp.MustCompile(`(?s)^(?:` + strings.Join(all, "|") + `)$`)
}

// counts says whether a request counts. A status of 0 is missing.
func (m matcher) counts(status int, route string) bool {
	text := missing
	if status != 0 {
		text = strconv.Itoa(status)
	}
	within := func(only, except *regexp.Regexp, s string) bool {
		return (only == nil || only.MatchString(s)) && (except == nil || !except.MatchString(s))
	}
	return within(m.statuses, m.exceptStatuses, text) && within(m.routes, m.exceptRoutes, route)
}
