package report

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// What a page holds at most. A browser on a phone has to carry it.
const (
	lanesMax    = 100    // devices
	arrowsMax   = 12_000 // messages; beyond that one of 2, 4, 8, …
	momentsMax  = 40_000 // everything else that happens
	linksMax    = 4_000  // connections made and lost, among the moments
	ribbonMax   = 4_000  // changes of the number of different states
	valuesBytes = 200    // of one value
)

// A page collects what index.html embeds, within bounds.
type page struct {
	s *scenario.Scenario
	// lane is the place of each device that is shown; others are -1.
	lane  []int
	shown []int
	paths map[string]int
	names []string // of the paths

	arrows  []*arrow
	every   int // one arrow of this many is kept
	count   int // of arrows between devices that are shown
	onTheir map[arrowKey]*arrow
	moments []moment
	faults  []fault
	links   int
	silent  bool // no message was told
	// cut is when the page became full; what happened later is left out.
	cut  time.Duration
	full bool

	ribbon    ribbon
	conflict  map[string]bool
	open      map[string]map[int][]string // what waits for a decision at a path, by device
	violation []moment
	elsewhere int // moments on devices that are not shown
}

// An arrow is a message on its way.
type arrow struct {
	at, until time.Duration
	from, to  int // lanes
	kind      string
	text      string
	size      int
	lost      bool
}

type arrowKey struct {
	from, to int
	until    time.Duration
}

// A moment is anything else that happened.
type moment struct {
	at, until time.Duration
	kind      oracle.Kind
	lane      int // -1: everywhere
	peer      int
	path      int // -1: none
	values    []string
	text      string
	state     string
}

// A fault lasts.
type fault struct {
	at, until time.Duration
	lane      int
	groups    [][]int // of lanes
	text      string
}

func newPage(s *scenario.Scenario) *page {
	p := &page{s: s, lane: make([]int, len(s.Devices)), paths: map[string]int{}, every: 1, silent: true, onTheir: map[arrowKey]*arrow{},
		conflict: map[string]bool{}, open: map[string]map[int][]string{}, ribbon: ribbon{devices: map[int]string{}, states: map[string]int{}}}
	p.shown = lanes(s)
	for i := range p.lane {
		p.lane[i] = -1
	}
	for lane, device := range p.shown {
		p.lane[device] = lane
	}
	for _, path := range s.Paths {
		p.path(path)
	}
	return p
}

// lanes returns the devices that are shown, in their order: all, or those to which most happens.
func lanes(s *scenario.Scenario) []int {
	work := make([]int, len(s.Devices))
	all := make([]int, len(s.Devices))
	for i := range all {
		all[i] = i
	}
	if len(all) <= lanesMax {
		return all
	}
	for _, op := range s.Ops {
		if op.Do.OnDevice() && op.Do != scenario.DoRead {
			work[op.Device]++
		}
	}
	slices.SortStableFunc(all, func(a, b int) int { return cmp.Compare(work[b], work[a]) })
	return slices.Sorted(slices.Values(all[:lanesMax]))
}

// path returns the number of a path.
func (p *page) path(path string) int {
	if path == "" {
		return -1
	}
	if i, ok := p.paths[path]; ok {
		return i
	}
	p.paths[path] = len(p.names)
	p.names = append(p.names, visible(path))
	return len(p.names) - 1
}

// laneOf returns the lane of a device: -1 for all devices, -2 for one that is not shown.
func (p *page) laneOf(device int) int {
	switch {
	case device < 0 || device >= len(p.lane):
		return -1
	case p.lane[device] < 0:
		return -2
	}
	return p.lane[device]
}

// add takes the next event.
func (p *page) add(e oracle.Event) {
	p.follow(e)
	switch e.Kind {
	case oracle.EventGossip, oracle.EventMessage:
		p.silent = false
		p.addArrow(&arrow{at: e.At, until: e.Until, from: p.laneOf(e.Device), to: p.laneOf(e.Peer), kind: string(e.Kind), text: e.Text, size: e.Size})
	case oracle.EventLost:
		p.addLost(e)
	case oracle.EventFault:
		p.addFault(e)
	default:
		p.addMoment(e)
	}
}

// follow keeps what the page counts, also for devices that are not shown.
func (p *page) follow(e oracle.Event) {
	p.ribbon.follow(e)
	switch e.Kind {
	case oracle.EventConflict:
		p.conflict[e.Path+"\x00"+strings.Join(slices.Sorted(slices.Values(e.Values)), "\x00")] = true
	case oracle.EventState:
		if p.open[e.Path] == nil {
			p.open[e.Path] = map[int][]string{}
		}
		if delete(p.open[e.Path], e.Device); e.Text == oracle.StateOpen {
			p.open[e.Path][e.Device] = e.Values
		}
	case oracle.EventStart: // what it holds is told next
		for _, devices := range p.open {
			delete(devices, e.Device)
		}
	}
}

// conflicts counts the different conflicts that were reported, those of them whose values compete nowhere any more, and the paths on
// which some do, on all devices that run or on some.
func (p *page) conflicts() Conflicts {
	c := Conflicts{Reported: len(p.conflict)}
	for key := range p.conflict {
		words := strings.Split(key, "\x00")
		if !p.compete(words[0], words[1:]) {
			c.Settled++
		}
	}
	for _, devices := range p.open {
		if len(devices) > 0 {
			c.Open++
		}
		if len(devices) > 0 && len(devices) < len(p.ribbon.devices) {
			c.Differ++
		}
	}
	return c
}

// compete reports whether a device holds all of these values at a path that waits for a decision.
func (p *page) compete(path string, values []string) bool {
	for _, live := range p.open[path] {
		if !slices.ContainsFunc(values, func(v string) bool { return !slices.Contains(live, v) }) {
			return true
		}
	}
	return false
}

func (p *page) addArrow(a *arrow) {
	if a.from < 0 || a.to < 0 {
		return
	}
	p.count++
	if (p.count-1)%p.every != 0 {
		return
	}
	p.arrows = append(p.arrows, a)
	if !a.lost {
		p.onTheir[arrowKey{a.from, a.to, a.until}] = a
	}
	if len(p.arrows) < arrowsMax {
		return
	}
	p.every *= 2
	for i := range len(p.arrows) / 2 {
		p.arrows[i] = p.arrows[2*i]
	}
	p.arrows = p.arrows[:len(p.arrows)/2]
}

// addLost marks the message that was to arrive now, or else shows one that was lost at once.
func (p *page) addLost(e oracle.Event) {
	from, to := p.laneOf(e.Device), p.laneOf(e.Peer)
	key := arrowKey{from, to, e.At}
	if a := p.onTheir[key]; a != nil {
		a.lost = true
		delete(p.onTheir, key)
		return
	}
	kind := oracle.EventGossip
	if e.Text != "gossip" {
		kind = oracle.EventMessage
	}
	p.addArrow(&arrow{at: e.At, until: e.At, from: from, to: to, kind: string(kind), lost: true})
}

func (p *page) addFault(e oracle.Event) {
	f := fault{at: e.At, until: e.Until, lane: p.laneOf(e.Device), text: visible(e.Text)}
	if f.lane == -2 || len(p.faults) >= linksMax {
		p.elsewhere++
		return
	}
	for _, g := range e.Groups {
		var lanes []int
		for _, device := range g {
			if lane := p.laneOf(device); lane >= 0 {
				lanes = append(lanes, lane)
			}
		}
		f.groups = append(f.groups, lanes)
	}
	p.faults = append(p.faults, f)
	p.addMoment(e)
}

func (p *page) addMoment(e oracle.Event) {
	m := moment{at: e.At, until: e.Until, kind: e.Kind, lane: p.laneOf(e.Device), peer: -1, path: p.path(e.Path), text: visible(e.Text), state: e.State}
	for _, v := range e.Values {
		m.values = append(m.values, visible(shorten(v)))
	}
	switch {
	case e.Kind == oracle.EventBroken:
		p.violation = append(p.violation, m)
		return
	case m.lane == -2:
		p.elsewhere++
		return
	case e.Kind == oracle.EventConnect || e.Kind == oracle.EventLose:
		m.peer = p.laneOf(e.Peer)
		if p.links++; p.links > linksMax || m.peer < 0 {
			return
		}
	}
	if len(p.moments) >= momentsMax {
		if !p.full {
			p.full, p.cut = true, e.At
		}
		return
	}
	p.moments = append(p.moments, m)
}

// shorten cuts a long value, at a whole character.
func shorten(v string) string {
	if len(v) <= valuesBytes {
		return v
	}
	return strings.ToValidUTF8(v[:valuesBytes], "") + "…"
}

// leftOut says in sentences what the page does not show.
func (p *page) leftOut() []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if n := len(p.lane) - len(p.shown); n > 0 {
		say("%d of %d devices, those to which least happens, are not shown.", n, len(p.lane))
	}
	if p.silent && p.links > 0 {
		say("Messages are not drawn: these are real connections, and what travels on them is encrypted.")
	}
	if p.every > 1 {
		say("Of %d messages one in %d is shown.", p.count, p.every)
	}
	if p.links > linksMax {
		say("Of %d connections made and lost the first %d are listed.", p.links, linksMax)
	}
	if p.full {
		say("What happened on the devices after %s is left out; broken claims are not.", timeText(p.cut.Seconds()))
	}
	return out
}

// A ribbon follows how many different states the devices that run have.
type ribbon struct {
	devices map[int]string
	states  map[string]int
	points  []ribbonPoint
}

type ribbonPoint struct {
	at time.Duration
	n  int
}

func (r *ribbon) follow(e oracle.Event) {
	switch e.Kind {
	case oracle.EventStart, oracle.EventState:
		r.leave(e.Device)
		r.devices[e.Device] = e.State
		r.states[e.State]++
	case oracle.EventStop, oracle.EventCrash:
		r.leave(e.Device)
	default:
		return
	}
	n := len(r.states)
	if k := len(r.points); k > 0 && r.points[k-1].at == e.At {
		r.points[k-1].n = n
		return
	} else if k > 0 && r.points[k-1].n == n {
		return
	}
	if r.points = append(r.points, ribbonPoint{e.At, n}); len(r.points) >= ribbonMax {
		for i := range len(r.points) / 2 {
			r.points[i] = r.points[2*i+1]
		}
		r.points = r.points[:len(r.points)/2]
	}
}

func (r *ribbon) leave(device int) {
	old, ok := r.devices[device]
	if !ok {
		return
	}
	delete(r.devices, device)
	if r.states[old]--; r.states[old] == 0 {
		delete(r.states, old)
	}
}

// embedded is what the script of the page reads. Times are whole microseconds. Lists of lists save bytes; page.js names their columns.
type embedded struct {
	End int64 `json:"end"`
	// All is the number of devices, shown or not.
	All     int      `json:"all"`
	Devices []string `json:"devices"`
	Paths   []string `json:"paths"`
	Arrows  [][]any  `json:"arrows"`
	Moments [][]any  `json:"moments"`
	Faults  [][]any  `json:"faults"`
	Ribbon  [][]any  `json:"ribbon"`
}

func micros(d time.Duration) int64 { return d.Microseconds() }

func (p *page) embedded(end time.Duration) embedded {
	x := embedded{All: len(p.lane), Paths: p.names, Arrows: [][]any{}, Moments: [][]any{}, Faults: [][]any{}, Ribbon: [][]any{}}
	for _, device := range p.shown {
		x.Devices = append(x.Devices, visible(p.s.DeviceName(device)))
	}
	for _, a := range p.arrows {
		lost := 0
		if a.lost {
			lost = 1
		}
		x.Arrows = append(x.Arrows, []any{micros(a.at), micros(a.until), a.from, a.to, a.kind, lost, a.text, a.size})
		end = max(end, a.until)
	}
	for _, m := range slices.Concat(p.moments, p.violation) {
		x.Moments = append(x.Moments, []any{micros(m.at), m.kind, m.lane, m.path, m.values, m.text, m.state, m.peer, micros(m.until)})
		end = max(end, m.at)
	}
	for _, f := range p.faults {
		x.Faults = append(x.Faults, []any{micros(f.at), micros(f.until), f.lane, f.groups, f.text})
	}
	for _, r := range p.ribbon.points {
		x.Ribbon = append(x.Ribbon, []any{micros(r.at), r.n})
	}
	slices.SortStableFunc(x.Moments, func(a, b []any) int { return cmp.Compare(a[0].(int64), b[0].(int64)) })
	x.End = micros(end)
	return x
}

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"time":    timeText,
	"visible": visible,
	"exact":   func(s float64) string { return fmt.Sprintf("%.6f", s) },
	"count":   grouped,
}).Parse(pageHTML))

// html writes the page. Everything that a run holds goes through html/template or encoding/json, which escapes <, > and &; the policy of
// the page lets only its own style and script run, and nothing be fetched.
func (p *page) html(d *Document, story string) ([]byte, error) {
	end := time.Duration(d.Figures.Virtual * float64(time.Second))
	data, err := json.Marshal(p.embedded(end))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = pageTemplate.Execute(&b, map[string]any{
		"D": d, "Title": visible(title(d)), "Story": visible(story), "LeftOut": p.leftOut(), "Data": template.JS(data), "CSS": template.CSS(pageCSS), "JS": template.JS(pageJS),
		"Policy": fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; script-src 'sha256-%s'; base-uri 'none'; form-action 'none'", digest(pageCSS), digest(pageJS)),
	})
	return b.Bytes(), err
}

// title names a run.
func title(d *Document) string {
	if d.Scenario.Name == "" {
		return fmt.Sprintf("seed %d", d.Seed)
	}
	return fmt.Sprintf("%s, seed %d", d.Scenario.Name, d.Seed)
}

// digest is how a policy names a script or style that may run.
func digest(s string) string {
	h := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(h[:])
}

// grouped writes a number in groups of three digits, as 41 203, with spaces that do not break.
func grouped(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u00a0" + s[i:]
	}
	return s
}
