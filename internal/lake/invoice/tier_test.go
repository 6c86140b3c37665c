package invoice

import (
	"math/big"
	"os"
	"strings"
	"testing"
)

func rat(t *testing.T, text string) *big.Rat {
	t.Helper()
	r, err := parseDecimal(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

func TestTiers(t *testing.T) {
	tiers := func(volume bool) *Plan {
		return &Plan{Per: 1, Volume: volume, Tiers: []Tier{{100, rat(t, "0.10")}, {1000, rat(t, "0.05")}, {0, rat(t, "0.01")}}}
	}
	graduated, volume := tiers(false), tiers(true)
	included := tiers(false)
	included.Included = 50
	thousand := &Plan{Per: 1000, Tiers: []Tier{{0, rat(t, "0.40")}}}
	flat := &Plan{Per: 1, Included: 10}
	for _, c := range []struct {
		name     string
		plan     *Plan
		counted  int64
		included int64
		want     string
	}{
		{"graduated none", graduated, 0, 0, "0"},
		{"graduated one", graduated, 1, 0, "0.1"},
		{"graduated first tier full", graduated, 100, 0, "10"},
		{"graduated first of the second", graduated, 101, 0, "10.05"},
		{"graduated second tier full", graduated, 1000, 0, "55"},
		{"graduated third", graduated, 1001, 0, "55.01"},
		{"graduated far", graduated, 101_000, 0, "1055"},
		{"volume none", volume, 0, 0, "0"},
		{"volume first tier full", volume, 100, 0, "10"},
		{"volume first of the second", volume, 101, 0, "5.05"},
		{"volume second tier full", volume, 1000, 0, "50"},
		{"volume third", volume, 1001, 0, "10.01"},
		{"included exactly", included, 50, 50, "0"},
		{"included fewer", included, 49, 49, "0"},
		{"included and one tier full", included, 150, 50, "10"},
		{"included and beyond", included, 151, 50, "10.05"},
		{"a part of a thousand", thousand, 1, 0, "0.0004"},
		{"thousands", thousand, 2500, 0, "1"},
		{"a fee alone", flat, 1_000_000, 10, "0"},
		{"no overflow", &Plan{Per: 1, Tiers: []Tier{{0, rat(t, "999999999999.999999999999")}}}, maxRequests, 0, "999999999999999999999999000"},
	} {
		charges, used := c.plan.charges(c.counted)
		sum, requests := new(big.Rat), int64(0)
		for _, charge := range charges {
			sum.Add(sum, charge.Amount)
			requests += charge.Requests
		}
		if exact(sum) != c.want || used != c.included {
			t.Errorf("%s: charges(%d) = %s, %d included, want %s, %d", c.name, c.counted, exact(sum), used, c.want, c.included)
		}
		if len(c.plan.Tiers) > 0 && requests+used != c.counted {
			t.Errorf("%s: charges and included are for %d requests, want %d", c.name, requests+used, c.counted)
		}
	}
}

func TestRounding(t *testing.T) {
	for _, c := range []struct {
		amount   string
		decimals int
		up, even string
	}{
		{"0.004", 2, "0.00", "0.00"}, {"0.005", 2, "0.01", "0.00"}, {"0.015", 2, "0.02", "0.02"}, {"0.025", 2, "0.03", "0.02"},
		{"0.0050000001", 2, "0.01", "0.01"}, {"0.5", 0, "1", "0"}, {"1.5", 0, "2", "2"}, {"2.5", 0, "3", "2"}, {"1.0005", 3, "1.001", "1.000"},
		{"999999999999.995", 2, "1000000000000.00", "1000000000000.00"}, {"7", 2, "7.00", "7.00"},
	} {
		up, even := HalfUp.round(rat(t, c.amount), c.decimals), HalfEven.round(rat(t, c.amount), c.decimals)
		if got := up.FloatString(c.decimals); got != c.up {
			t.Errorf("half-up of %s to %d decimals is %s, want %s", c.amount, c.decimals, got, c.up)
		}
		if got := even.FloatString(c.decimals); got != c.even {
			t.Errorf("half-even of %s to %d decimals is %s, want %s", c.amount, c.decimals, got, c.even)
		}
	}
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		name   string
		rules  Rules
		status int
		route  string
		want   bool
	}{
		{"all", Rules{}, 500, "/a", true},
		{"all, without a status", Rules{}, 0, missing, true},
		{"class", Rules{Statuses: []string{"2xx", "404"}}, 299, "/a", true},
		{"one status", Rules{Statuses: []string{"2xx", "404"}}, 404, "/a", true},
		{"not a class", Rules{Statuses: []string{"2xx", "404"}}, 403, "/a", false},
		{"no status is no class", Rules{Statuses: []string{"2xx"}}, 0, "/a", false},
		{"no status by name", Rules{Statuses: []string{"2xx", "-"}}, 0, "/a", true},
		{"excepted", Rules{Statuses: []string{"4xx"}, ExceptStatuses: []string{"429"}}, 429, "/a", false},
		{"route", Rules{Routes: []string{"/orders/*"}}, 200, "/orders/{id}", true},
		{"not the route", Rules{Routes: []string{"/orders/*"}}, 200, "/orders", false},
		{"a brace is a brace", Rules{ExceptRoutes: []string{"/orders/{id}", "/health"}}, 200, "/orders/{id}", false},
		{"both", Rules{Statuses: []string{"2xx"}, ExceptRoutes: []string{"/health"}}, 200, "/health", false},
	} {
		if got := c.rules.matcher().counts(c.status, c.route); got != c.want {
			t.Errorf("%s: counts(%d, %s) = %v, want %v", c.name, c.status, c.route, got, c.want)
		}
	}
}

const goodPrices = `version: "2026-11"
currency: EUR
count:
  except_statuses: [429, 5xx]
plans:
  - id: plan1
    fee: "49.00"
    included: 100
    per: 1000
    tiers: [{up_to: 200, price: "40.00"}, {price: 25}]
  - name: Gold
    price: "0.0125"
    count: {statuses: [2xx]}
  - {id: plan2, free: true}
customers:
  - {key: key3, stripe: cus_3, openmeter: acme}
  - {customer: Authorized Ltd, openmeter: authorized}
`

func TestParsePrices(t *testing.T) {
	p, err := ParsePrices("prices.yaml", []byte(goodPrices))
	if err != nil {
		t.Fatal(err)
	}
	if p.Decimals != 2 || p.Rounding != HalfUp || len(p.Plans) != 3 || len(p.SHA256) != 64 || exact(p.Plans[0].Tiers[1].Price) != "25" {
		t.Errorf("ParsePrices: %+v", p)
	}
	if p.plan("plan1", "Gold") != &p.Plans[0] || p.plan("plan9", "Gold") != &p.Plans[1] || p.plan("-", "-") != nil {
		t.Error("plan: want the price with the id, and the one with the name only if no price has the id")
	}
}

// The price file in the comment of ParsePrices is valid.
func TestDocumentedPriceFileIsValid(t *testing.T) {
	source, err := os.ReadFile("parse.go")
	if err != nil {
		t.Fatal(err)
	}
	var yaml strings.Builder
	for line := range strings.Lines(string(source)) {
		if text, ok := strings.CutPrefix(line, "//\t"); ok {
			yaml.WriteString(text)
		}
	}
	p, err := ParsePrices("parse.go", []byte(yaml.String()))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Plans) != 3 || len(p.Customers) != 2 || exact(p.Plans[0].Tiers[1].Price) != "0.25" {
		t.Errorf("the documented file reads as %+v", p)
	}
}

func TestPriceFileProblems(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown key", "currency:", "curency:", `p.yaml:2:1: curency: unknown key; did you mean currency?`},
		{"missing", "currency: EUR\n", "", "p.yaml:1:1: currency: required key is missing"},
		{"currency", "EUR", "euro", `p.yaml:2:11: currency: expected an ISO 4217 currency like EUR, found euro`},
		{"number", `"0.0125"`, "1e-3", `p.yaml:12:12: plans[1].price: expected a decimal like 0.0025`},
		{"negative", `"0.0125"`, "-1", "expected a decimal"},
		{"order", "up_to: 200", "up_to: 0", "p.yaml:10:21: plans[0].tiers[0].up_to: expected a whole number from 1"},
		{"last tier", "{price: 25}", "{up_to: 300, price: 25}", "the last tier must not have up_to"},
		{"middle tier", "up_to: 200, ", "", "plans[0].tiers[0]: up_to is missing"},
		{"power", "per: 1000", "per: 300", "expected 1, 10, 100, 1000"},
		{"status", "[2xx]", "[2x]", "plans[1].count.statuses[0]: expected a status like 404 or 4xx"},
		{"free", "free: true", "free: true, fee: 1", "a free plan has no fee"},
		{"nothing", `    price: "0.0125"` + "\n", "", "expected a fee, a price or tiers, or free: true"},
		{"duplicate key", "currency: EUR", "currency: EUR\ncurrency: USD", "duplicate key"},
		{"no account", "stripe: cus_3, openmeter: acme", "", "expected stripe"},
		{"same plan", "- {id: plan2, free: true}", "- {name: Gold, free: true}", "p.yaml:14:5: plans[2]: duplicate plan"},
		{"second document", "customers:", "---\ncustomers:", "expected one document, found a second"},
		{"empty fee", `"49.00"`, "", "fee: value is missing"},
		{"empty currency", "currency: EUR", "currency:", "p.yaml:2:1: currency: value is missing"},
		{"environment", "EUR", "env:EUR", "found \"env:EUR\""},
		{"empty list", "[2xx]", "[]", "the list is empty"},
		{"not YAML", "currency: EUR", "currency: [EUR", "not YAML"},
	} {
		data := strings.Replace(goodPrices, c.old, c.new, 1)
		_, err := ParsePrices("p.yaml", []byte(data))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	_, err := ParsePrices("p.yaml", []byte("version: 1\nplans:\n  - {id: a, fee: x}\n  - {fee: y}\n"))
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("all problems at once: %v", err)
	}
}

func FuzzParsePrices(f *testing.F) {
	f.Add([]byte(goodPrices))
	f.Add([]byte("plans: [{tiers: [{}]}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePrices("p.yaml", data)
		if err != nil {
			return
		}
		for i := range p.Plans {
			counted := int64(12345)
			charges, included := p.Plans[i].charges(counted)
			for _, c := range charges {
				included += c.Requests
			}
			if len(p.Plans[i].Tiers) > 0 && included != counted {
				t.Errorf("plan %d prices %d of %d requests", i, included, counted)
			}
		}
	})
}
