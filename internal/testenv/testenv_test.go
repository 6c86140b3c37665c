package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestNeedRunsSelectedLevels(t *testing.T) {
	for _, tt := range []struct {
		asked                     string
		need, needPlain, otherToo bool // run for E2E, and for Kill
	}{
		{"", false, true, false}, {"e2e", true, true, false}, {"kill", false, false, true}, {"interop,e2e,kill", true, true, true}, {"all", true, true, true},
	} {
		t.Setenv(Variable, tt.asked)
		run := func(need func(testing.TB, string), level string) bool {
			ran := false
			t.Run(tt.asked, func(t *testing.T) { need(t, level); ran = true })
			return ran
		}
		if run(Need, E2E) != tt.need || run(NeedPlain, E2E) != tt.needPlain || run(Need, Kill) != tt.otherToo {
			t.Errorf("%s=%s: want Need(e2e) to run: %v, NeedPlain(e2e): %v, Need(kill): %v", Variable, tt.asked, tt.need, tt.needPlain, tt.otherToo)
		}
	}
}

func TestMissingToolSkips(t *testing.T) {
	ran := false
	t.Run("missing", func(t *testing.T) { NeedTool(t, "tool", filepath.Join(t.TempDir(), "missing")); ran = true })
	if ran {
		t.Error("NeedTool did not skip the test")
	}
}

func TestEnvironHidesUserHome(t *testing.T) {
	for name, value := range map[string]string{"AWS_PROFILE": "mine", "STAGELOG_FILE": "mine", "XDG_CONFIG_HOME": "mine", "KEPT": "kept", "HOME": os.Getenv("HOME")} {
		t.Setenv(name, value)
	}
	home := t.TempDir()
	cmd := exec.Command("env")
	cmd.Env = Environ(home, "AWS_REGION=eu-west-1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := "\n" + string(out)
	for _, want := range []string{"\nHOME=" + home + "\n", "\nXDG_CONFIG_HOME=" + home, "\nAWS_CONFIG_FILE=" + home, "\nKEPT=kept\n", "\nAWS_REGION=eu-west-1\n", "\nGOCACHE="} {
		if !strings.Contains(got, want) {
			t.Errorf("the environment does not contain %q:\n%s", strings.TrimSpace(want), out)
		}
	}
	if strings.Contains(got, "=mine") {
		t.Errorf("the environment has the user's settings:\n%s", out)
	}
}

func TestIsolateHidesUserHome(t *testing.T) {
	t.Setenv("AWS_PROFILE", "mine")
	before := os.Getenv("HOME")
	t.Run("isolated", func(t *testing.T) {
		Isolate(t)
		if os.Getenv("AWS_PROFILE") != "" || os.Getenv("HOME") == before || !strings.HasPrefix(os.Getenv("AWS_CONFIG_FILE"), os.Getenv("HOME")) {
			t.Errorf("the user's settings remain: AWS_PROFILE=%s HOME=%s", os.Getenv("AWS_PROFILE"), os.Getenv("HOME"))
		}
	})
	if got := os.Getenv("HOME"); got != before {
		t.Errorf("HOME = %s after the test, want %s", got, before)
	}
}
