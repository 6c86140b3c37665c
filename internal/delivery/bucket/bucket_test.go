package bucket_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/stagelog/stagelog/internal/delivery/bucket"
	"github.com/stagelog/stagelog/internal/record"
)

// Keys with control characters are listed. A store that does not encode keys is supported too.
func TestListDecodesKeys(t *testing.T) {
	for name, c := range map[string]struct{ encoding, key, want string }{
		"encoded":     {"<EncodingType>url</EncodingType>", "logs/a%01%0Ab+c%2B%25", "logs/a\x01\nb c+%"},
		"not encoded": {"", "logs/a+b%20c", "logs/a+b%20c"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got := r.URL.Query().Get("encoding-type"); got != "url" {
					t.Errorf("encoding-type %q, want url", got)
				}
				fmt.Fprintf(w, `<ListBucketResult>%s<Contents><Key>%s</Key><Size>1</Size></Contents></ListBucketResult>`, c.encoding, c.key)
			}))
			defer server.Close()
			b := bucket.Isolated(bucket.Config{Endpoint: server.URL, AccessKeyID: "a", SecretAccessKey: "s"}).Bucket("b")
			var keys []string
			err := b.List(t.Context(), "", "", func(o record.Object) error { keys = append(keys, o.Key); return nil })
			children, childErr := b.Children(t.Context(), "", 10)
			if want := []string{c.want}; err != nil || childErr != nil || !slices.Equal(keys, want) || !slices.Equal(children, want) {
				t.Errorf("List = %q, %v; Children = %q, %v; want %q", keys, err, children, childErr, want)
			}
		})
	}
}
