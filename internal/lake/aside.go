package lake

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// SetAside renames the damaged file of a closed lake and returns its new path. It replaces one that was set aside before.
func SetAside(path string) (aside string, err error) {
	aside = path + ".damaged"
	for _, end := range []string{"", ".wal"} {
		if err := os.Rename(path+end, aside+end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("set the damaged lake aside: %w", err)
		}
	}
	return aside, nil
}
