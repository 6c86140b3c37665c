package desired

import (
	"fmt"
	"strings"

	"github.com/stagelog/stagelog/internal/config"
)

// Projection is where objects lie, for Amazon Athena: partitions that it computes from the dates in their keys.
// https://docs.aws.amazon.com/athena/latest/ug/partition-projection.html
type Projection struct {
	Root   string // the prefix before the dates
	Format string // of the dates, as Java writes it
	Unit   string // HOURS or DAYS
}

// ProjectionOf reads a delivery prefix, which must be one that Athena can compute: Firehose's own dates, or
// year=/month=/day=(/hour=) ones.
func ProjectionOf(prefix string) (Projection, error) {
	root, dates, found := strings.Cut(prefix, "!{")
	switch {
	case !found:
		return Projection{root, "yyyy/MM/dd/HH", "HOURS"}, nil
	case strings.HasSuffix(root, "year="):
		root = strings.TrimSuffix(root, "year=")
		switch "year=!{" + dates {
		case "year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/":
			return Projection{root, "'year='yyyy'/month='MM'/day='dd", "DAYS"}, nil
		case "year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/":
			return Projection{root, "'year='yyyy'/month='MM'/day='dd'/hour='HH", "HOURS"}, nil
		}
	case dates == "timestamp:yyyy/MM/dd}/":
		return Projection{root, "yyyy/MM/dd", "DAYS"}, nil
	case dates == "timestamp:yyyy/MM/dd/HH}/":
		return Projection{root, "yyyy/MM/dd/HH", "HOURS"}, nil
	}
	return Projection{}, fmt.Errorf("prefix %s: Athena's partition projection can compute yyyy/MM/dd/HH/ (the default), yyyy/MM/dd/ and year=/month=/day=(/hour=) behind a fixed prefix", prefix)
}

// Location is where the objects of a table over the bucket begin.
func (p Projection) Location(bucket string) string { return "s3://" + bucket + "/" + p.Root }

// Properties are the table's, in the order in which people read them.
func (p Projection) Properties(bucket string) [][2]string {
	return [][2]string{
		{"projection.enabled", "true"},
		{"projection." + config.PartitionColumn + ".type", "date"},
		{"projection." + config.PartitionColumn + ".format", p.Format},
		{"projection." + config.PartitionColumn + ".range", "NOW-3YEARS,NOW+1DAYS"},
		{"projection." + config.PartitionColumn + ".interval", "1"},
		{"projection." + config.PartitionColumn + ".interval.unit", p.Unit},
		{"storage.location.template", p.Location(bucket) + "${" + config.PartitionColumn + "}/"},
	}
}
