package discover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/delivery/bucket"
	"github.com/stagelog/stagelog/internal/encoding/lines"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

const (
	maxLevels  = 12      // of folders between the prefix and an object: four of a usual date
	maxEntries = 1000    // of a folder; the last of them is late enough
	maxSample  = 1 << 20 // bytes of records, decompressed
)

// Sample reads one of the latest objects that a stream delivered and returns the fields of its first record, sorted.
// It returns none if there is no object, or none with JSON.
func Sample(ctx context.Context, c *provision.Clients, s *Stream) (fields []string, err error) {
	b := bucket.Of(c.S3).Bucket(s.Bucket)
	key, err := latest(ctx, b, s.Deliver)
	if err != nil || key == "" {
		return nil, err
	}
	body, err := b.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	text, _, err := lines.Open(io.LimitReader(body, maxSample))
	if err != nil {
		return nil, err
	}
	defer text.Close()
	err = lines.Lines(io.LimitReader(text, maxSample), 0, maxSample, func(line []byte, _ bool) error {
		if fields = members(line); len(fields) > 0 {
			return errSampled
		}
		return nil
	})
	if !errors.Is(err, errSampled) {
		return nil, err
	}
	return fields, nil
}

// errSampled ends the reading of an object after the first record.
var errSampled = errors.New("sampled")

// latest returns the last key of the last folder below the prefix, "" if there is none.
func latest(ctx context.Context, b bucket.Bucket, d config.Deliver) (string, error) {
	private := []string{desired.StatePrefix}
	if errs := d.ErrorOutput(); errs != "" {
		private = append(private, errs)
	}
	at := d.Logs()
	for range maxLevels {
		names, err := b.Children(ctx, at, maxEntries)
		if err != nil {
			return "", err
		}
		names = slices.DeleteFunc(names, func(name string) bool {
			return name == at || slices.ContainsFunc(private, func(p string) bool { return strings.HasPrefix(name, p) })
		})
		if len(names) == 0 {
			return "", nil
		}
		if at = slices.Max(names); !strings.HasSuffix(at, "/") {
			return at, nil
		}
	}
	return "", nil
}

// addedNames returns the names of the fields that enrichment should add, so that readers find plan and customer where they did
// before, and a note. fields are those of a delivered record; those of the format itself do not count.
func addedNames(names config.OutputNames, format *accesslog.Format, function string, fields []string) (config.OutputNames, []string) {
	added := slices.DeleteFunc(slices.Clone(fields), func(f string) bool { return slices.Contains(format.Names(), f) })
	if len(added) == 0 {
		return names, nil
	}
	of := func(usual ...string) string {
		for _, name := range usual {
			if slices.Contains(added, name) {
				return name
			}
		}
		return ""
	}
	found := config.OutputNames{UsagePlan: of("usage_plan", "usage_plan_name", "plan_name", "plan_id", "plan"), Customer: of("customer", "customer_name", "subscription_id"),
		UsagePlanID: of("usage_plan_id")}
	if found.UsagePlan == "" || found.Customer == "" {
		return names, []string{fmt.Sprintf("records that %s has enriched also have the fields %s: set names: so that readers find plan and customer under the same names as before", function, strings.Join(added, ", "))}
	}
	return found, []string{fmt.Sprintf("records that %s has enriched have the fields %s and %s: the file has the same names", function, found.UsagePlan, found.Customer)}
}

// members returns the names of the members of a JSON object, sorted, and none for anything else.
func members(line []byte) []string {
	var object map[string]json.RawMessage
	if json.Unmarshal(line, &object) != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(object))
}
