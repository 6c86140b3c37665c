package provision

import (
	"slices"
	"testing"
)

func TestDiffLines(t *testing.T) {
	for _, tt := range []struct {
		name, have, want string
		diff             []string
	}{
		{"same", "a\nb", "a\nb", []string{"  a", "  b"}},
		{"changed line", "a\nb\nc", "a\nx\nc", []string{"  a", "- b", "+ x", "  c"}},
		{"added and removed", "a\nb", "b\nc", []string{"- a", "  b", "+ c"}},
		{"new document", "", "a\nb", []string{"+ a", "+ b"}},
		{"removed document", "a", "", []string{"- a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := DiffLines(tt.have, tt.want); !slices.Equal(got, tt.diff) {
				t.Errorf("DiffLines(%q, %q) = %q, want %q", tt.have, tt.want, got, tt.diff)
			}
		})
	}
}
