package enrich_test

import (
	"fmt"
	"testing"

	"github.com/stagelog/stagelog/internal/delivery/enrich"
)

// classic is a record of 374 bytes in the classic format, without the key id.
const classic = `{"api_id":"a1b2c3d4e5","api_key":"kJ8sWq2LmN4pR7tV9xZ1bC3d","key_id":"%s","ip":"203.0.113.195",` +
	`"method":"GET","uri":"/prod/orders/2024/items/1000000042/lines/1","response_size":"1834","response_status":"200","resource_id":"x7k2m9",` +
	`"request_id":"f3a1c2d4-5b6e-4f70-8a91-b2c3d4e5f607","request_latency":"42","request_time":"10/Jul/2024:18:14:22 +0000","stage":"prod"}` + "\n"

// keys is an index backed by a map, for measuring enrichment alone.
type keys map[string]string

func (k keys) Lookup(keyID, _, _ []byte) (plan, planID, customer string, known bool) {
	customer, known = k[string(keyID)]
	return "Gold", "p1a2b3", customer, known
}

func tenThousand() (keys, [][]byte) {
	dir, records := keys{}, [][]byte{}
	for i := range 10_000 {
		id := fmt.Sprintf("k%09x", i*7919)
		dir[id] = fmt.Sprintf("Customer %d Ltd", i)
		records = append(records, fmt.Appendf(nil, classic, id))
	}
	return dir, records
}

func BenchmarkAppend(b *testing.B) {
	dir, records := tenThousand()
	for _, mode := range []enrich.APIKeyMode{enrich.Mask, enrich.Hash, enrich.Drop, enrich.Keep} {
		b.Run(string(mode), func(b *testing.B) {
			e, err := enrich.New(enrich.Config{
				UsagePlan: "usage_plan", Customer: "customer", UsagePlanID: "usage_plan_id",
				APIKey: mode, HashSalt: []byte("salt"),
			}, dir)
			if err != nil {
				b.Fatal(err)
			}
			out := make([]byte, 0, 1024)
			b.SetBytes(int64(len(records[0])))
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if out, err = e.Append(out[:0], records[i]); err != nil {
					b.Fatal(err)
				}
				if i++; i == len(records) {
					i = 0
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
