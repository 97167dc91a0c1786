//go:build linux

package netns

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"syncline/sim/oracle"
)

// A Look is what was found when all faults were over and the devices that were not away held the same, or had had their time.
type Look struct {
	// At is a time of the scenario; Agreed is how long the devices took from then on, 0 if they did not agree.
	At, Agreed time.Duration
	// Entries and Conflicts is what each device counts, Export the length of its export in bytes.
	Entries, Conflicts, Export int
	// Coverage counts what happened until now.
	Coverage oracle.Coverage
	// Devices holds what each device uses; nothing for one that is away.
	Devices []Usage
}

// Usage is what a device takes of its machine.
type Usage struct {
	// Resident is the memory of its process in bytes, ResidentMax the most since the process started.
	Resident, ResidentMax int64
	// Disk is the size of its files in bytes.
	Disk int64
}

// standStill looks at a time of the scenario. Meanwhile no time passes there and nothing is asked of any device.
func (r *run) standStill(ctx context.Context, at time.Duration) error {
	if err := r.until(ctx, at); err != nil {
		return err
	}
	if err := r.faults.heal(); err != nil {
		return err
	}
	r.time.stop()
	defer r.time.goOn()
	var here []*actor
	var idle sync.WaitGroup
	for i, a := range r.actors {
		if op := r.s.Start(i); a.away > at || op != nil && op.At > at {
			continue
		}
		here = append(here, a)
		idle.Add(1)
		a.do(func(context.Context) error { idle.Done(); return nil })
	}
	done := make(chan struct{})
	go func() { idle.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		return ctx.Err()
	}
	_, err := r.look(ctx, here)
	return err
}

// look waits until devices show the same, and judges it.
func (r *run) look(ctx context.Context, here []*actor) (pages []oracle.Page, err error) {
	r.tell(oracle.Event{Kind: oracle.EventHeal, Device: -1})
	l := Look{At: r.now(), Devices: make([]Usage, len(r.actors))}
	start, exports := time.Now(), []string(nil)
	for agreed := false; !agreed; {
		if pages, exports, err = r.pages(ctx, here); err != nil {
			return nil, err
		}
		if agreed = allSame(pages, exports); agreed {
			l.Agreed = time.Since(start)
			agreed = r.settle(ctx, here)
		}
		if time.Since(start) > cmp.Or(r.s.ConvergeMax, meetWithin) {
			break // the witness says who lacks what
		}
		if err := sleep(ctx, pagePoll); err != nil {
			return nil, err
		}
	}
	if pages, exports, err = r.pages(ctx, here); err != nil {
		return nil, err
	}
	if r.agreed = l.Agreed; allSame(pages, exports) {
		r.tell(oracle.Event{Kind: oracle.EventAgree, Device: -1})
	} else {
		l.Agreed = 0
	}
	r.judge(func(w *oracle.Witness) {
		byDevice := map[int]oracle.Page{}
		for i, a := range here {
			byDevice[a.index] = pages[i]
			if exports[i] != exports[0] {
				w.Fail(oracle.Convergence, a.index, "the exports differ: %s holds %s, this one %s", here[0].peer.Name(), firstOf(exports[0], exports[i]), firstOf(exports[i], exports[0]))
			}
		}
		w.Compare(byDevice)
		l.Coverage = oracle.Coverage{}
		l.Coverage.Join(w.Coverage)
	})
	l.Entries, l.Conflicts, l.Export = pages[0].Entries, pages[0].ConflictCount, len(exports[0])
	for _, a := range here {
		if l.Devices[a.index], err = a.usage(); err != nil {
			return nil, err
		}
	}
	if r.driver.Looked != nil {
		r.driver.Looked(l)
	}
	return pages, nil
}

// pages asks devices for what they show, and for their exports.
func (r *run) pages(ctx context.Context, here []*actor) (pages []oracle.Page, exports []string, err error) {
	for _, a := range here {
		p, err := a.page(ctx)
		if err != nil {
			return nil, nil, err
		}
		x, err := a.export(ctx)
		if err != nil {
			return nil, nil, err
		}
		pages, exports = append(pages, p), append(exports, x)
	}
	return pages, exports, nil
}

func allSame(pages []oracle.Page, exports []string) bool {
	return !slices.ContainsFunc(pages, func(p oracle.Page) bool { return !p.Same(pages[0]) }) &&
		!slices.ContainsFunc(exports, func(x string) bool { return x != exports[0] })
}

// settle lets every device find out that the others hold what it holds, and reports whether that is so.
func (r *run) settle(ctx context.Context, here []*actor) bool {
	for _, a := range here {
		if !a.sync(ctx, here...) {
			return false
		}
	}
	return true
}

// firstOf returns the first line of x that y does not have.
func firstOf(x, y string) string {
	has := map[string]bool{}
	for line := range strings.Lines(y) {
		has[line] = true
	}
	for line := range strings.Lines(x) {
		if !has[line] {
			return line[:min(len(line), 200)]
		}
	}
	return "nothing more"
}

// export asks for every entry in the canonical form, whether the device is still filling or not: a look compares until all are equal.
func (a *actor) export(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	body, err := a.api.Export(ctx, "", true)
	if err != nil {
		return "", err
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	return string(b), err
}

// usage measures the running device.
func (a *actor) usage() (u Usage, err error) {
	pid := 0
	if a.process != nil {
		pid = a.process.Process.Pid
	} else if pid, err = a.peer.PID(); err != nil {
		return u, err
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		var kib int64
		switch name, rest, _ := strings.Cut(lines.Text(), ":"); name {
		case "VmRSS":
			fmt.Sscan(rest, &kib)
			u.Resident = kib << 10
		case "VmHWM":
			fmt.Sscan(rest, &kib)
			u.ResidentMax = kib << 10
		}
	}
	return u, filepath.WalkDir(a.peer.Data(), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // a file may go while we look
		}
		if info, err := d.Info(); err == nil {
			u.Disk += info.Size()
		}
		return nil
	})
}
