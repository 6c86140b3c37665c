package invoice

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// PriceFile holds what requests cost. ParsePrices reads it.
type PriceFile struct {
	Version   string // chosen by the file's author
	SHA256    string // of the file, in hex
	Currency  string // as in ISO 4217
	Rounding  Rounding
	Decimals  int // of an amount
	Plans     []Plan
	Customers []Account
}

// Plan holds the price of one usage plan.
type Plan struct {
	ID, Name string // of the usage plan; a request has the price with its plan's id, else the one with its plan's name
	Free     bool   // requests are listed and cost nothing
	Fee      *big.Rat
	Included int64 // requests that the fee covers
	Per      int64 // Tier.Price is the price of this many requests: a power of ten, so that every amount is a decimal
	Volume   bool  // all requests have the price of the last one's tier; otherwise each has the price of its own tier
	Tiers    []Tier
	Count    Rules
}

// Tier holds the price of the requests up to a number, counted after the included ones.
type Tier struct {
	UpTo  int64 // 0 means no limit
	Price *big.Rat
}

// Account maps a customer to its accounts in billing systems. Lines without a key id are matched by the customer's name.
type Account struct {
	KeyID, Customer   string // exactly one is set
	Stripe, OpenMeter string // customer id and subject; "" if the customer has none
}

// Rules select the requests that count: those that match Statuses and Routes, if given, and none of the exceptions.
// Statuses have the form 404 or 4xx, routes may contain stars, and "-" matches a missing value.
type Rules struct {
	Statuses, ExceptStatuses []string
	Routes, ExceptRoutes     []string
}

// Charge represents one part of an amount.
type Charge struct {
	Requests int64
	Price    *big.Rat // for Per requests
	Per      int64
	Amount   *big.Rat // exact
}

// charges returns the charges for a number of counted requests apart from the fee, and how many of them are included.
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

// plan returns the price of a usage plan, or nil.
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

// account returns the accounts of a line's customer, or the zero Account.
func (f *PriceFile) account(keyID, customer string) Account {
	for _, a := range f.Customers {
		if a.KeyID != "" && a.KeyID == keyID || keyID == missing && a.Customer != "" && a.Customer == customer {
			return a
		}
	}
	return Account{}
}

// matcher holds compiled Rules.
type matcher struct{ statuses, exceptStatuses, routes, exceptRoutes *regexp.Regexp }

func (r Rules) matcher() matcher {
	return matcher{anyOf(r.Statuses, `[0-9]{2}`, "xx"), anyOf(r.ExceptStatuses, `[0-9]{2}`, "xx"), anyOf(r.Routes, `.*`, "*"), anyOf(r.ExceptRoutes, `.*`, "*")}
}

// anyOf returns an expression that matches any of the patterns, in which wild is replaced by the expression any. It returns
// nil if there are no patterns.
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

// counts reports whether a request counts. A status of 0 means that it is missing.
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
