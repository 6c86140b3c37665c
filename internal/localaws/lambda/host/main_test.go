package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/stagelog/stagelog/internal/delivery/function"
)

// TestMain is also the function under test: the bootstrap of a test is a script that runs this binary with an argument.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || !strings.HasPrefix(os.Args[1], "play=") {
		os.Exit(m.Run())
	}
	switch part := strings.TrimPrefix(os.Args[1], "play="); part {
	case "lambda":
		lambda.Start(player{})
	case "exit at start":
		os.Exit(7)
	case "hang at start":
		hold()
		select {}
	case "report at start":
		post("/runtime/init/error", `{"errorType":"Config.Missing","errorMessage":"no table"}`)
		os.Exit(1)
	case "wrong ids":
		wrongIDs()
	case "sleeper":
		hold()
		select {}
	case "parent":
		playParent()
	}
}

// player is a function that does what its event says.
type player struct{}

func (player) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	var in struct {
		Do   string
		Size int
	}
	if err := json.Unmarshal(event, &in); err != nil {
		return nil, err
	}
	switch in.Do {
	case "pid":
		return fmt.Appendf(nil, "%d", os.Getpid()), nil
	case "env":
		return json.Marshal(os.Environ())
	case "deadline":
		deadline, ok := ctx.Deadline()
		return fmt.Appendf(nil, `{"set":%v,"seconds":%d}`, ok, int(time.Until(deadline).Seconds()+0.5)), nil
	case "error":
		return nil, errors.New("no luck")
	case "panic":
		panic("on purpose")
	case "exit":
		os.Exit(3)
	case "hang":
		hold()
		child := exec.Command(os.Args[0], "play=sleeper")
		if err := child.Start(); err != nil {
			return nil, err
		}
		select {}
	case "large":
		return append(append([]byte{'"'}, bytes.Repeat([]byte("x"), in.Size-2)...), '"'), nil
	case "print":
		fmt.Println(strings.Repeat("top secret ", in.Size))
		return []byte(`"printed"`), nil
	}
	return event, nil
}

// hold keeps the FIFO open that the environment names: who reads it sees the end when the last holder is dead.
func hold() {
	if path := os.Getenv("HOLD"); path != "" {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			os.Exit(9)
		}
		fmt.Fprintln(f, "held")
		held = f
	}
}

// held keeps the FIFO from being closed by the collector.
var held *os.File

func post(path, body string) int {
	resp, err := http.Post("http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+"/2018-06-01"+path, "application/json", strings.NewReader(body))
	if err != nil {
		os.Exit(8)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// wrongIDs is a runtime that answers what it was not asked.
func wrongIDs() {
	for {
		resp, err := http.Get("http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/next")
		if err != nil {
			os.Exit(8)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		id := resp.Header.Get(headerRequestID)
		first := post("/runtime/invocation/another/response", `"wrong"`)
		second := post("/runtime/invocation/"+id+"/response", fmt.Sprintf(`{"wrong id":%d}`, first))
		if third := post("/runtime/invocation/"+id+"/response", `"twice"`); second != http.StatusAccepted || third != http.StatusBadRequest {
			os.Exit(6)
		}
	}
}

// playParent hosts a function that hangs, until it is killed.
func playParent() {
	f, err := New(Config{Name: "x", CodeDir: os.Getenv("CODE"), StateDir: os.Getenv("STATE"), Timeout: time.Hour,
		Environment: map[string]string{"HOLD": os.Getenv("HOLD")}})
	if err != nil {
		os.Exit(1)
	}
	_, _ = f.Invoke(context.Background(), []byte(`{"Do":"hang"}`))
}

// code makes the folder of a function that plays part.
func code(t testing.TB, part string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := "#!/bin/sh\nexec '" + self + "' 'play=" + part + "'\n"
	if err := os.WriteFile(dir+"/"+function.BootstrapName, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// newFunction runs a part under cfg, and closes it with the test.
func newFunction(t testing.TB, part string, cfg Config) *Function {
	t.Helper()
	cfg.Name, cfg.ARN, cfg.Region = "x", "arn:aws:lambda:us-east-1:000000000000:function:x", "us-east-1"
	cfg.CodeDir, cfg.StateDir = code(t, part), t.TempDir()
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return f
}

// invoke gives the payload of a success, or the type of a function's error after a "!".
func invoke(t testing.TB, f *Function, event string) string {
	t.Helper()
	reply, err := f.Invoke(context.Background(), []byte(event))
	if err != nil {
		t.Fatalf("Invoke(%s): %v", event, err)
	}
	if reply.FunctionError == "" {
		return string(reply.Payload)
	}
	var failure function.Failure
	if err := json.Unmarshal(reply.Payload, &failure); err != nil || reply.FunctionError != function.Unhandled {
		t.Fatalf("Invoke(%s): got %s error with payload %s", event, reply.FunctionError, reply.Payload)
	}
	return "!" + failure.Type
}
