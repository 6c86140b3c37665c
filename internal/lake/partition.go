package lake

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// partition is a value that the folders of an object's key have for a column.
type partition struct {
	column column
	rank   uint8 // of several partitions for one column, the lowest rank wins
	value  []byte
}

// noPartition is the value of a Hive partition without a value.
const noPartition = "__HIVE_DEFAULT_PARTITION__"

// partitioned are the columns that a folder like stage=prod can have a value for: those by which pipelines group requests.
// Times are dates of delivery there, and a folder path=… or error=… says something about the object.
var partitioned = map[column]bool{
	colAPIID: true, colStage: true, colKeyID: true, colCustomer: true, colUsagePlan: true, colUsagePlanID: true, colMethod: true, colRoute: true, colStatus: true,
}

// In returns the mapping of lines in an object with this key. The Hive partition columns in the key, such as
// customer=Acme%20Ltd/, fill the columns for which a line has no value.
func (m Mapping) In(key string) Mapping {
	m.folders = nil
	folders := strings.Split(key, "/")
	for _, folder := range folders[:len(folders)-1] {
		name, escaped, ok := strings.Cut(folder, "=")
		f := m.of(name)
		if !ok || f.kind == kindExtra || !partitioned[f.column] {
			continue
		}
		text, err := url.PathUnescape(escaped)
		if err != nil {
			text = escaped
		}
		if text = strings.ToValidUTF8(text, "\uFFFD"); text == "" || text == "-" || text == noPartition {
			continue
		}
		value := []byte(text)
		if n, isNumber := parseNumber(value); f.kind == kindNumber && (!isNumber || !fits(f.column, n)) {
			continue
		}
		m.folders = append(m.folders, partition{f.column, f.rank, value})
	}
	slices.SortStableFunc(m.folders, func(a, b partition) int { return cmp.Compare(a.rank, b.rank) })
	return m
}

// fill sets the columns without a value.
func (r *lineReader) fill() {
	for _, p := range r.folders {
		if r.row[p.column] == nil {
			r.row[p.column] = p.value
		}
	}
}
