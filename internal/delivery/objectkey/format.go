package objectkey

import (
	"strconv"
	"strings"
	"time"
)

// append appends the time as Java's DateTimeFormatter formats it in the locale en_US.
func (p pattern) append(dst []byte, at time.Time) []byte {
	for _, t := range p {
		if t.letter == 0 {
			dst = append(dst, t.literal...)
		} else {
			dst = t.append(dst, at)
		}
	}
	return dst
}

func (t token) append(dst []byte, at time.Time) []byte {
	n := t.count
	switch t.letter {
	case 'y', 'u':
		return appendYear(dst, at.Year(), n)
	case 'Y':
		return appendYear(dst, weekSaturday(at).Year(), n)
	case 'w':
		return appendNumber(dst, (weekSaturday(at).YearDay()-1)/7+1, n)
	case 'W':
		first := time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
		return appendNumber(dst, (at.Day()-1+int(first.Weekday()))/7+1, n)
	case 'D':
		return appendNumber(dst, at.YearDay(), n)
	case 'd':
		return appendNumber(dst, at.Day(), n)
	case 'F':
		// The field as Java defined it up to version 18, in the page that Firehose's documentation links to.
		return appendNumber(dst, (at.Day()-1)%7+1, n)
	case 'M', 'L':
		return appendText(dst, int(at.Month()), at.Month().String(), n)
	case 'Q', 'q':
		return appendQuarter(dst, (int(at.Month())-1)/3+1, n)
	case 'E':
		return appendText(dst, 0, at.Weekday().String(), max(n, 3))
	case 'e', 'c':
		return appendText(dst, int(at.Weekday())+1, at.Weekday().String(), n) // weeks begin on Sunday
	case 'G':
		return append(dst, [...]string{1: "AD", 2: "AD", 3: "AD", 4: "Anno Domini", 5: "A"}[n]...)
	case 'X', 'x', 'Z', 'O', 'z':
		return t.appendZone(dst, at)
	}
	return t.appendClock(dst, at)
}

// appendClock appends the fields of the time of day.
func (t token) appendClock(dst []byte, at time.Time) []byte {
	n, hour := t.count, at.Hour()
	switch t.letter {
	case 'H':
		return appendNumber(dst, hour, n)
	case 'k':
		return appendNumber(dst, (hour+23)%24+1, n)
	case 'K':
		return appendNumber(dst, hour%12, n)
	case 'h':
		return appendNumber(dst, (hour+11)%12+1, n)
	case 'm':
		return appendNumber(dst, at.Minute(), n)
	case 's':
		return appendNumber(dst, at.Second(), n)
	case 'S':
		return append(dst, appendNumber(nil, at.Nanosecond(), 9)[:n]...)
	case 'a':
		return append(dst, [...]string{"AM", "PM"}[hour/12]...)
	}
	sinceMidnight := time.Duration(hour)*time.Hour + time.Duration(at.Minute())*time.Minute +
		time.Duration(at.Second())*time.Second + time.Duration(at.Nanosecond())
	switch t.letter {
	case 'A':
		return appendNumber(dst, int(sinceMidnight.Milliseconds()), n)
	case 'N':
		return appendNumber(dst, int(sinceMidnight), n)
	case 'n':
		return appendNumber(dst, at.Nanosecond(), n)
	case 'g':
		// The modified Julian day counts days from 17 November 1858.
		_, offset := at.Zone()
		const epoch = 40_587
		seconds := at.Unix() + int64(offset)
		return appendNumber(dst, int((seconds-mod(seconds, 86_400))/86_400)+epoch, n)
	}
	panic("BUG: pattern letter " + string(t.letter))
}

// appendZone appends the offset from UTC, or the zone's abbreviation.
func (t token) appendZone(dst []byte, at time.Time) []byte {
	name, offset := at.Zone()
	n := t.count
	switch {
	case t.letter == 'z':
		return append(dst, name...)
	case t.letter == 'O':
		dst = append(dst, "GMT"...)
		if offset == 0 {
			return dst
		}
		if n == 1 {
			return appendOffset(dst, offset, "+H:mm")
		}
		return appendOffset(dst, offset, "+HH:mm")
	case t.letter == 'Z' && n == 4:
		return token{letter: 'O', count: 4}.appendZone(dst, at)
	case offset == 0 && (t.letter == 'X' || t.letter == 'Z' && n == 5):
		return append(dst, 'Z')
	case t.letter == 'Z' && n < 4:
		return appendOffset(dst, offset, "+HHmm")
	case t.letter == 'Z':
		return appendOffset(dst, offset, "+HH:mm")
	}
	return appendOffset(dst, offset, [...]string{1: "+HH", 2: "+HHmm", 3: "+HH:mm", 4: "+HHmm", 5: "+HH:mm"}[n])
}

// appendOffset appends an offset, given in seconds, as hours and minutes: today's zones
// have no seconds. The forms +HH and +H:mm omit minutes that are zero.
func appendOffset(dst []byte, offset int, form string) []byte {
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	hours, minutes := offset/3600, offset/60%60
	dst = append(dst, sign)
	if form == "+H:mm" {
		dst = appendNumber(dst, hours, 1)
	} else {
		dst = appendNumber(dst, hours, 2)
	}
	if minutes == 0 && (form == "+HH" || form == "+H:mm") {
		return dst
	}
	if strings.Contains(form, ":") {
		dst = append(dst, ':')
	}
	return appendNumber(dst, minutes, 2)
}

// weekSaturday returns the last day of t's week. In en_US weeks begin on Sunday and the
// first week contains 1 January, so the Saturday's year is the week's year.
func weekSaturday(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day()+int(time.Saturday-t.Weekday()), 0, 0, 0, 0, time.UTC)
}

// appendYear appends a year: its last two digits for two letters, otherwise padded to n digits.
func appendYear(dst []byte, year, n int) []byte {
	if n == 2 {
		return appendNumber(dst, int(mod(int64(year), 100)), 2)
	}
	if n >= 4 && year > 9999 && len(strconv.Itoa(year)) > n {
		dst = append(dst, '+')
	}
	return appendNumber(dst, year, n)
}

// appendText appends a month or day of the week: its number for n up to 2, an
// abbreviation of three letters for 3, its name for 4, and its first letter for 5.
func appendText(dst []byte, number int, name string, n int) []byte {
	switch n {
	case 1, 2:
		return appendNumber(dst, number, n)
	case 3:
		return append(dst, name[:3]...)
	case 4:
		return append(dst, name...)
	}
	return append(dst, name[0])
}

func appendQuarter(dst []byte, quarter, n int) []byte {
	switch n {
	case 1, 2:
		return appendNumber(dst, quarter, n)
	case 3:
		return append(dst, 'Q', byte('0'+quarter))
	case 4:
		return append(dst, [...]string{1: "1st", 2: "2nd", 3: "3rd", 4: "4th"}[quarter]+" quarter"...)
	}
	return append(dst, byte('0'+quarter))
}

// appendNumber appends v padded with zeros to width digits.
func appendNumber(dst []byte, v, width int) []byte {
	if v < 0 {
		dst = append(dst, '-')
		v = -v
	}
	digits := 1
	for rest := v / 10; rest > 0; rest /= 10 {
		digits++
	}
	for ; digits < width; digits++ {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, int64(v), 10)
}

// mod returns the remainder of a / b, never negative.
func mod(a, b int64) int64 { return (a%b + b) % b }
