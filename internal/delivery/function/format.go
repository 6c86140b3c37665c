package function

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stagelog/stagelog/internal/accesslog"
)

// fieldVariables name the environment variables with the top-level fields of a format's variables.
var fieldVariables = map[string]string{
	accesslog.VarKeyID: "STAGELOG_FIELD_KEY_ID", accesslog.VarAPIID: "STAGELOG_FIELD_API_ID",
	accesslog.VarStage: "STAGELOG_FIELD_STAGE", accesslog.VarAPIKey: "STAGELOG_FIELD_API_KEY",
}

// FormatOf returns the format of the records, as far as enrichment needs it, from the function's environment variables.
func FormatOf(env func(name string) string) (*accesslog.Format, error) {
	text := env("STAGELOG_FORMAT")
	if text == "" {
		text = "classic"
		if env("STAGELOG_PRESET") == "apiable" {
			text = "apiable"
		}
	}
	if preset, ok := accesslog.Preset(text); ok {
		text = preset
	} else if !strings.Contains(text, "$context.") {
		return nil, fmt.Errorf("STAGELOG_FORMAT must be a log format or one of %s", strings.Join(accesslog.Presets(), ", "))
	}
	format := accesslog.Parse(text)
	named := map[string]string{} // variables by field
	for variable, setting := range fieldVariables {
		if field := env(setting); field != "" {
			named[field] = variable
		}
	}
	if len(named) == 0 {
		return format, nil
	}
	object, err := json.Marshal(named)
	if err != nil {
		return nil, fmt.Errorf("read the names of fields: %w", err)
	}
	others := format.Select(func(p accesslog.Place) bool {
		for variable, setting := range fieldVariables {
			if env(setting) == "" && p.Has(variable) && named[p.Path[0]] == "" {
				return true
			}
		}
		return false
	})
	if others != "{}" {
		object = append(append(object[:len(object)-1], ','), others[1:]...)
	}
	return accesslog.Parse(string(object)), nil
}
