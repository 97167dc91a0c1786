package gossip

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"syncline/crdt"
)

// TestScenarios plays the scripts in testdata. A script is a list of commands, each followed by a line of four dashes and what
// comes of it, up to an empty line; -rewrite writes that anew. Commands:
//
//	devices A B…          starts anew with these devices
//	put A path value…     writes one path
//	delete A path…        deletes paths in one operation
//	forget A              forgets all deletes
//	overwrite A path n    writes one path n times
//	symbols n             lets first sketches have n symbols from now on
//	retired A n           n replicas write "p" one after the other, and A hears of it
//	many A n              writes n paths, each in an operation of its own
//	backup A, restore A   keeps the state of a device, and goes back to it
//	sync A B [believed]   runs a session and prints it; believed: A believes that B is equal
//	show A                prints what is live
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := playScript(t, string(script))
			if *rewriteFlag {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(script) {
				t.Errorf("go test ./gossip -run TestScenarios -rewrite; git diff\ngot\n%s\nwant\n%s", got, script)
			}
		})
	}
}

// playScript returns the script with what comes of its commands.
func playScript(t testing.TB, script string) string {
	var out strings.Builder
	s := &stage{t: t}
	skip := false
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "----":
			skip = true
		case skip && line != "":
		case line == "" || strings.HasPrefix(line, "#"):
			skip = false
			fmt.Fprintln(&out, line)
		default:
			fmt.Fprintln(&out, line)
			if result := s.do(strings.Fields(line)); result != "" {
				fmt.Fprintf(&out, "----\n%s", result)
			}
		}
	}
	return out.String()
}

type stage struct {
	t       testing.TB
	w       *world
	backups map[string]*device
}

func (s *stage) do(words []string) string {
	if words[0] == "devices" {
		s.w, s.backups = newWorld(s.t, words[1:]...), map[string]*device{}
		return ""
	}
	if words[0] == "symbols" {
		fmt.Sscan(words[1], &s.w.symbols)
		return ""
	}
	d := s.w.device(words[1])
	n := 0
	if len(words) > 2 {
		fmt.Sscan(words[len(words)-1], &n)
	}
	switch words[0] {
	case "retired":
		for i := range n {
			w := &device{State: d.State, name: fmt.Sprintf("r%d", i), id: replicaID(100 + i)}
			s.w.write(w, put("p", "by "+w.name))
		}
	case "many":
		for i := range n {
			s.w.write(d, put(fmt.Sprintf("many/%03d", i), "x"))
		}
	case "put":
		s.w.write(d, put(words[2], strings.Join(words[3:], " ")))
	case "overwrite":
		for i := range n {
			s.w.write(d, put(words[2], fmt.Sprintf("value %d", i+1)))
		}
	case "delete":
		slices.Sort(words[2:])
		c := del(words[2])
		changes := append(slices.Clip(s.changes(words[3:])), c)
		s.w.write(d, changes...)
	case "forget":
		s.w.forget(d)
	case "backup":
		s.backups[d.name] = &device{State: d.Clone()}
	case "restore":
		d.State = s.backups[d.name].Clone()
	case "show":
		var b strings.Builder
		for _, path := range d.Paths() {
			for _, v := range d.Get(path).Newest() {
				fmt.Fprintf(&b, "%s = %s\n", path, v.Data)
			}
		}
		return b.String()
	case "sync":
		m := s.w.meet(d, s.w.device(words[2]), len(words) > 3)
		end := ""
		if err := m.run(); err != nil {
			end = fmt.Sprintf("error: %v\n", err)
		}
		for i, x := range m.sessions {
			r := x.Result()
			end += fmt.Sprintf("%s: equal at the begin %v, at the end %v, rows in %d, out %d", m.devices[i].name, r.Equal, r.SameHash, r.RowsIn, r.RowsOut)
			if r.RolledBack {
				end += ", was set back"
			}
			if r.Refused != "" {
				end += ", refused: " + r.Refused
			}
			end += "\n"
		}
		return fmt.Sprintf("%s%d bytes in all\n%s", m.transcript(), m.bytes(), end)
	default:
		s.t.Fatalf("unknown command %q", words[0])
	}
	return ""
}

func (s *stage) changes(paths []string) (changes []crdt.Change) {
	for _, p := range paths {
		changes = append(changes, del(p))
	}
	return changes
}
