package bundle

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"path"

	"github.com/stagelog/stagelog/internal/delivery/function"
)

const writeOne = "; run `stagelog export zip` to write a valid one"

// maxProgram bounds the program of a deployment package (AWS: all of the package has at most 250 MB unzipped).
const maxProgram = 250 << 20

// Check returns an error if data is not a deployment package that Lambda can run on the architecture: a zip whose file bootstrap
// is executable, and a script or a program for that architecture. The error's text is the fault and, after a semicolon, how to
// write a zip without it.
func Check(data []byte, arch string) error {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return fmt.Errorf("not a zip file (%w)%s", err, writeOne)
	}
	var elsewhere string
	for _, f := range z.File {
		if f.Name == function.BootstrapName {
			return checkProgram(f, arch)
		}
		if path.Base(f.Name) == function.BootstrapName {
			elsewhere = fmt.Sprintf(", but %q: zip the file without its directory", f.Name)
		}
	}
	return fmt.Errorf("the zip has no file bootstrap, which Lambda runs%s%s", elsewhere, writeOne)
}

// machines maps Lambda's architectures to those of ELF programs.
var machines = map[string]elf.Machine{"arm64": elf.EM_AARCH64, "x86_64": elf.EM_X86_64}

func checkProgram(f *zip.File, arch string) error {
	if f.Mode().Perm()&0o111 == 0 {
		return fmt.Errorf("the zip's bootstrap is not executable (its mode is %v), so Lambda cannot start it; run chmod +x before zipping it", f.Mode().Perm())
	}
	content, err := f.Open()
	if err != nil {
		return fmt.Errorf("the zip's bootstrap cannot be read (%w)%s", err, writeOne)
	}
	defer content.Close() // only read
	program, err := io.ReadAll(io.LimitReader(content, maxProgram))
	if err != nil {
		return fmt.Errorf("the zip's bootstrap cannot be read (%w)%s", err, writeOne)
	}
	if bytes.HasPrefix(program, []byte("#!")) {
		return nil
	}
	header, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return fmt.Errorf("the zip's bootstrap is not a program for Linux%s", writeOne)
	}
	defer header.Close() // only read
	if header.Machine != machines[arch] {
		have := header.Machine.String()
		for name, m := range machines {
			if m == header.Machine {
				have = name
			}
		}
		return fmt.Errorf("the zip's bootstrap is for %s, but the function's architecture is %s; set aws.architecture, or run `stagelog export zip --arch %s`", have, arch, arch)
	}
	return nil
}
