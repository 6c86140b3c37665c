package invoice

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"
)

// maxPriceFile is the largest price file that is read. Ten thousand customers take about one MiB.
const maxPriceFile = 16 << 20

// LoadPrices reads the price file at path.
func LoadPrices(path string) (*PriceFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read prices: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPriceFile+1))
	if err != nil {
		return nil, fmt.Errorf("read prices %s: %w", path, err)
	}
	return ParsePrices(path, data)
}

// ParsePrices reads the content of a price file called name. The error has a line for each mistake, with where it stands and
// what was expected. A price file with everything in it:
//
//	version: "2026-11"                    # the name of these prices
//	currency: EUR
//	rounding: half-up                     # or half-even; once for each line
//	decimals: 2                           # of an amount; by default those of the currency
//	count: {except_statuses: [429, 5xx]}  # also statuses, routes, except_routes; by default every request counts
//	plans:
//	  - id: abc123                        # of the usage plan, or its name
//	    fee: "49.00"                      # for each key with a request in the month
//	    included: 10000
//	    per: 1000                         # prices are for so many requests
//	    mode: graduated                   # or volume: all requests cost what the last one costs
//	    tiers: [{up_to: 100000, price: "0.40"}, {price: "0.25"}]
//	  - {name: Pay as you go, price: "0.002", count: {statuses: [2xx]}}
//	  - {name: Internal, free: true}
//	customers:
//	  - {key: k1a2b3, stripe: cus_42, openmeter: acme}
//	  - {customer: Acme Corp, stripe: cus_43}  # requests that have a customer and no key
//
// Tiers begin after the requests that are included. What a key uses in each of two plans is on two lines, each with its fee.
func ParsePrices(name string, data []byte) (*PriceFile, error) {
	f := &file{name: name}
	top := value{file: f}
	if len(data) > maxPriceFile {
		top.wrong("larger than %d bytes", maxPriceFile)
		return nil, f.err()
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF) || err == nil && len(doc.Content) != 1:
		top.wrong("the file is empty: expected version, currency and plans")
		return nil, f.err()
	case err != nil:
		top.wrong("not YAML: %v", err)
		return nil, f.err()
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		value{file: f, node: &more}.wrong("a second document begins here: expected one")
	}
	top.node = doc.Content[0]
	p := top.prices()
	sum := sha256.Sum256(data)
	p.SHA256 = hex.EncodeToString(sum[:])
	if err := f.err(); err != nil {
		return nil, err
	}
	return p, nil
}

var currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`)

func (v value) prices() *PriceFile {
	m := v.mapping("version", "currency", "rounding", "decimals", "count", "plans", "customers")
	p := &PriceFile{Version: v.required(m, "version").text(), Currency: v.required(m, "currency").text()}
	if c := m["currency"]; c.given() && !currencyPattern.MatchString(p.Currency) {
		c.wrong("expected a currency of ISO 4217 like EUR, found %q", p.Currency)
	}
	p.Rounding = Rounding(m["rounding"].oneOf(string(HalfUp), string(HalfEven)))
	if p.Decimals = int(m["decimals"].whole(0, int64(minorDigits(p.Currency)))); p.Decimals > 12 {
		m["decimals"].wrong("expected at most 12")
	}
	general := m["count"].rules()
	for _, item := range v.required(m, "plans").list() {
		plan := item.plan(general)
		if slices.ContainsFunc(p.Plans, func(o Plan) bool { return o.ID == plan.ID && o.Name == plan.Name }) {
			item.wrong("this plan has a price already")
		}
		p.Plans = append(p.Plans, plan)
	}
	for _, item := range m["customers"].list() {
		a := item.account()
		if slices.ContainsFunc(p.Customers, func(o Account) bool { return o.KeyID == a.KeyID && o.Customer == a.Customer }) {
			item.wrong("this customer is in the list already")
		}
		p.Customers = append(p.Customers, a)
	}
	return p
}

// required is the value of a key that must be there.
func (v value) required(m map[string]value, key string) value {
	c := m[key]
	if !c.given() && v.node != nil && v.node.Kind == yaml.MappingNode {
		v.wrong("%s is missing", key)
	}
	return c
}

func (v value) plan(general Rules) Plan {
	m := v.mapping("id", "name", "free", "fee", "included", "per", "price", "mode", "tiers", "count")
	p := Plan{
		ID: m["id"].text(), Name: m["name"].text(), Free: m["free"].yes(), Fee: m["fee"].decimal(),
		Included: m["included"].whole(0, 0), Per: m["per"].whole(1, 1), Volume: m["mode"].oneOf("graduated", "volume") == "volume", Count: general,
	}
	if p.ID == "" && p.Name == "" {
		v.wrong("expected the id of a usage plan, or its name")
	}
	if !isPowerOfTen(p.Per) {
		m["per"].wrong("expected 1, 10, 100, 1000, ..., found %d", p.Per)
	}
	if c := m["count"]; c.given() {
		p.Count = c.rules()
	}
	price, tiers := m["price"], m["tiers"]
	switch {
	case p.Free:
		for _, key := range []string{"fee", "included", "per", "price", "mode", "tiers"} {
			if m[key].given() {
				m[key].wrong("a free plan has no %s: remove it, or free", key)
			}
		}
	case price.given() && tiers.given():
		price.wrong("a plan has a price or tiers, not both")
	case price.given():
		p.Tiers = []Tier{{Price: price.decimal()}}
	case tiers.given():
		p.Tiers = tiers.tiers()
	case !m["fee"].given():
		v.wrong("expected a fee, a price or tiers, or free: true")
	}
	return p
}

func (v value) tiers() []Tier {
	list := v.list()
	if len(list) == 0 {
		v.wrong("expected at least one tier")
	}
	tiers := make([]Tier, len(list))
	var below int64
	for i, item := range list {
		m := item.mapping("up_to", "price")
		tiers[i].Price = item.required(m, "price").decimal()
		upTo := m["up_to"]
		switch last := i == len(list)-1; {
		case last && upTo.given():
			upTo.wrong("the last tier has no end: remove it, or add a tier for what is beyond")
		case !last && !upTo.given():
			item.wrong("up_to is missing: only the last tier has none")
		case !last:
			if tiers[i].UpTo = upTo.whole(1, below+1); tiers[i].UpTo <= below {
				upTo.wrong("expected more than the %d of the tier before", below)
			}
			below = tiers[i].UpTo
		}
	}
	return tiers
}

func (v value) account() Account {
	m := v.mapping("key", "customer", "stripe", "openmeter")
	a := Account{m["key"].text(), m["customer"].text(), m["stripe"].text(), m["openmeter"].text()}
	if (a.KeyID == "") == (a.Customer == "") {
		v.wrong("expected the id of an API key (key), or, for requests without one, the name (customer)")
	}
	if a.Stripe == "" && a.OpenMeter == "" {
		v.wrong("expected a Stripe customer (stripe), an OpenMeter subject (openmeter), or both")
	}
	return a
}

var statusPattern = regexp.MustCompile(`^([1-9][0-9][0-9]|[1-9]xx|-)$`)

func (v value) rules() Rules {
	m := v.mapping("statuses", "except_statuses", "routes", "except_routes")
	texts := func(v value) []string {
		var all []string
		for _, item := range v.list() {
			all = append(all, item.text())
		}
		if v.given() && len(all) == 0 {
			v.wrong("an empty list: remove it, or name something")
		}
		return all
	}
	statuses := func(v value) []string {
		for _, item := range v.list() {
			if !statusPattern.MatchString(item.text()) {
				item.wrong("expected a status like 404 or 4xx, or - for none, found %q", item.text())
			}
		}
		return texts(v)
	}
	return Rules{statuses(m["statuses"]), statuses(m["except_statuses"]), texts(m["routes"]), texts(m["except_routes"])}
}

// decimal is an exact number, by default 0.
func (v value) decimal() *big.Rat {
	if !v.given() {
		return new(big.Rat)
	}
	r, err := parseDecimal(v.text())
	if err != nil {
		v.wrong("%v, found %q", err, v.text())
		return new(big.Rat)
	}
	return r
}

func isPowerOfTen(n int64) bool {
	for n > 1 && n%10 == 0 {
		n /= 10
	}
	return n == 1
}
