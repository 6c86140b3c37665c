//go:build cgo

package sandbox

import (
	"database/sql"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2"
)

func TestQueryRequiresNoExternalAccess(t *testing.T) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = Statement{SQL: "SELECT 1"}.query(t.Context(), db, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "enable_external_access=false") {
		t.Errorf("query: got %v, want a refusal that names the setting", err)
	}
}
