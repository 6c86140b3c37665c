package lake

import (
	"regexp"
	"strings"
	"time"
)

// date is a date in a key, in an unknown time zone.
type date struct {
	at     int    // where it begins in the key
	layout string // of its text up to the day, for time.Format; "" if such texts do not sort by time
	begin  time.Time
	span   time.Duration // 0, an hour or a day
}

// namedTime matches the time in the names that Firehose gives to objects: STREAM-VERSION-YYYY-MM-DD-HH-MM-SS-RANDOM.
var namedTime = regexp.MustCompile(`-[0-9]+-([0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9]{2}-[0-9]{2}-[0-9]{2})-[^/]*$`)

// datesIn returns the dates in a key: those of its folders in order, and the time in its name if Firehose wrote it.
func datesIn(key string) (all []date) {
	folders := strings.Split(key, "/")
	name := folders[len(folders)-1]
	at := 0
	for folders = folders[:len(folders)-1]; len(folders) > 0; {
		n := 1
		if d, used := folderDate(folders); used > 0 {
			d.at, n = at, used
			all = append(all, d)
		}
		at += len(strings.Join(folders[:n], "/")) + 1
		folders = folders[n:]
	}
	if m := namedTime.FindStringSubmatch(name); m != nil {
		if t, err := time.Parse("2006-01-02-15-04-05", m[1]); err == nil {
			all = append(all, date{begin: t})
		}
	}
	return all
}

// startOf returns the folder of a time, if key has one date in its folders, whose texts sort by time.
func startOf(key string, t time.Time) (start string, ok bool) {
	dates := datesIn(key)
	if len(dates) == 2 && dates[1].span == 0 {
		dates = dates[:1] // the other one is in the name
	}
	if len(dates) != 1 || dates[0].layout == "" {
		return "", false
	}
	return key[:dates[0].at] + t.UTC().Format(dates[0].layout), true
}

// folderLayouts are the forms of dates in folders. In the loose form, months and days have one digit or two.
var folderLayouts = []struct {
	folders       int
	strict, loose string
	partition     bool // only as the value of a partition column: a folder of this form alone may be a version
	span          time.Duration
}{
	{3, "2006/01/02", "2006/1/2", false, 24 * time.Hour},
	{3, "year=2006/month=01/day=02", "year=2006/month=1/day=2", false, 24 * time.Hour},
	{1, "2006-01-02", "2006-1-2", true, 24 * time.Hour},
	{1, "20060102", "20060102", true, 24 * time.Hour},
	{1, "2006-01-02-15", "2006-1-2-15", true, time.Hour},
	{1, "2006010215", "2006010215", true, time.Hour},
}

// partitionName matches the usual names of a partition column that holds a date.
var partitionName = regexp.MustCompile(`^(dt|date|day|ds|(log|event|partition)_?date)=`)

// folderDate returns the date that the first folders have, and the number of these folders; 0 if they have none.
func folderDate(folders []string) (date, int) {
	prefix := partitionName.FindString(folders[0])
	for _, l := range folderLayouts {
		n := l.folders
		if len(folders) < n || l.partition && prefix == "" {
			continue
		}
		text := strings.TrimPrefix(strings.Join(folders[:n], "/"), prefix)
		t, err := time.Parse(l.loose, text)
		if err != nil {
			continue
		}
		d := date{begin: t, span: l.span}
		if t.Format(l.strict) == text {
			d.layout = prefix + l.strict
		}
		if len(folders) > n && l.span > time.Hour {
			if hour, err := time.Parse("15", strings.TrimPrefix(folders[n], "hour=")); err == nil {
				d.begin, d.span, n = t.Add(time.Duration(hour.Hour())*time.Hour), time.Hour, n+1
			}
		}
		return d, n
	}
	return date{}, 0
}
