//go:build release

package bundle

import _ "embed" // for the zips

// `make release` puts the zips here before it builds with this tag. Without them the compiler
// reports "no matching files found".

//go:embed enricher-arm64.zip
var arm64 []byte

//go:embed enricher-x86_64.zip
var x86 []byte

func embedded(arch string) []byte {
	return map[string][]byte{"arm64": arm64, "x86_64": x86}[arch]
}
