package invoice

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
)

// Rounding is what happens to the half of the smallest unit.
type Rounding string

// The roundings. Amounts are never negative.
const (
	HalfUp   Rounding = "half-up"
	HalfEven Rounding = "half-even"
)

// decimalPattern has no sign and no exponent: a price is neither negative nor approximate.
var decimalPattern = regexp.MustCompile(`^[0-9]{1,12}(\.[0-9]{1,12})?$`)

// parseDecimal reads a decimal exactly.
func parseDecimal(text string) (*big.Rat, error) {
	if !decimalPattern.MatchString(text) {
		return nil, fmt.Errorf("expected a decimal like 0.0025, with at most 12 digits on each side")
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		panic("BUG: a decimal that is none: " + text)
	}
	return r, nil
}

// round is an amount with a number of decimals.
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

// exact is a number with all its decimals and no more. It is for numbers that have an end, as sums and products of decimals do.
func exact(r *big.Rat) string {
	const most = 40 // 12 of a price and 9 of what it is for are 21
	text := r.FloatString(most)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// minorDigits is the decimals of a currency in ISO 4217.
func minorDigits(currency string) int {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	}
	return 2
}
