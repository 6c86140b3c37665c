package doctor_test

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/doctor"
	"github.com/stagelog/stagelog/internal/provision/moto"
)

// programFor returns a zip with the start of a program for a machine.
func programFor(t *testing.T, machine elf.Machine) []byte {
	t.Helper()
	var code bytes.Buffer
	z := zip.NewWriter(&code)
	h := &zip.FileHeader{Name: "bootstrap"}
	h.SetMode(0o755)
	w := must(z.CreateHeader(h))(t)
	start := elf.Header64{Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT)}
	if err := binary.Write(w, binary.LittleEndian, start); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return code.Bytes()
}

// withCode returns clients whose GetFunction links to the code, as in AWS; moto does not keep the code.
func withCode(t *testing.T, s *moto.Server, code []byte) *provision.Clients {
	t.Helper()
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.URL.Query().Get("X-Amz-Signature") != "secret" || code == nil {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write(code) // the client reports it
	}))
	t.Cleanup(store.Close)
	return withLink(s, store.URL+"/?X-Amz-Signature=secret")
}

// withLink returns clients whose GetFunction answers with a link.
func withLink(s *moto.Server, link string) *provision.Clients {
	return provision.NewClients(moto.Tap(func(call string) (any, error) {
		if call != "Lambda GetFunction" {
			return nil, nil
		}
		return &lambda.GetFunctionOutput{Code: &types.FunctionCodeLocation{Location: &link}}, nil
	}).On(s.Config(nil)))
}

func TestCodeForAnotherArchitectureFails(t *testing.T) {
	s := moto.Start(t)
	b := good().build(t, provision.NewClients(s.Config(nil)))
	const name = "function: code"
	right, wrong := programFor(t, elf.EM_AARCH64), programFor(t, elf.EM_X86_64)

	f := examine(t, withCode(t, s, right), b.own(), doctor.Options{})
	f.expect(t, name, doctor.OK, "its program is for arm64")
	f = examine(t, withCode(t, s, wrong), b.own(), doctor.Options{})
	f.expect(t, name, doctor.Failed, "the zip's bootstrap is for x86_64, but the function's architecture is arm64", "Runtime.InvalidEntrypoint", "stagelog deploy")
	f = examine(t, withCode(t, s, wrong), b.target(), doctor.Options{})
	f.expect(t, name, doctor.Failed, "stagelog export zip --arch arm64 --out stagelog-enricher.zip\naws lambda update-function-code --region eu-west-1")
	f = examine(t, withCode(t, s, emptyZip(t)), b.own(), doctor.Options{})
	f.expect(t, name, doctor.Failed, "its code cannot run: the zip's bootstrap is not executable")

	target := b.own()
	target.Spec.Architecture = "x86_64"
	f = examine(t, withCode(t, s, right), target, doctor.Options{})
	f.expect(t, name, doctor.OK)
	f.expect(t, "function: architecture", doctor.Warning, "the function runs on arm64, the pipeline's architecture is x86_64", "stagelog deploy")
}

func TestUnreadableCodeIsUnknown(t *testing.T) {
	s := moto.Start(t)
	b := good()
	b.function.Architectures = nil
	b.build(t, provision.NewClients(s.Config(nil)))
	closed := httptest.NewServer(nil)
	closed.Close()
	denied := denier{call: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, *b.function.FunctionName) }}
	for _, tt := range []struct {
		name  string
		c     *provision.Clients
		cause string
	}{
		{"no link", withLink(s, ""), "no link to the code"},
		{"code that moto does not have", b.c, "could not be downloaded: moto has no code"},
		{"expired link", withCode(t, s, nil), "could not be downloaded: HTTP status 403 Forbidden"},
		{"too large", withCode(t, s, make([]byte, 50<<20+1)), "larger than 50 MiB"},
		{"unreachable", withLink(s, closed.URL+"/?X-Amz-Signature=secret"), "connection refused"},
		{"not a link", withLink(s, "http://secret:%/"), "not a URL"},
		{"denied", provision.NewClients(s.Config(denied)), "lack lambda:GetFunction on " + functionARNs + *b.function.FunctionName},
	} {
		f := examine(t, tt.c, b.target(), doctor.Options{})
		f.expect(t, "function: code", doctor.Skipped, "whether its program is for x86_64", tt.cause)
		if all := text(f); strings.Contains(all, "secret") {
			t.Errorf("%s: doctor prints the link, which is a secret: %s", tt.name, all)
		}
	}
}
