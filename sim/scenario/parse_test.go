package scenario_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"syncline/sim/scenario"
)

// anyScenario draws a scenario that passes its check, with every field in use.
func anyScenario(t *rapid.T) *scenario.Scenario {
	g := drawer{t, &scenario.Scenario{}}
	s := g.s
	s.Name, s.About, s.Seed = rapid.String().Draw(t, "name"), rapid.String().Draw(t, "about"), rapid.Uint64().Draw(t, "seed")
	s.End, s.ConvergeMax, s.AntiEntropy = g.duration(100*365*24*time.Hour), 1+g.duration(time.Hour), time.Millisecond+g.duration(time.Hour)
	s.AnswerRows = rapid.IntRange(0, 3).Draw(t, "rows")
	s.AnswerMemory = rapid.SampledFrom([]int{0, scenario.AnswerMemoryMin, 1 << 20}).Draw(t, "memory")
	s.DeleteLog, s.NoGossip = rapid.IntRange(0, 1<<20).Draw(t, "log"), rapid.Bool().Draw(t, "gossip")
	names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-zé][a-z0-9_.-]{0,8}`).Filter(func(n string) bool { return n != "others" }), 1, 6, rapid.ID).Draw(t, "names")
	named := rapid.Bool().Draw(t, "named")
	for _, name := range names {
		d := scenario.Device{Skew: rapid.Int64Range(-1<<42, 1<<42).Draw(t, "skew"), Poll: rapid.SampledFrom([]time.Duration{0, 0, 5 * time.Second, 1500 * time.Millisecond}).Draw(t, "poll")}
		if named && rapid.IntRange(0, 4).Draw(t, "is named") > 0 {
			d.Name = name
		}
		s.Devices = append(s.Devices, d)
	}
	s.Paths = rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z "é]{1,6}(/[A-Z#'\\]{1,3})?`), 0, 5, rapid.ID).Draw(t, "paths")
	if len(s.Paths) == 0 {
		s.Paths = nil
	}
	n := &s.Network
	n.LatencyMin, n.SyncMin = g.duration(time.Second), g.duration(time.Second)
	n.LatencyMax, n.SyncMax = n.LatencyMin+g.duration(time.Second), n.SyncMin+g.duration(time.Second)
	n.Loss, n.Duplicate, n.Break = g.share(), g.share(), g.share()
	if rapid.Bool().Draw(t, "sparse") {
		n.Links = [][2]int{}
		for i := 1; i < len(s.Devices); i++ {
			n.Links = append(n.Links, [2]int{i, rapid.IntRange(0, i-1).Draw(t, "link")})
		}
	}
	for range rapid.IntRange(0, 12).Draw(t, "ops") {
		g.op()
	}
	return s
}

type drawer struct {
	t *rapid.T
	s *scenario.Scenario
}

func (g drawer) duration(most time.Duration) time.Duration {
	unit := rapid.SampledFrom([]time.Duration{1, time.Millisecond, time.Second, 24 * time.Hour}).Draw(g.t, "unit")
	return time.Duration(rapid.Int64Range(0, int64(most/unit)).Draw(g.t, "duration")) * unit
}

func (g drawer) share() float64 { return rapid.Float64Range(0, 1).Draw(g.t, "share") }

func (g drawer) device() int { return rapid.IntRange(0, len(g.s.Devices)-1).Draw(g.t, "device") }

func (g drawer) groups() [][]int {
	all := rapid.Permutation(make([]int, len(g.s.Devices))).Draw(g.t, "devices")
	for i := range all {
		all[i] = i
	}
	all = rapid.Permutation(all).Draw(g.t, "order")
	cut := rapid.IntRange(1, len(all)-1).Draw(g.t, "cut")
	return [][]int{all[:cut], all[cut:]}
}

// op adds an operation if the check lets it pass: of some, there may be no room.
func (g drawer) op() {
	s, t := g.s, g.t
	o := scenario.Op{Device: g.device()}
	if n := len(s.Ops); n > 0 {
		o.At = s.Ops[n-1].At
	}
	o.At += g.duration(max(0, s.End-o.At))
	lasting := rapid.Bool().Draw(t, "lasting")
	length := func() {
		if lasting {
			o.For = g.duration(s.End - o.At)
		}
	}
	o.Do = rapid.SampledFrom([]scenario.Action{scenario.DoWrite, scenario.DoWrite, scenario.DoRead, scenario.DoPolicy, scenario.DoDamage, scenario.DoRepair, scenario.DoSync, scenario.DoJoin, scenario.DoClone, scenario.DoPartition,
		scenario.DoDisconnect, scenario.DoStall, scenario.DoHeal, scenario.DoLoss, scenario.DoDuplicate, scenario.DoReorder, scenario.DoSlow, scenario.DoReset,
		scenario.DoCrash, scenario.DoRestart, scenario.DoBackup, scenario.DoRestore, scenario.DoDiskFull, scenario.DoSyncFail, scenario.DoClock}).Draw(t, "do")
	switch o.Do {
	case scenario.DoWrite:
		for _, path := range s.Paths {
			if rapid.Bool().Draw(t, "part") {
				o.Parts = append(o.Parts, g.part(path))
			}
		}
	case scenario.DoRead, scenario.DoDamage:
		if len(s.Paths) > 0 {
			o.Path = rapid.SampledFrom(s.Paths).Draw(t, "path")
		}
	case scenario.DoPolicy:
		o.Path, o.Policy = rapid.SampledFrom([]string{"**", "a*/b", "p0"}).Draw(t, "pattern"), rapid.SampledFrom(scenario.Policies).Draw(t, "policy")
	case scenario.DoClone:
		o.Of = g.device()
	case scenario.DoPartition, scenario.DoStall:
		if o.Device = 0; len(s.Devices) > 1 {
			o.Groups = g.groups()
		}
		length()
	case scenario.DoHeal:
		o.Device = 0
	case scenario.DoLoss, scenario.DoDuplicate:
		o.Device, o.Amount = 0, rapid.Int64Range(0, 1000).Draw(t, "amount")
		length()
	case scenario.DoReorder, scenario.DoSlow:
		o.Device, o.Amount = 0, rapid.Int64Range(1, 100_000).Draw(t, "amount")
		length()
	case scenario.DoCrash, scenario.DoSyncFail:
		o.Amount = rapid.Int64Range(0, 1000).Draw(t, "amount")
		length()
	case scenario.DoClock:
		o.Amount = rapid.Int64Range(-1<<42, 1<<42).Draw(t, "amount")
	case scenario.DoDisconnect, scenario.DoRestart, scenario.DoRestore, scenario.DoDiskFull:
		length()
	}
	s.Ops = append(s.Ops, o)
	if s.Check() != nil {
		s.Ops = s.Ops[:len(s.Ops)-1]
	}
	if len(s.Ops) == 0 {
		s.Ops = nil
	}
}

func (g drawer) part(path string) scenario.Part {
	p := scenario.Part{Path: path, LWW: rapid.Bool().Draw(g.t, "lww"), Value: rapid.String().Draw(g.t, "value")}
	p.Verb = rapid.SampledFrom([]scenario.Verb{scenario.Put, scenario.Delete, scenario.PutAll, scenario.Sibling, scenario.Resolve, scenario.Keep, scenario.PutIf, scenario.DeleteAll}).Draw(g.t, "verb")
	if p.Verb == scenario.Delete || p.Verb == scenario.DeleteAll || p.Verb == scenario.Keep {
		p.Value = ""
	} else if p.Value == "" {
		p.Size = rapid.IntRange(0, 100_000).Draw(g.t, "size")
	}
	return p
}

// backAndForth wants a scenario to come back from its file as it was.
func backAndForth(t rapid.TB, s *scenario.Scenario) {
	text := s.TOML()
	again, err := scenario.Parse("again.toml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if !reflect.DeepEqual(s, again) {
		t.Fatalf("got %+v\nwant %+v\n%s", again, s, text)
	}
}

// TestFilesGiveBackEveryScenario writes scenarios of every form to files and reads them again.
func TestFilesGiveBackEveryScenario(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyScenario(t)
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		backAndForth(t, s)
	})
}

// TestFilesGiveBackGeneratedScenarios does the same with what seeds stand for.
func TestFilesGiveBackGeneratedScenarios(t *testing.T) {
	for seed := range uint64(300) {
		s := scenario.Generate(seed, scenario.DefaultSize)
		if err := s.Check(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		backAndForth(t, s)
	}
}

// TestMistakesAreExplained: each mistake is named with its place, what was found and what was meant.
func TestMistakesAreExplained(t *testing.T) {
	const head = "devices = [\"laptop\", \"phone\"]\nend = \"10s\"\n"
	for _, x := range []struct{ text, want string }{
		{"devices = [", `1:11: `},
		{"end = \"3s\"\nend = \"4s\"", `2:1: `},
		{"seed = 1", `1:1: the file does not say which devices there are; write names, as devices = ["laptop", "phone"], or their number`},
		{"devices = 0", `1:11: there are no devices`},
		{"devices = 1_000_000", `1:11: there are 1000000 devices; a scenario has 1 to 20000`},
		{`devices = ["laptop", 3]`, `1:11: devices is a list`},
		{`devices = ["laptop", "my phone"]`, `1:11: a device cannot be called "my phone"; a name has`},
		{`devices = ["laptop", "laptop"]`, `1:11: two devices are called "laptop"`},
		{"devices = 2\ndevice = 3", `2:1: the key "device" is not known; did you mean "devices"?`},
		{"devices = 2\nlatency = \"3ms\"", `2:1: the key "latency" is not known; it belongs into the table [network]`},
		{"devices = 2\nend = 3", `2:7: end is the number 3; a duration is a number with a unit: "250ms"`},
		{"devices = 2\nend = \"3\"", `2:7: "3" cannot be read; a duration is a number with a unit: "250ms"`},
		{"devices = 2\nend = \"1000y\"", `2:7: "1000y" is out of range; times are at most 100y, and a clock is wrong by at most 250y`},
		{"devices = 2\nend = \"9999999999h\"", `2:7: "9999999999h" is out of range`},
		{"devices = 2\nend = \"3..4s\"", `2:7: "3..4s" cannot be read`},
		{"devices = 2\nend = \"200y200y\"", `2:7: "200y200y" is out of range`},
		{"devices = 2\n[clocks]\n0 = \"-1000y\"", `3:5: "-1000y" is out of range`},
		{"devices = 2\n[network]\nlatency = \"1s..999y\"", `3:11: "1s..999y" is out of range`},
		{"devices = 2\nend = \"-3s\"", `2:7: -3s is negative`},
		{"devices = 2\nend = \"101y\"", `2:7: 101y is longer than 100y`},
		{"devices = 2\nconverge = \"0s\"", `2:12: 0s is shorter than 1ns`},
		{"devices = 2\ndelete-log = -1", `2:14: delete-log is -1, not between 0 and`},
		{"devices = 2\nseed = -1", `2:8: the seed is -1; write a whole number`},
		{"devices = 2\nseed = \"x\"", `2:8: the seed is "x"`},
		{"devices = 2\npaths = \"a\"", `2:9: paths is the text "a"; write a list of texts`},
		{"devices = 2\npaths = [\"a\", \"a//b\"]", `2:9: unusable path: "a//b" has an empty segment`},
		{"devices = 2\ngossip = 1", `2:10: gossip is the number 1; write true or false`},
		{"devices = 2\nnetwork = 3", `2:11: network is the number 3; write a table, [network]`},
		{"devices = 2\n[network]\nloss = \"2\"", `3:8: "2" cannot be read; a share is a number with a percent sign`},
		{"devices = 2\n[network]\nloss = \"200%\"", `3:8: the share 2 is not between 0% and 100%`},
		{"devices = 2\n[network]\nlatency = \"3ms..2ms\"", `3:11: 3ms is longer than 2ms; the shorter comes first`},
		{"devices = 2\n[network]\nlinks = [\"0-1\"]", `3:9: "0-1" is no link; write two devices with a dash between`},
		{"devices = 3\n[network]\nlinks = [\"0 - 1\"]", `3:9: no chain of links leads from device 0 to device 2, so they can never agree`},
		{"devices = 2\n[network]\nlinks = [\"0 - 1\", \"1 - 0\"]", `3:9: device 1 and device 0 are linked twice`},
		{"devices = 2\n[network]\nlinks = [\"0 - 1\", \"1 - 1\"]", `3:9: device 1 is linked with itself`},
		{"devices = 2\n[clocks]\n3 = \"1s\"", `3:5: there is no device "3"; the devices are 0 to 1`},
		{"devices = 2\n[[at]]\nt = \"1s\"\npolicy = \"a/**b\"\nis = \"max\"\non = 1", `4:10: the segment "**b" has ** beside other characters`},
		{"devices = 2\n[[at]]\nt = \"1s\"\npolicy = \"a\"\nis = \"mix\"\non = 1", `5:6: there is no policy "mix"; did you mean "max"?`},
		{"devices = 2\n[[at]]\nt = \"1s\"\npolicy = \"a\"\non = 1", `4:10: policy needs "is": which policy; add a line is = "newest"`},
		{"devices = 2\n[poll]\n3 = \"1s\"", `3:5: there is no device "3"; the devices are 0 to 1`},
		{"devices = 2\n[poll]\n1 = \"10ms\"", `2:1: device 1 polls every 10ms, not between 100ms and 100y`},
		{"devices = 2\n[clocks]\n1 = \"1us\"", `3:5: 1µs is not a whole number of milliseconds`},
		{"devices = 2\n[random]\nwrite = 3", `3:1: the key "write" is not known`},
		{"devices = 2\nend = \"1s\"\n[random]\nwrites = 3\nbetween = \"2s..3s\"", `5:11: nothing fits between 2s and 3s when the end is 1s; make end later`},
		{"devices = 2\n[at]\nt = \"1s\"", `2:1: at is one table; write [[at]], with two brackets on each side`},
		{head + "\n  [[att]]\nt = \"1s\"", `4:3: the key "att" is not known; did you mean "at"?`},
		{head + "[[At]]\nt = \"1s\"", `3:1: the key "At" is not known; did you mean "at"?`},
		{head + "[nettwork.more]\nt = \"1s\"", `3:1: the key "nettwork" is not known; did you mean "network"?`},
		{head + "nettwork.loss = \"1%\"", `3:1: the key "nettwork" is not known; did you mean "network"?`},
		{head + "[[at]]\nt = \"1s\"\nresolve = \"x\"\non = \"phone\"", `5:1: the key "resolve" is not known; use write = "a/path" with how = "resolve"`},
		{head + "[[at]]\nt = \"1s\"\nreboot = \"phone\"", `5:1: the key "reboot" is not known; use restart`},
		{head + "[[at]]\nt = \"1s\"\ntransaction = [\"x\"]", `5:1: the key "transaction" is not known; use write = ["one", "two"]`},
		{head + "[[at]]\nt = \"1s\"\nfrobnicate = 1", `5:1: the key "frobnicate" is not known; the actions are write, delete, read, policy, sync, join, clone, partition, disconnect, stall, heal, loss, duplicate, reorder, slow, reset, crash, restart, backup, restore, disk-full, sync-fail, damage, repair, clock`},
		{head + "[[at]]\nt = \"1s\"\ncrash = \"phone\"\nlength = \"1s\"", `6:1: crash takes no "length"; its keys are t, crash, for, keep`},
		{head + "[[at]]\nt = \"1s\"\nsync = \"phone\"\nfore = \"1s\"", `6:1: sync takes no "fore"; its keys are t, sync`},
		{head + "[[at]]\nt = \"1s\"\ncrash = \"phone\"\nfore = \"1s\"", `6:1: crash takes no "fore"; did you mean "for"?`},
		{head + "[[at]]\nt = \"1s\"\nwrite = \"/a//b\"\non = \"phone\"", `5:9: unusable path: "/a//b"`},
		{head + "[[at]]\nt = \"1s\"\nread = \"a//b\"\non = \"phone\"", `5:8: unusable path: "a//b" has an empty segment`},
		{head + "[[at]]\nt = \"1s\"\ndelete = \"\"\non = \"phone\"", `5:10: unusable path: `},
		{head + "paths = [\"a\"]\n[[at]]\nt = \"1s\"\nwrite = \"\"\non = \"phone\"", `6:9: unusable path: `},
		{head + "[[at]]\nt = \"1s\"", `3:1: the table has no action; give it one of write, delete, read`},
		{head + "[[at]]\nt = \"1s\"\nwirte = \"a\"", `5:1: the key "wirte" is not known; did you mean "write"?`},
		{head + "[[at]]\nt = \"1s\"\nsync = \"phone\"\nreset = \"phone\"", `6:9: one table has 2 actions: sync, reset; give each a table [[at]] of its own`},
		{head + "[[at]]\nsync = \"phone\"", `4:8: sync needs "t": when it happens; add a line t = "3s"`},
		{head + "[[at]]\nt = \"1s\"\nwrite = \"a\"", `5:9: write needs "on": on which device; add a line on = "laptop"`},
		{head + "[[at]]\nt = \"1s\"\nclock = \"phone\"", `5:9: clock needs "by": how far the clock jumps`},
		{head + "[[at]]\nt = \"1s\"\nsync = \"phone\"\nfor = \"1s\"", `6:1: sync takes no "for"; its keys are t, sync`},
		{head + "[[at]]\nt = \"1s\"\nsync = \"fone\"", `5:8: there is no device "fone"; did you mean "phone"?`},
		{head + "[[at]]\nt = \"1s\"\nsync = \"television\"", `5:8: there is no device "television"; known: laptop, phone`},
		{head + "[[at]]\nt = \"1s\"\nsync = true", `5:8: sync is true; write the name of a device`},
		{head + "[[at]]\nt = \"2s\"\nsync = \"phone\"\n\n[[at]]\nt = \"1s\"\nsync = \"phone\"", `8:5: 1s is before 2s, the time of the operation above`},
		{head + "[[at]]\nt = \"11s\"\nsync = \"phone\"", `4:5: 11s is after the end, 10s; make end later`},
		{head + "[[at]]\nt = \"-1s\"\nsync = \"phone\"", `4:5: -1s is before the start`},
		{head + "[[at]]\nt = \"8s\"\ncrash = \"phone\"\nfor = \"3s\"", `6:7: from 8s, 3s lasts longer than until the end, 10s`},
		{head + "[[at]]\nt = \"8s\"\ncrash = \"phone\"\nkeep = \"0.55%\"", `6:8: 0.55% is not a multiple of 0.1%`},
		{head + "[[at]]\nt = \"8s\"\nloss = \"101%\"", `5:8: 101% is not between 0% and 100%`},
		{head + "[[at]]\nt = \"8s\"\nslow = \"0s\"", `5:8: 0 ms is not between 1 ms and 100y`},
		{head + "[[at]]\nt = \"8s\"\nheal = false", `5:8: heal = false does nothing; leave the table out`},
		{head + "[[at]]\nt = \"8s\"\nclock = \"phone\"\nby = \"280y\"", `6:6: the clock of phone jumps by`},
		{head + "[[at]]\nt = \"8s\"\nrestore = \"phone\"", `5:11: there is no backup of phone before`},
		{head + "[[at]]\nt = \"8s\"\npartition = \"laptop\"", `5:13: it takes two groups to set devices apart`},
		{head + "[[at]]\nt = \"8s\"\npartition = \"laptop, phone | phone\"", `5:13: phone is in two groups`},
		{head + "[[at]]\nt = \"8s\"\npartition = \"laptop | \"", `5:13: a name is missing in "laptop | "`},
		{head + "[[at]]\nt = \"8s\"\npartition = \"laptop, phone | others\"", `5:13: a group is empty`},
		{head + "[[at]]\nt = \"8s\"\nclone = \"phone\"\non = \"phone\"", `5:9: phone does not run yet, so it has no data to copy`},
		{head + "[[at]]\nt = \"8s\"\njoin = \"phone\"\n[[at]]\nt = \"9s\"\njoin = \"phone\"", `8:8: phone starts for the first time twice`},
		{head + "[[at]]\nt = \"8s\"\nwrite = 3\non = \"phone\"", `5:9: write is the number 3; write a path, or a list of paths`},
		{head + "[[at]]\nt = \"8s\"\nwrite = []\non = \"phone\"", `5:9: a write names at least one path`},
		{head + "[[at]]\nt = \"8s\"\nwrite = [\"a\", \"a\"]\non = \"phone\"", `5:9: one transaction writes "a" twice; make two writes of it`},
		{head + "[[at]]\nt = \"8s\"\nwrite = \"a\"\nhow = \"putal\"\non = \"phone\"", `6:7: there is no way to write called "putal"; did you mean "putall"?`},
		{head + "[[at]]\nt = \"8s\"\ndelete = \"a\"\nhow = \"put\"\non = \"phone\"", `6:7: "put" deletes nothing; a delete is "delete" or "deleteall"`},
		{head + "[[at]]\nt = \"8s\"\nwrite = \"a\"\nhow = \"keep\"\nvalue = \"x\"\non = \"phone\"", `7:9: keep writes no value of its own`},
		{head + "[[at]]\nt = \"8s\"\nwrite = \"a\"\nnewest = 3\non = \"phone\"", `6:10: newest is the number 3; write true or false`},
		{head + "paths = [\"b\"]\n[[at]]\nt = \"8s\"\ndelete = \"a\"\non = \"phone\"", `6:10: "a" is not among the paths of the scenario; add it to paths`},
		{head + "[[at]]\nt = \"8s\"\nwrite = [{ path = \"a\", hwo = \"put\" }]\non = \"phone\"", `5:9: the key "hwo" is not known; did you mean "how"?`},
	} {
		s, err := scenario.Parse("x.toml", []byte(x.text))
		if err == nil {
			t.Errorf("%s\nwas read as %+v, want %s", x.text, s, x.want)
			continue
		}
		if !strings.HasPrefix(err.Error(), "x.toml:"+x.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s\ngot  %v\nwant %s", x.text, err, "x.toml:"+x.want)
		}
	}
}

// TestAllMistakesAreToldAtOnce: one reading finds the mistakes of all tables.
func TestAllMistakesAreToldAtOnce(t *testing.T) {
	const text = `devices = ["laptop", "phone"]
end = "10s"
paths = "none"

[network]
loss = 3

[[at]]
t = "soon"
sync = "phone"

[[at]]
t = "3s"
wirte = "a"

[[at]]
t = "12s"
sync = "labtop"

[[at]]
t = "12s"
sync = "laptop"
`
	_, err := scenario.Parse("x.toml", []byte(text))
	var all scenario.SyntaxErrors
	if !errors.As(err, &all) {
		t.Fatal(err)
	}
	var lines []int
	for _, e := range all {
		lines = append(lines, e.Line)
	}
	if want := []int{3, 6, 9, 14, 18, 21}; !reflect.DeepEqual(lines, want) {
		t.Errorf("mistakes in the lines %v, want %v:\n%v", lines, want, err)
	}
	var one *scenario.SyntaxError
	if !errors.As(err, &one) || one.File != "x.toml" || one.Text == "" || one.Hint == "" {
		t.Errorf("the first mistake is %+v", one)
	}
}

// TestWhatAFileLeavesOut has a value: the paths that operations name, an end a second after the last of them, and so on.
func TestWhatAFileLeavesOut(t *testing.T) {
	s, err := scenario.Parse("x.toml", []byte("devices = 3\n[[at]]\nt = \"2s\"\nwrite = [\"b\", { path = \"a\", how = \"sibling\" }]\non = 1\n[[at]]\nt = \"3s\"\nstall = \"0 | others\"\nfor = \"4s\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"b", "a"}; !reflect.DeepEqual(s.Paths, want) || s.End != 8*time.Second || s.NoGossip || s.ConvergeMax != 2*time.Minute || len(s.Devices) != 3 {
		t.Errorf("got %+v", s)
	}
	if want := [][]int{{0}, {1, 2}}; !reflect.DeepEqual(s.Ops[1].Groups, want) {
		t.Errorf("groups %v, want %v", s.Ops[1].Groups, want)
	}
	if want := (scenario.Part{Path: "a", Verb: scenario.Sibling}); s.Ops[0].Parts[1] != want {
		t.Errorf("part %+v, want %+v", s.Ops[0].Parts[1], want)
	}
}

// TestChanceComesFromTheSeed: a table [random] stands for the same operations whenever it is read, and for others with another seed.
func TestChanceComesFromTheSeed(t *testing.T) {
	const text = "devices = 5\nend = \"10s\"\n[random]\nwrites = 10\nreads = 5\nwriters = 2\nlinks = 3\nfaults = true\nbetween = \"1s..8s\"\n[[at]]\nt = \"9s\"\nsync = 3\n"
	read := func(seed string) *scenario.Scenario {
		s, err := scenario.Parse("x.toml", []byte("seed = "+seed+"\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := read("3")
	if !reflect.DeepEqual(s, read("3")) || reflect.DeepEqual(s.Ops, read("4").Ops) {
		t.Error("the operations do not depend on the seed alone")
	}
	backAndForth(t, s)
	faults := 0
	for seed := '0'; seed <= '9'; seed++ {
		s := read(string(seed))
		if s.Writes() != 10 || len(s.Network.Links) < 4 {
			t.Errorf("seed %c: %d writes, links %v", seed, s.Writes(), s.Network.Links)
		}
		for _, o := range s.Ops {
			switch {
			case o.Do == scenario.DoWrite && o.Device > 1:
				t.Errorf("seed %c: device %d writes", seed, o.Device)
			case o.At < time.Second || o.At > 9*time.Second:
				t.Errorf("seed %c: %v is not between 1 s and 9 s", seed, o)
			case o.Do == scenario.DoPartition || o.Do == scenario.DoCrash:
				faults++
			}
		}
	}
	if faults == 0 {
		t.Error("there were no faults")
	}
}

// FuzzParse: nothing panics, every mistake has a place, and whatever is read is the same when it was written and read again. The seeds
// are short, because the fuzzer spends its time on making long ones shorter.
func FuzzParse(f *testing.F) {
	for _, op := range []string{"delete = [\"x\"]\non = \"a\"", "read = \"x\"\non = 1", "clone = \"a\"\non = 1", "partition = \"a | others\"\nfor = \"1h2m\"", "heal = true",
		"loss = \"0.5%\"", "reorder = \"1w\"", "crash = 1\nkeep = \"50%\"", "backup = 1\n[[at]]\nt = \"4s\"\nrestore = 1", "clock = \"a\"\nby = \"-100y\""} {
		f.Add([]byte("devices = [\"a\", \"\"]\n[[at]]\nt = \"3s\"\n" + op))
	}
	f.Add([]byte("devices = 3\n[random]\nwrites = 5\nfaults = true\nlinks = 2\n[clocks]\n1 = \"-100y\"\n"))
	f.Add([]byte("devices = [\"a\", \"\"]\n[network]\nlinks = [\"a - 1\"]\n[[at]]\nt = \"3s\"\nwrite = [\"x\", { path = '''y''', how = \"keep\" }]\non = 1\n"))
	f.Add([]byte("at = [{ t = \"1s\", heal = true }, 3]\n\"a.b\" = \"\"\"\n[[at]]\"\"\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := scenario.Parse("fuzz.toml", text)
		if err != nil {
			for _, e := range err.(scenario.SyntaxErrors) {
				if e.Line < 1 || e.Column < 1 || e.Text == "" || len(e.Error()) > 2000 {
					t.Fatalf("%+v", e)
				}
			}
			return
		}
		if len(s.Devices)+len(s.Ops) < 3000 { // larger ones take long and show nothing new
			backAndForth(t, s)
		}
	})
}
