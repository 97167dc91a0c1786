package scenario_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"syncline/sim/scenario"
)

const reference = "../../docs/reference/scenarios.md"

// blocks returns the fenced blocks of the reference by what stands after the fence.
func blocks(t *testing.T) map[string][]string {
	t.Helper()
	b, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for i, part := range strings.Split("\n"+string(b), "\n```") {
		if i%2 == 1 {
			info, text, _ := strings.Cut(part, "\n")
			out[info] = append(out[info], text+"\n")
		}
	}
	return out
}

// TestExamplesOfTheReferenceAreRead: every example of the reference is a scenario, and together they show every action, key and verb.
func TestExamplesOfTheReferenceAreRead(t *testing.T) {
	found := blocks(t)
	examples := found["toml"]
	for _, at := range found["toml at"] {
		examples = append(examples, "devices = [\"laptop\", \"phone\", \"tablet\", \"nas\"]\n"+at)
	}
	if len(found["toml"]) < 2 || len(found["toml at"]) < 3 {
		t.Fatalf("%d whole examples and %d parts", len(found["toml"]), len(found["toml at"]))
	}
	shown := map[scenario.Action]bool{}
	for _, text := range examples {
		s, err := scenario.Parse("example.toml", []byte(text))
		if err != nil {
			t.Errorf("%v\n%s", err, text)
			continue
		}
		for _, o := range s.Ops {
			shown[o.Do] = true
		}
		backAndForth(t, s)
	}
	for _, do := range []scenario.Action{scenario.DoWrite, scenario.DoRead, scenario.DoPolicy, scenario.DoDamage, scenario.DoRepair, scenario.DoSync, scenario.DoJoin, scenario.DoClone, scenario.DoPartition, scenario.DoDisconnect,
		scenario.DoStall, scenario.DoHeal, scenario.DoLoss, scenario.DoDuplicate, scenario.DoReorder, scenario.DoSlow, scenario.DoReset, scenario.DoCrash, scenario.DoRestart,
		scenario.DoBackup, scenario.DoRestore, scenario.DoDiskFull, scenario.DoClock} {
		if !shown[do] {
			t.Errorf("there is no example of %s", do)
		}
	}
}

// TestMistakesOfTheReference are told as the reference says.
func TestMistakesOfTheReference(t *testing.T) {
	found := blocks(t)
	if len(found["toml broken"]) != 1 || len(found["text"]) != 1 {
		t.Fatalf("%d broken examples with %d answers, want one", len(found["toml broken"]), len(found["text"]))
	}
	_, err := scenario.Parse("broken.toml", []byte(found["toml broken"][0]))
	if got, want := fmt.Sprintln(err), found["text"][0]; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestTheReferenceListsTheBuiltins, with the sentences that they say of themselves.
func TestTheReferenceListsTheBuiltins(t *testing.T) {
	b, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range scenario.Names() {
		s, err := scenario.Builtin(name, 1, scenario.Overrides{})
		if err != nil {
			t.Fatal(err)
		}
		if line := fmt.Sprintf("| `%s` | %s |\n", name, s.About); s.Name != name || s.About == "" || !strings.Contains(string(b), line) {
			t.Errorf("%s calls itself %q; the reference lacks the line\n%s", name, s.Name, line)
		}
		backAndForth(t, s)
	}
}
