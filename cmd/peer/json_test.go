package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// With --json every command prints JSON documents only, each with its schema; when it fails, standard output is empty and
// standard error holds one problem. A command that is added must be added here.
func TestEveryCommandPrintsDocuments(t *testing.T) {
	dir, err := os.MkdirTemp("", "peer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { killDaemons(dir); os.RemoveAll(dir) })
	if err := os.Symlink(testBinary(t), filepath.Join(dir, "peer")); err != nil {
		t.Fatal(err)
	}
	good := map[string]string{
		"up":            "up -d",
		"put":           "put a 1",
		"history":       "history a",
		"diff":          "diff a",
		"backup create": "backup create FILE.backup",
		"get":           "get a",
		"ls":            "ls",
		"export":        "export -o FILE",
		"import":        "import FILE",
		"status":        "status",
		"version":       "version",
		"completion":    "completion bash",
		"devices":       "devices",
		"devices list":  "devices list",
		"devices show":  "devices show laptop",
		"conflicts":     "conflicts",
		"policy":        "policy",
		"policy set":    "policy set a/** newest",
		"invites":       "invites",
		"invites list":  "invites list",
		"invite":        "invite",
		"tx":            "tx TX",
		"doctor":        "doctor",
		"dev":           "dev --demo",
		"man":           "man FILE.man",
		"config":        "config",
		"config show":   "config show --origin",
		"config set":    "config set space home",
		"config get":    "config get name",
		"config path":   "config path",
		"config unset":  "config unset space",
		"sync":          "sync",
		"repair":        "repair",
		"sim":           "sim --seed 1 --out FILE-sim",
		"sim run":       "sim run --seed 1 --runs 3 --devices 3 --ops 4 --out FILE-sweep",
		"sim replay":    "sim replay FILE-sim --out FILE-again",
		"sim view":      "sim view FILE-sim",
		"sim scenarios": "sim scenarios",
		"watch":         "watch --since  --once",
		"del":           "del a",
		"down":          "down",
	}
	bad := map[string]string{
		"conflicts show":      "conflicts show none",
		"resolve":             "resolve none --keep 1",
		"invites accept":      "invites accept none",
		"invites reject":      "invites reject none",
		"invites close":       "invites close none",
		"join":                "join nonsense",
		"devices add-address": "devices add-address nobody /ip4/127.0.0.1/tcp/1",
		"get":                 "get none",
		"history":             "history none",
		"diff":                "diff none",
		"backup":              "backup",
		"backup create":       "backup create FILE/x/y",
		"backup restore":      "backup restore FILE",
		"restore":             "restore none --version x",
		"put":                 "put a//b 1",
		"import":              "import none",
		"tx":                  "tx FILE",
		"doctor":              "doctor x",
		"dev":                 "dev --devices 1",
		"man":                 "man",
		"ping":                "ping nobody",
		"config":              "config x",
		"config show":         "config show x",
		"config set":          "config set nmae x",
		"config get":          "config get poll",
		"config path":         "config path x",
		"config unset":        "config unset nmae",
		"config edit":         "config edit",
		"del":                 "del none",
		"watch":               "watch --once --since x",
		"sync":                "sync --device nobody",
		"repair":              "repair /a",
		"devices show":        "devices show nobody",
		"up":                  "up -d",
		"export":              "export /a",
		"ls":                  "ls /a",
		"status":              "status --space none",
		"devices":             "devices x",
		"invites":             "invites x",
		"conflicts":           "conflicts /a",
		"undo":                "undo none",
		"policy":              "policy x",
		"policy set":          "policy set a/** latest",
		"policy unset":        "policy unset none",
		"invite":              "invite --expires 900h",
		"sim":                 "sim --runs 0",
		"sim run":             "sim run --scenario nothing-such",
		"sim replay":          "sim replay none",
		"sim shrink":          "sim shrink FILE-sim",
		"sim view":            "sim view none",
		"sim scenarios":       "sim scenarios --show nothing-such",
		"completion":          "completion tcsh",
		"version":             "version x",
		"devices list":        "devices list x",
		"invites list":        "invites list x",
		"down":                "down x",
	}
	if err := os.WriteFile(filepath.Join(dir, "tx"), []byte("put t 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	order := []string{"up", "put", "get", "watch", "ls", "export", "import", "sim"} // the rest in any order
	run := func(line string) (stdout, stderr string, code int) {
		line = strings.NewReplacer("FILE", filepath.Join(dir, "f"), "TX", filepath.Join(dir, "tx")).Replace(line)
		args := append([]string{"--dir", filepath.Join(dir, "d"), "--json"}, strings.Split(line, " ")...)
		cmd := exec.Command(filepath.Join(dir, "peer"), args...)
		cmd.Env = append(os.Environ(), "PEER_NO_LAN=1", "PEER_NAME=laptop", "HOME="+dir, "XDG_RUNTIME_DIR="+dir)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		cmd.Run()
		return out.String(), errs.String(), cmd.ProcessState.ExitCode()
	}
	check := func(line string, fails bool) {
		stdout, stderr, code := run(line)
		if got, err := schemas(stdout); err != nil || len(got) == 0 == !fails {
			t.Errorf("%s: stdout holds the documents %q, %v:\n%s", line, got, err, stdout)
		}
		if got, err := schemas(stderr); err != nil || fails != (strings.Join(got, " ") == "problem") || !fails && stderr != "" {
			t.Errorf("%s: stderr holds the documents %q, %v:\n%s", line, got, err, stderr)
		}
		if fails != (code != 0) {
			t.Errorf("%s: exit code %d", line, code)
		}
	}
	done := map[string]bool{}
	for _, name := range order {
		check(good[name], false)
		done[name] = true
	}
	commands(newRoot(newApp(nil)), func(name string) {
		if _, ok := bad[name]; !ok {
			t.Errorf("peer %s: no failing example here", name)
		} else {
			check(bad[name], true)
		}
		if line, ok := good[name]; ok && !done[name] && name != "del" && name != "down" {
			check(line, false)
		}
	})
	check(good["del"], false)
	check(good["down"], false)
}

// commands calls f with the name of every command that does something.
func commands(root *cobra.Command, f func(name string)) {
	for _, c := range root.Commands() {
		name := strings.TrimPrefix(c.CommandPath(), "peer ")
		if c.Runnable() && name != "help" {
			f(name)
		}
		commands(c, f)
	}
}

// testBinary is this test's program, which is peer when it is called so.
func testBinary(t *testing.T) string {
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return name
}
