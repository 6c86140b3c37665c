package host

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// environment returns the function's variables, those that Lambda sets, and PATH. It does not pass on the rest of this
// process's environment, which may contain the user's credentials.
func environment(cfg *Config, runtimeAPI string) []string {
	env := map[string]string{}
	for name, value := range cfg.Environment {
		env[name] = value
	}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID":     cfg.Credentials.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY": cfg.Credentials.SecretAccessKey,
		"AWS_SESSION_TOKEN":     cfg.Credentials.SessionToken,
	} {
		if value != "" {
			env[name] = value
		}
	}
	maps.Copy(env, map[string]string{
		"AWS_LAMBDA_RUNTIME_API":          runtimeAPI,
		"AWS_LAMBDA_FUNCTION_NAME":        cfg.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     cfg.Version,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(cfg.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + cfg.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      "local",
		"AWS_REGION":                      cfg.Region,
		"AWS_DEFAULT_REGION":              cfg.Region,
		"LAMBDA_TASK_ROOT":                cfg.CodeDir,
		"LAMBDA_RUNTIME_DIR":              cfg.CodeDir,
		"_HANDLER":                        cfg.Handler,
		"PATH":                            os.Getenv("PATH"),
		"TMPDIR":                          filepath.Join(cfg.StateDir, "tmp"),
		"LANG":                            "en_US.UTF-8",
	})
	if env["TZ"] == "" {
		env["TZ"] = ":UTC"
	}
	out := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		out = append(out, name+"="+env[name])
	}
	return out
}
