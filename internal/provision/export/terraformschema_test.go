package export

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/testenv"
)

// providerPackage is generated from the schema of hashicorp/aws and is the only form of it that can be had without the
// provider itself.
const providerPackage = "@cdktf/provider-aws@21.22.1"

// schema holds the arguments of a resource, a data source or a block.
type schema struct {
	arguments map[string]string // the name of a nested block's schema, "" for an attribute
	required  []string
}

// Each argument of the export is one that the provider has, in the form that it has, and none that it requires is missing.
func TestTerraformFollowsProviderSchema(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	sources := providerSources(t)
	checked, schemas := 0, map[string]map[string]schema{}
	for name, yaml := range everyPipeline() {
		set, err := newSettings(load(t, yaml))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range (&configuration{settings: set, home: set.Region}).body().parts {
			words := strings.Fields(strings.ReplaceAll(p.name, `"`, ""))
			if p.inner == nil || len(words) < 2 || words[0] != "resource" && words[0] != "data" {
				continue
			}
			file := strings.ReplaceAll(strings.TrimPrefix(words[1], "aws_"), "_", "-")
			if words[0] == "data" {
				file = "data-aws-" + file
			}
			all := schemas[file]
			if all == nil {
				all = schemasOf(sources[file])
				schemas[file] = all
			}
			if all[""].arguments == nil {
				t.Errorf("%s: the provider has no %s", name, p.name)
				continue
			}
			checked += checkBody(t, all, "", p.inner, name+": "+words[1])
		}
	}
	t.Logf("checked %d arguments", checked)
	if checked == 0 {
		t.Error("no argument was checked")
	}
}

// checkBody compares a body with a schema and returns the number of its arguments.
func checkBody(t *testing.T, all map[string]schema, of string, b *body, at string) (checked int) {
	t.Helper()
	var seen []string
	for _, p := range b.parts {
		if p.name == "" || of == "" && slices.Contains([]string{"depends_on", "lifecycle"}, p.name) {
			continue
		}
		checked++
		seen = append(seen, p.name)
		block, known := all[of].arguments[p.name]
		switch {
		case !known:
			t.Errorf("%s has no argument %s", at, p.name)
		case (p.inner != nil) != (block != ""):
			t.Errorf("%s: %s is a block: %v, want %v", at, p.name, p.inner != nil, block != "")
		case p.inner != nil:
			checked += checkBody(t, all, block, p.inner, at+"."+p.name)
		}
	}
	for _, name := range all[of].required {
		if !slices.Contains(seen, name) {
			t.Errorf("%s lacks %s, which the provider requires", at, name)
		}
	}
	return checked
}

var (
	// part of a source with the arguments of one schema, and the name of a block's; "" for that of the resource itself
	argumentsPart = regexp.MustCompile(`(?ms)^(?:function (\w+)ToHclTerraform\(struct\)|    synthesizeHclAttributes\(\)) \{.*?^ +const attrs = \{\n(.*?)^ +\};`)
	sourceArg     = regexp.MustCompile(`(?m)^ +(\w+): \{\n +value: (.*(?:struct\.|this\._)(\w+).*),\n +isBlock: (true|false),`)
	blockSchema   = regexp.MustCompile(`(?:^|[^.\w])([a-z]\w*)ToHclTerraform`)
	classPart     = regexp.MustCompile(`(?ms)^class (\w+?)(?:OutputReference)? extends cdktf\.(?:Complex|Terraform)\w+ \{\n(.*?)^\}`)
)

// schemasOf returns the schemas in the source of a resource, by name.
func schemasOf(source string) map[string]schema {
	classes, resource := map[string]string{}, ""
	for _, c := range classPart.FindAllStringSubmatch(source, -1) {
		classes[c[1]] += c[2]
		resource = c[1] // the last one
	}
	all := map[string]schema{}
	for _, part := range argumentsPart.FindAllStringSubmatch(source, -1) {
		class := classes[resource]
		if part[1] != "" {
			class = classes[upper(part[1])]
		}
		s := schema{arguments: map[string]string{}}
		for _, a := range sourceArg.FindAllStringSubmatch(part[2], -1) {
			s.arguments[a[1]] = ""
			if nested := blockSchema.FindStringSubmatch(a[2]); a[4] == "true" && nested != nil {
				s.arguments[a[1]] = nested[1]
			}
			// What is optional can be reset.
			if strings.Contains(class, "get "+a[3]+"Input()") && !strings.Contains(class, "reset"+upper(a[3])+"()") {
				s.required = append(s.required, a[1])
			}
		}
		all[part[1]] = s
	}
	return all
}

func upper(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

// providerSources returns the sources in the package by the name of their folder. It skips the test if npm cannot get it.
func providerSources(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	testenv.NeedTool(t, providerPackage, "npm", "pack", "--silent", "--cache", filepath.Join(dir, "cache"), "--pack-destination", dir, providerPackage)
	packed, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(packed) != 1 {
		t.Fatalf("npm pack wrote %v (%v)", packed, err)
	}
	f, err := os.Open(packed[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	for files := tar.NewReader(unzipped); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return sources
		}
		if err != nil {
			t.Fatal(err)
		}
		if folder, isSource := strings.CutSuffix(h.Name, "/index.js"); isSource {
			text, err := io.ReadAll(files)
			if err != nil {
				t.Fatal(err)
			}
			sources[filepath.Base(folder)] = string(text)
		}
	}
}
