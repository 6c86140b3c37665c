package invoice

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
)

// Rounding defines how half of the smallest unit is rounded.
type Rounding string

// The roundings. Amounts are never negative.
const (
	HalfUp   Rounding = "half-up"
	HalfEven Rounding = "half-even"
)

// decimalPattern has no sign and no exponent: a price is neither negative nor approximate.
var decimalPattern = regexp.MustCompile(`^[0-9]{1,12}(\.[0-9]{1,12})?$`)

// parseDecimal parses a decimal exactly.
func parseDecimal(text string) (*big.Rat, error) {
	if !decimalPattern.MatchString(text) {
		return nil, fmt.Errorf("expected a decimal like 0.0025, with at most 12 digits on each side")
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		panic("BUG: not a decimal: " + text)
	}
	return r, nil
}

// round returns an amount rounded to a number of decimals.
func (how Rounding) round(amount *big.Rat, decimals int) *big.Rat {
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil)
	scaled := new(big.Rat).Mul(amount, new(big.Rat).SetInt(unit))
	whole, rest := new(big.Int).QuoRem(scaled.Num(), scaled.Denom(), new(big.Int))
	twice := rest.Lsh(rest, 1)
	switch c := twice.Cmp(scaled.Denom()); {
	case c > 0, c == 0 && (how == HalfUp || whole.Bit(0) == 1):
		whole.Add(whole, big.NewInt(1))
	}
	return new(big.Rat).SetFrac(whole, unit)
}

// exact formats a number with all its decimals. The number must have finitely many, as sums and products of decimals have.
func exact(r *big.Rat) string {
	const most = 40 // a price has up to 12 decimals, its division by Per adds up to 15
	text := r.FloatString(most)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// minorDigits returns the number of decimals of a currency in ISO 4217.
func minorDigits(currency string) int {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	}
	return 2
}
