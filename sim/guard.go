package sim

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// A fault is a call of somebody's function that did not return as it should.
type fault struct {
	text  string
	hangs bool
}

// guarded calls f on a goroutine of its own and waits for it, but not longer than deadline. The goroutine of a call that hangs is left
// behind: Go cannot end it. Clock and goroutine guard against functions of others; no run sees them.
func guarded[T any](deadline time.Duration, f func() T) (T, *fault) {
	type answer struct {
		out   T
		fault *fault
	}
	done := make(chan answer, 1)
	go func() {
		a := answer{fault: &fault{text: "ended its goroutine, as t.FailNow and runtime.Goexit do"}}
		defer func() {
			if r := recover(); r != nil {
				a.fault = &fault{text: fmt.Sprintf("panicked: %v\n%s", r, panicFrames(debug.Stack()))}
			}
			done <- a
		}()
		a = answer{out: f()}
	}()
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	select {
	case a := <-done:
		return a.out, a.fault
	case <-timer.C:
		return *new(T), &fault{text: fmt.Sprintf("has not returned after %v", deadline), hangs: true}
	}
}

// panicFrames cuts a stack down to the calls between the panic and this package.
func panicFrames(stack []byte) string {
	lines := strings.Split(string(stack), "\n")
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "panic(") }); i >= 0 && i+2 < len(lines) {
		lines = lines[i+2:]
	}
	if i := slices.IndexFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, "syncline/sim.")
	}); i > 0 {
		lines = lines[:i]
	}
	return strings.Join(lines[:min(len(lines), 16)], "\n")
}
