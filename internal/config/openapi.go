package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/accesslog/nearest"
	"github.com/stagelog/stagelog/internal/config/yamlfile"
	"github.com/stagelog/stagelog/internal/encoding/openapi"
)

// maxDocument is API Gateway's limit for an OpenAPI document, 6 MB.
const maxDocument = 6 << 20

// readDocument reads the OpenAPI document that v names, by a path relative to the folder of v's file.
func readDocument(v yamlfile.Value) *openapi.Document {
	path, ok := v.Literal()
	if !ok {
		return nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(v.File()), path)
	}
	data, err := yamlfile.Load(path, maxDocument)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		v.Problemf(nearFile(path), "%s not found", v.Shown())
		return nil
	case err != nil:
		var at *fs.PathError
		if errors.As(err, &at) {
			err = at.Err // the message already has the path
		}
		v.Problemf("", "read %s: %v", v.Shown(), err)
		return nil
	case len(data) > maxDocument:
		v.Problemf("", "%s is larger than %d bytes", v.Shown(), maxDocument)
		return nil
	}
	doc, err := openapi.ParseRoutes(data)
	if err != nil {
		v.Problemf("", "%s: %v", v.Shown(), err)
		return nil
	}
	for _, w := range doc.Warnings {
		v.Warnf("it has no effect on this machine", "%s: %s", v.Shown(), w)
	}
	return doc
}

// nearFile suggests the file of the same folder with the nearest name.
func nearFile(path string) string {
	entries, _ := os.ReadDir(filepath.Dir(path)) // a folder that cannot be read suggests nothing
	var names []string
	for _, e := range entries {
		if slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(e.Name()))) {
			names = append(names, e.Name())
		}
	}
	if like, ok := nearest.Name(filepath.Base(path), names); ok {
		return "did you mean " + like + "?"
	}
	return "give the path relative to the directory of this file"
}
