package invoice

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"regexp"
	"slices"

	"github.com/stagelog/stagelog/internal/config/yamlfile"
)

// maxPriceFile bounds the size of a price file. Ten thousand customers need about one MiB.
const maxPriceFile = 16 << 20

// LoadPrices reads the price file at path.
func LoadPrices(path string) (*PriceFile, error) {
	data, err := yamlfile.Load(path, maxPriceFile)
	if err != nil {
		return nil, fmt.Errorf("read prices: %w", err)
	}
	return ParsePrices(path, data)
}

// ParsePrices reads the content of a price file called name. The error is yamlfile.Problems. A price file
// with every key:
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
//	    per: 1000                         # prices are per 1000 requests
//	    mode: graduated                   # or volume: all requests cost what the last one costs
//	    tiers: [{up_to: 100000, price: "0.40"}, {price: "0.25"}]
//	  - {name: Pay as you go, price: "0.002", count: {statuses: [2xx]}}
//	  - {name: Internal, free: true}
//	customers:
//	  - {key: k1a2b3, stripe: cus_42, openmeter: acme}
//	  - {customer: Acme Corp, stripe: cus_43}  # requests that have a customer and no key
//
// Tiers begin after the included requests. A key that uses two plans has two lines, each with its fee.
func ParsePrices(name string, data []byte) (*PriceFile, error) {
	var p *PriceFile
	opts := yamlfile.Options{MaxBytes: maxPriceFile, EmptyHint: "expected version, currency and plans"}
	_, err := yamlfile.Read(name, data, opts, func(top yamlfile.Value) { p = readPrices(top) })
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	p.SHA256 = hex.EncodeToString(sum[:])
	return p, nil
}

var currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`)

func readPrices(top yamlfile.Value) *PriceFile {
	m := top.Filled("version", "currency", "rounding", "decimals", "count", "plans", "customers")
	p := &PriceFile{Version: text(top.Required(m, "version")), Currency: text(top.Required(m, "currency"))}
	if c := m["currency"]; c.Given() && !currencyPattern.MatchString(p.Currency) {
		c.Problemf("", "expected an ISO 4217 currency like EUR, found %s", c.Shown())
	}
	p.Rounding = Rounding(oneOf(m["rounding"], string(HalfUp), string(HalfEven)))
	if p.Decimals = int(whole(m["decimals"], 0, int64(minorDigits(p.Currency)))); p.Decimals > 12 {
		m["decimals"].Problemf("", "expected at most 12")
	}
	general := readRules(m["count"])
	for _, item := range top.Required(m, "plans").List() {
		plan := readPlan(item, general)
		if slices.ContainsFunc(p.Plans, func(o Plan) bool { return o.ID == plan.ID && o.Name == plan.Name }) {
			item.Problemf("", "duplicate plan")
		}
		p.Plans = append(p.Plans, plan)
	}
	for _, item := range m["customers"].List() {
		a := readAccount(item)
		if slices.ContainsFunc(p.Customers, func(o Account) bool { return o.KeyID == a.KeyID && o.Customer == a.Customer }) {
			item.Problemf("", "duplicate customer")
		}
		p.Customers = append(p.Customers, a)
	}
	return p
}

func readPlan(v yamlfile.Value, general Rules) Plan {
	m := v.Filled("id", "name", "free", "fee", "included", "per", "price", "mode", "tiers", "count")
	p := Plan{
		ID: text(m["id"]), Name: text(m["name"]), Free: oneOf(m["free"], "false", "true") == "true", Fee: decimal(m["fee"]),
		Included: whole(m["included"], 0, 0), Per: whole(m["per"], 1, 1), Volume: oneOf(m["mode"], "graduated", "volume") == "volume", Count: general,
	}
	if p.ID == "" && p.Name == "" {
		v.Problemf("", "expected the id or the name of a usage plan")
	}
	if !isPowerOfTen(p.Per) {
		m["per"].Problemf("", "expected 1, 10, 100, 1000, ..., found %d", p.Per)
	}
	if c := m["count"]; c.Given() {
		p.Count = readRules(c)
	}
	price, tiers := m["price"], m["tiers"]
	switch {
	case p.Free:
		for _, key := range []string{"fee", "included", "per", "price", "mode", "tiers"} {
			if m[key].Given() {
				m[key].Problemf("remove it, or remove free: true", "a free plan has no %s", key)
			}
		}
	case price.Given() && tiers.Given():
		price.Problemf("", "expected price or tiers, found both")
	case price.Given():
		p.Tiers = []Tier{{Price: decimal(price)}}
	case tiers.Given():
		p.Tiers = readTiers(tiers)
	case !m["fee"].Given():
		v.Problemf("", "expected a fee, a price or tiers, or free: true")
	}
	return p
}

func readTiers(v yamlfile.Value) []Tier {
	list := v.List()
	if len(list) == 0 {
		v.Problemf("", "expected at least one tier")
	}
	tiers := make([]Tier, len(list))
	var below int64
	for i, item := range list {
		m := item.Filled("up_to", "price")
		tiers[i].Price = decimal(item.Required(m, "price"))
		upTo := m["up_to"]
		switch last := i == len(list)-1; {
		case last && upTo.Given():
			upTo.Problemf("remove it, or add a tier for the requests beyond it", "the last tier must not have up_to")
		case !last && !upTo.Given():
			item.Problemf("only the last tier may omit it", "up_to is missing")
		case !last:
			if tiers[i].UpTo = whole(upTo, 1, below+1); tiers[i].UpTo <= below {
				upTo.Problemf("", "expected more than %d, the up_to of the previous tier", below)
			}
			below = tiers[i].UpTo
		}
	}
	return tiers
}

func readAccount(v yamlfile.Value) Account {
	m := v.Filled("key", "customer", "stripe", "openmeter")
	a := Account{text(m["key"]), text(m["customer"]), text(m["stripe"]), text(m["openmeter"])}
	if (a.KeyID == "") == (a.Customer == "") {
		v.Problemf("", "expected either key, the id of an API key, or customer, the name of a customer without API keys")
	}
	if a.Stripe == "" && a.OpenMeter == "" {
		v.Problemf("", "expected stripe, the id of a Stripe customer, or openmeter, the subject, or both")
	}
	return a
}

var statusPattern = regexp.MustCompile(`^([1-9][0-9][0-9]|[1-9]xx|-)$`)

func readRules(v yamlfile.Value) Rules {
	m := v.Filled("statuses", "except_statuses", "routes", "except_routes")
	return Rules{readStatuses(m["statuses"]), readStatuses(m["except_statuses"]), readTexts(m["routes"]), readTexts(m["except_routes"])}
}

func readStatuses(v yamlfile.Value) []string {
	return readList(v, func(item yamlfile.Value) string {
		return item.Word(statusPattern, "a status like 404 or 4xx, or - for none")
	})
}

func readTexts(v yamlfile.Value) []string { return readList(v, text) }

func readList(v yamlfile.Value, read func(yamlfile.Value) string) []string {
	var all []string
	for _, item := range v.List() {
		all = append(all, read(item))
	}
	if v.Given() && len(all) == 0 {
		v.Problemf("remove it, or add an item", "the list is empty")
	}
	return all
}

// text returns the literal text of a scalar: 0.10 keeps its zero.
func text(v yamlfile.Value) string {
	text, _ := v.Literal()
	return text
}

// oneOf returns one of words, by default the first.
func oneOf(v yamlfile.Value, words ...string) string {
	if !v.Given() {
		return words[0]
	}
	return v.OneOf(words...)
}

// whole returns a whole number of at least least, or otherwise if it is missing or invalid.
func whole(v yamlfile.Value, least, otherwise int64) int64 {
	if n := v.Whole(least, maxRequests); n >= least && v.Given() {
		return n
	}
	return otherwise
}

// maxRequests bounds the whole numbers of a price file. It is more than API Gateway answers in a century, and far below
// int64's limit.
const maxRequests = int64(1_000_000_000_000_000)

// decimal returns an exact number, by default 0.
func decimal(v yamlfile.Value) *big.Rat {
	text, ok := v.Literal()
	if !ok {
		return new(big.Rat)
	}
	r, err := parseDecimal(text)
	if err != nil {
		v.Problemf("", "%v, found %s", err, v.Shown())
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
