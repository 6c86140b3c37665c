package function

import (
	"cmp"
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
	named, some := map[string]string{}, false
	for variable, name := range fieldVariables {
		if field := cmp.Or(env(name), format.TopLevelFields()[variable]); field != "" {
			named[field] = variable
		}
		some = some || env(name) != ""
	}
	if some {
		object, err := json.Marshal(named)
		if err != nil {
			return nil, fmt.Errorf("read the names of fields: %w", err)
		}
		format = accesslog.Parse(string(object))
	}
	return format, nil
}
