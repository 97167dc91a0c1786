package report_test

import (
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"syncline/sim/des"
	"syncline/sim/oracle"
	"syncline/sim/report"
	"syncline/sim/scenario"
)

var shots = flag.String("shots", "", "take pictures of the page of several runs into this folder")

// TestPageInABrowser opens the page of a failing run from the disk in a real browser: nothing may go wrong, the slider must change the
// maps, a link must go to its violation, and the filters must filter.
func TestPageInABrowser(t *testing.T) {
	b := newBrowser(t)
	dir, d, rec := written(t, generated(3), early)
	if err := rec.Explain(d, report.Explanation{Shrunk: report.Shrunk{From: 30, To: 2, Story: []string{strings.Repeat("a long story ", 40)}}, GoTest: "package x"}); err != nil {
		t.Fatal(err)
	}
	b.screen(1400, 900, false)
	b.open(filepath.Join(dir, report.FilePage))
	maps := func() string { return b.eval("document.getElementById('maps').tBodies[0].textContent") }
	if got, want := b.eval("document.getElementById('clock').textContent"), fmt.Sprintf("%.3f s", d.Violations[0].At); got != want {
		t.Errorf("it opens at %s, want the first violation, %s", got, want)
	}
	b.eval("document.getElementById('slider').focus()")
	b.press("Home")
	first := maps()
	b.press("End")
	end := maps()
	if first == end || !strings.Contains(end, "v") || b.eval("Number(document.getElementById('slider').value) > 0") != "true" {
		t.Errorf("the maps at the start:\n%s\nand at the end:\n%s", first, end)
	}
	b.press("Home")
	if got := maps(); got != first {
		t.Errorf("back at the start the maps are\n%s\nwant\n%s", got, first)
	}
	seen := map[string]bool{}
	for range 60 {
		b.press("ArrowRight")
		seen[maps()] = true
	}
	if len(seen) < 3 {
		t.Errorf("60 moments show %d different maps", len(seen))
	}
	b.eval("document.querySelector('a.jump').click()")
	if got, want := b.eval("new Promise(r => setTimeout(() => r(document.getElementById('clock').textContent), 50))"), fmt.Sprintf("%.3f s", d.Violations[0].At); got != want {
		t.Errorf("the link went to %s, want %s", got, want)
	}
	if b.eval("document.querySelectorAll('.broken-row').length") == "0" {
		t.Error("the list does not show the violation")
	}
	all := b.eval("document.querySelectorAll('#maps thead th:not([hidden])').length")
	b.eval("{const p = document.getElementById('path'); p.value = 0; p.dispatchEvent(new Event('change'))}")
	if got := b.eval("document.querySelectorAll('#maps thead th:not([hidden])').length"); got != "2" || all == "2" {
		t.Errorf("filtered by a path the maps have %s columns of %s", got, all)
	}
	b.eval("{const s = document.getElementById('search'); s.value = 'reads'; s.dispatchEvent(new Event('input'))}")
	if got := b.eval("new Promise(r => setTimeout(() => r(document.getElementById('matches').textContent), 400))"); !strings.Contains(got, "match") {
		t.Errorf("the search says %q", got)
	}
	if b.eval("[...document.getElementById('picture').getContext('2d').getImageData(200, 150, 300, 200).data].some(v => v)") != "true" {
		t.Error("the time line is empty")
	}
	b.eval("document.getElementById('play').click()")
	if b.eval("new Promise(r => { const at = document.getElementById('clock').textContent; const look = () => document.getElementById('clock').textContent !== at ? r(true) : requestAnimationFrame(look); look() })") != "true" {
		t.Error("it does not play")
	}
	if opacity := b.eval("[...document.querySelectorAll('#list li')].every(li => getComputedStyle(li).opacity === '1')"); opacity != "true" {
		t.Error("events of later are hard to read")
	}
	wide := "document.documentElement.scrollWidth <= innerWidth"
	for _, width := range []int{320, 400, 1400} {
		b.screen(width, 800, width == 400)
		if b.eval("{const p = document.querySelector('.story pre'); p.scrollWidth <= p.clientWidth}") != "true" {
			t.Errorf("on a screen of %d points the story is cut", width)
		}
		if b.eval(wide) != "true" {
			t.Errorf("on a screen of %d points the page is %s wide", width, b.eval("document.documentElement.scrollWidth"))
		}
	}
	if len(b.trouble) > 0 {
		t.Errorf("the console has errors:\n%s", strings.Join(b.trouble, "\n"))
	}
}

// TestNastyPageInABrowser wants a browser to take nothing that a run holds for markup.
func TestNastyPageInABrowser(t *testing.T) {
	b := newBrowser(t)
	b.open(filepath.Join(nastyReport(t), report.FilePage))
	b.eval("document.getElementById('slider').focus()")
	b.press("End")
	if n := b.eval("document.images.length + document.querySelectorAll('[onerror]').length"); n != "0" || strings.Contains(b.eval("document.title"), "harmed") && !strings.Contains(b.eval("document.title"), "onerror") {
		t.Errorf("%s elements come from contents; the title is %s", n, b.eval("document.title"))
	}
	if got := b.eval("document.getElementById('maps').tBodies[0].textContent"); !strings.Contains(got, nasty) {
		t.Errorf("the maps do not show the value as it is: %s", got)
	}
	if len(b.trouble) > 0 {
		t.Errorf("the console has errors:\n%s", strings.Join(b.trouble, "\n"))
	}
}

// TestLongRunsInABrowser: a year is told in days, and a link to a moment of it shows more than a second.
func TestLongRunsInABrowser(t *testing.T) {
	const year = 365 * 24 * time.Hour
	s := &scenario.Scenario{Devices: make([]scenario.Device, 3), Paths: []string{"a"}, End: year}
	dir := t.TempDir()
	rec, err := report.Create(dir, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Duration{0, 90 * time.Minute, year / 2, year} {
		rec.Event(oracle.Event{At: at, Kind: oracle.EventWrite, Device: 1, Path: "a", Values: []string{"\u202eolleh"}, Text: "put"})
	}
	if _, err := rec.Close(report.Outcome{Report: &oracle.Report{Elapsed: year}}); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t)
	b.screen(1280, 900, false)
	b.open(filepath.Join(dir, report.FilePage))
	b.eval("document.getElementById('slider').focus()")
	b.press("End")
	if got := b.eval("document.getElementById('clock').textContent"); got != "365 d 00:00:00.000" {
		t.Errorf("at the end the clock shows %s", got)
	}
	list := b.eval("document.getElementById('list').textContent")
	for _, want := range []string{"01:30:00.000", "182 d 12:00:00.000", `\u202eolleh`} {
		if !strings.Contains(list, want) {
			t.Errorf("the events\n%s\nlack %q", list, want)
		}
	}
	if b.eval("[...document.querySelectorAll('#list time')].every(e => e.getClientRects().length === 1 && e.scrollWidth <= e.clientWidth + 1)") != "true" {
		t.Error("a time is cut or wraps")
	}
	if len(b.trouble) > 0 {
		t.Errorf("the console has errors:\n%s", strings.Join(b.trouble, "\n"))
	}
}

// TestPictures takes pictures for people who change the page: go test ./sim/report -run Pictures -shots DIR.
func TestPictures(t *testing.T) {
	if *shots == "" {
		t.Skip("no -shots DIR: pictures are for people")
	}
	b := newBrowser(t)
	passing, _, _ := written(t, generated(2), des.Taps{})
	failing, d, rec := written(t, generated(3), early)
	if err := rec.Explain(d, report.Explanation{Shrunk: report.Shrunk{From: 30, To: 2, Complete: true, Story: []string{"After 0.5 s device 1 writes “v0.0” at p1.", "After 0.6 s device 1 loses power for 2 s."}}, GoTest: "package x"}); err != nil {
		t.Fatal(err)
	}
	many, _, _ := written(t, scenario.Generate(5, scenario.Size{Devices: 50, Writes: 30, Reads: 10, Chaos: 8 * time.Second}), des.Taps{})
	for name, dir := range map[string]string{"passing": passing, "failing": failing, "fifty": many} {
		for _, width := range []int{400, 1400} {
			for _, dark := range []bool{false, true} {
				scheme := map[bool]string{false: "light", true: "dark"}[dark]
				b.screen(width, 1000, dark)
				b.open(filepath.Join(dir, report.FilePage))
				b.eval("{const s = document.getElementById('slider'); s.value = s.max / 3; s.dispatchEvent(new Event('input'))}")
				b.photograph(filepath.Join(*shots, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)), true)
				if name == "failing" && !dark {
					b.eval("document.querySelector('a.jump').click()")
					b.eval("new Promise(r => setTimeout(r, 200))")
					b.photograph(filepath.Join(*shots, fmt.Sprintf("%s-%d-jumped.png", name, width)), false)
				}
			}
		}
	}
	if len(b.trouble) > 0 {
		t.Errorf("the console has errors:\n%s", strings.Join(b.trouble, "\n"))
	}
}

// TestHiddenDevicesCount: what a page says of all devices holds for those that it does not show, too.
func TestHiddenDevicesCount(t *testing.T) {
	s := &scenario.Scenario{Devices: make([]scenario.Device, 150), Paths: []string{"a"}, End: time.Minute}
	dir := t.TempDir()
	rec, err := report.Create(dir, s)
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.Devices {
		state := "same"
		if i == 149 { // of devices to which nothing happens the first are shown
			state = "other"
		}
		rec.Event(oracle.Event{Kind: oracle.EventStart, Device: i, State: state})
	}
	if _, err := rec.Close(report.Outcome{Report: &oracle.Report{}}); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t)
	b.open(filepath.Join(dir, report.FilePage))
	if got, want := b.eval("document.getElementById('summary').textContent"), "100 of 100 devices shown run · 2 different states among all 150"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
