package lake

import (
	"testing"

	"github.com/stagelog/stagelog/internal/accesslog"
)

// Hive partition columns fill what a line lacks, and nothing else.
func TestPartitionsFillMissingFields(t *testing.T) {
	const line = `{"request_id":"r1","status":"200","stage":"-","customer":"Acme"}`
	custom := MappingOf(accesslog.Parse(`{"request_id":"$context.requestId","status":"$context.status","stage":"$context.stage","kunde":"$context.domainName","method":"$context.integration.status"}`), "", "wer", "")
	for key, want := range map[string]string{
		"api_id=x/stage=y/o": `id=r1 api=x stage=y customer=Acme status=200`,
		"logs/API-ID=x/keyId=k/usagePlan=Gold/planid=p/o.gz":                                       `id=r1 api=x key=k customer=Acme plan=Gold status=200`,
		"customer=Other%20Ltd/status=404/method=GET/o":                                             `id=r1 customer=Acme method=GET status=200`,
		"usage_plan=M%C3%BCller%2Fx/stage=100%/o":                                                  "id=r1 stage=100% customer=Acme plan=Müller/x status=200",
		"stage=__HIVE_DEFAULT_PARTITION__/api_id=-/key_id=/o":                                      `id=r1 customer=Acme status=200`,
		"stage=%ff/stage=second/o":                                                                 "id=r1 stage=\uFFFD customer=Acme status=200",
		"error=yes/path=a/ip=1/request_id=2/time=1795854600/year=2026/bytes=1/apikey=SECRET/x=y/o": `id=r1 customer=Acme status=200`,
		"stage/y/stage=o": `id=r1 customer=Acme status=200`,
	} {
		if got := rowOf(t, Mapping{}.In(key), line); got != want {
			t.Errorf("%s:\n got %s\nwant %s", key, got, want)
		}
	}
	for key, want := range map[string]string{
		"wer=Acme/method=502/kunde=x/o": `id=r1 customer=Acme status=200`, // the format says what the names mean
		"status=404/o":                  `id=r1 status=404`,
		"status=processed/o":            `id=r1`,
		"status=99999/o":                `id=r1`,
	} {
		text := `{"request_id":"r1","kunde":"-"}`
		if key[0] == 'w' {
			text = `{"request_id":"r1","status":"200"}`
		}
		if got := rowOf(t, custom.In(key), text); got != want {
			t.Errorf("%s:\n got %s\nwant %s", key, got, want)
		}
	}
	if q, ok := (Mapping{}).In("customer=Acme/o").Read([]byte(`{"request_id":"r1","status":"200"}`)); !ok || q.Customer != "Acme" {
		t.Errorf("Read = %+v, %v", q, ok)
	}
}
