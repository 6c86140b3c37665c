package invoice

import (
	"fmt"
	"time"
)

// Month is a calendar month.
type Month struct {
	Year  int
	Month time.Month
}

// ParseMonth reads a month like 2026-11.
func ParseMonth(text string) (Month, error) {
	t, err := time.Parse("2006-01", text)
	if err != nil {
		return Month{}, fmt.Errorf("month %q: expected a year and a month like 2026-11", text)
	}
	return Month{t.Year(), t.Month()}, nil
}

// String returns the month in the form of ParseMonth.
func (m Month) String() string { return fmt.Sprintf("%04d-%02d", m.Year, int(m.Month)) }

// Begin returns the first instant of the month in a zone.
func (m Month) Begin(zone *time.Location) time.Time {
	return time.Date(m.Year, m.Month, 1, 0, 0, 0, 0, zone)
}

// End returns the first instant after the month in a zone.
func (m Month) End(zone *time.Location) time.Time {
	return time.Date(m.Year, m.Month+1, 1, 0, 0, 0, 0, zone)
}
