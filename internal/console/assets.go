package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strings"

	"github.com/stagelog/stagelog/internal/lake/chart"
)

//go:embed assets templates
var files embed.FS

// assets holds the files that pages load. Their URLs contain a hash of the content, so that browsers may cache them forever.
type assets struct {
	templates *template.Template
	byName    map[string][]byte // by name with hash
	names     map[string]string // name to name with hash
}

func newAssets() assets {
	a := assets{byName: map[string][]byte{}, names: map[string]string{}}
	entries, err := files.ReadDir("assets")
	if err != nil {
		panic("BUG: embedded assets: " + err.Error())
	}
	for _, e := range entries {
		body, err := files.ReadFile("assets/" + e.Name())
		if err != nil {
			panic("BUG: embedded assets: " + err.Error())
		}
		a.add(e.Name(), body)
	}
	a.add("chart.css", []byte(chart.CSS))
	a.templates = template.Must(chart.Define(template.New("").Funcs(a.funcs())).ParseFS(files, "templates/*.html"))
	return a
}

// add adds a file under a name that contains its hash.
func (a assets) add(file string, body []byte) {
	sum := sha256.Sum256(body)
	ext := path.Ext(file)
	name := strings.TrimSuffix(file, ext) + "." + hex.EncodeToString(sum[:6]) + ext
	a.byName[name], a.names[file] = body, name
}

// funcs returns the functions that templates call.
func (a assets) funcs() template.FuncMap {
	return template.FuncMap{
		"asset":   func(name string) string { return "/assets/" + a.names[name] },
		"count":   count,
		"short":   func(n any) string { return short(number(n)) },
		"bytes":   byteSize,
		"millis":  millis,
		"percent": percent,
		"stamp":   stamp,
		"clock":   clock,
		"age":     age,
		"class":   statusClass,
		"orNone":  orNone,
		"took":    took,
	}
}

func (a assets) serve(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	body, ok := a.byName[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	w.Header().Set("Content-Type", types[path.Ext(name)])
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Write(body) //nolint:errcheck // the client disconnected
}

// number converts a template's number to float64.
func number(n any) float64 {
	switch n := n.(type) {
	case int64:
		return float64(n)
	case int:
		return float64(n)
	case float64:
		return n
	}
	panic(fmt.Sprintf("BUG: %T is no number", n))
}
