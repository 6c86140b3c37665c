//go:build !release

package bundle

// embedded returns nil, because this build is not a release.
func embedded(string) []byte { return nil }
