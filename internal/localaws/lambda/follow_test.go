package lambda

import (
	"os"
	"testing"

	"github.com/stagelog/stagelog/internal/record/recordtest"
)

// A function that one process gets is run by the other, which has a disk of its own.
func TestFunctionsReachOtherProcesses(t *testing.T) {
	code := &recordtest.Store{}
	w, o := newWorld(t), newWorld(t)
	o.store = w.store
	w.cfg.Code, o.cfg.Code = code, code
	w.restart()
	o.restart()
	refresh := func(p *world) {
		t.Helper()
		if err := p.shared.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if r := w.create("echo", "one"); r.status != 201 {
		t.Fatalf("create: %d %s", r.status, r.text)
	}
	refresh(o)
	if got := o.said("echo", "said"); got != "one" {
		t.Errorf("the other process's function says %q", got)
	}
	running, _ := o.get("echo")
	if r := w.call("POST", "/2017-03-31/tags/"+w.arn("echo"), `{"Tags":{"a":"b"}}`); r.status != 204 {
		t.Fatalf("tag: %d %s", r.status, r.text)
	}
	refresh(o)
	if d, _ := o.get("echo"); d.host != running.host || d.doc.Tags["a"] != "b" {
		t.Errorf("after a change of tags: tags %v, the same processes: %v", d.doc.Tags, d.host == running.host)
	}
	if r := o.call("PUT", functions+"/echo/code", `{"S3Bucket":"code","S3Key":"f.zip"}`); r.status != 200 {
		t.Fatalf("update code: %d %s", r.status, r.text)
	}
	refresh(w)
	if got := w.said("echo", "said"); got != "fetched" {
		t.Errorf("after the other process's change the function says %q", got)
	}
	if n := len(code.Docs()); n != 1 {
		t.Errorf("%d pieces of code are stored, want those of the newest only", n)
	}
	if err := os.RemoveAll(o.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	o.restart() // a new machine
	if got := o.said("echo", "said"); got != "fetched" {
		t.Errorf("after the loss of its disk the function says %q", got)
	}
	if r := w.call("DELETE", functions+"/echo", ""); r.status != 204 {
		t.Fatalf("delete: %d %s", r.status, r.text)
	}
	refresh(o)
	if _, ok := o.get("echo"); ok || len(code.Docs()) != 0 {
		t.Errorf("after the deletion: known %v, stored code %d", ok, len(code.Docs()))
	}
}
