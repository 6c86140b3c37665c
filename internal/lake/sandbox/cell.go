package sandbox

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"
)

// Cell is a value of a result.
type Cell struct {
	Kind Kind
	Text string
}

// Kind is the type of a value, as far as it determines how the value is shown.
type Kind byte

// The kinds of values.
const (
	Null   Kind = iota // Text is ""
	Number             // in decimal
	Text               // a VARCHAR
	Time               // in UTC, as time.RFC3339Nano
	Other              // formatted
)

// newCell formats a DuckDB value. It formats the driver's types generically, so that this package does not import the driver.
func newCell(v any) Cell {
	switch v := v.(type) {
	case nil:
		return Cell{}
	case string:
		return Cell{Text, v}
	case bool:
		return Cell{Other, strconv.FormatBool(v)}
	case int8, int16, int32, int64, int, uint8, uint16, uint32, uint64, *big.Int:
		return Cell{Number, fmt.Sprint(v)}
	case float32:
		return Cell{Number, strconv.FormatFloat(float64(v), 'g', -1, 32)}
	case float64:
		return Cell{Number, strconv.FormatFloat(v, 'g', -1, 64)}
	case time.Time:
		return Cell{Time, v.UTC().Format(time.RFC3339Nano)}
	case []byte:
		if utf8.Valid(v) {
			return Cell{Other, string(v)}
		}
		return Cell{Other, fmt.Sprintf("\\x%x", v)}
	case fmt.Stringer:
		return Cell{Other, v.String()}
	}
	if text, err := json.Marshal(v); err == nil {
		return Cell{Other, string(text)}
	}
	return Cell{Other, fmt.Sprint(v)}
}
