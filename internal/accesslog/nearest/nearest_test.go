package nearest

import (
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	names := []string{"name", "bucket", "readers", "usage_plans", "api_key", "apis"}
	for got, want := range map[string]string{
		"buckte":                  "bucket",
		"Bucket":                  "bucket",
		"reader":                  "readers",
		"usage_plan":              "usage_plans",
		"usageplans":              "usage_plans",
		"apikey":                  "api_key",
		"nmae":                    "name",
		"buck":                    "bucket",
		"api_keys":                "api_key",
		"names_of_things":         "",
		"x":                       "",
		"":                        "",
		"something else":          "",
		strings.Repeat("a", 1000): "",
	} {
		if name, ok := Name(got, names); name != want || ok != (want != "") {
			t.Errorf("Name(%q) = %q, %v, want %q", got, name, ok, want)
		}
	}
	if name, ok := Name("x", nil); ok {
		t.Errorf("Name without names = %q", name)
	}
}
