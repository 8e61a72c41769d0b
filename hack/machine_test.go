// Package hack tests the scripts beside it.
package hack

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// picture is what machine.sh prints of a machine whose root and home are these directories.
func picture(t *testing.T, root, home string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "./machine.sh", root)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return string(output)
}

func TestPictureOfAMachine(t *testing.T) {
	tests := map[string]struct {
		change string
		shown  bool
	}{
		"a device that became a file":   {"rm ROOT/dev/null && : >ROOT/dev/null", true},
		"a device that is gone":         {"rm ROOT/dev/null", true},
		"a mode":                        {"chmod 600 ROOT/etc/hosts", true},
		"a new file of the system":      {": >ROOT/etc/new", true},
		"a file that was replaced":      {"echo b >HOME/.profile.lock && mv HOME/.profile.lock HOME/.profile", true},
		"git's configuration":           {"HOME=HOME git config --global user.name Nobody", true},
		"another program's settings":    {"mkdir -p HOME/.config/x && : >HOME/.config/x/y", true},
		"a new directory in the home":   {"mkdir HOME/.kube", true},
		"a cache":                       {": >HOME/.cache/new", false},
		"a cache that was not there":    {"mkdir HOME/.npm", false},
		"a module":                      {"mkdir -p HOME/go/pkg", false},
		"what Go counts of its own use": {"mkdir -p HOME/.config/go/telemetry && : >HOME/.config/go/telemetry/x", false},
		"nothing":                       {":", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, home := t.TempDir(), t.TempDir()
			shell(t, root, home, "mkdir ROOT/dev ROOT/etc && mkfifo ROOT/dev/null && : >ROOT/etc/hosts && "+
				"mkdir -p HOME/.cache HOME/.config/go && echo a >HOME/.profile && touch -d @1 HOME/.profile")
			before := picture(t, root, home)
			shell(t, root, home, test.change)
			if after := picture(t, root, home); (before != after) != test.shown {
				t.Errorf("shown: %v, want %v:\n%s", before != after, test.shown, after)
			}
		})
	}
}

// shell runs a line in which ROOT and HOME stand for the directories.
func shell(t *testing.T, root, home, line string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "sh", "-ec", line)
	command.Dir = t.TempDir()
	for from, to := range map[string]string{"ROOT": root, "HOME": home} {
		if err := os.Symlink(to, filepath.Join(command.Dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", line, err, output)
	}
}
