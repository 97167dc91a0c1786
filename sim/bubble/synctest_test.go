package bubble

import (
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestBubbleReportsHowItEnds: whatever happens in a bubble, its caller goes on and hears of it.
func TestBubbleReportsHowItEnds(t *testing.T) {
	for want, f := range map[string]func(){
		"":                          func() { time.Sleep(time.Hour) },
		"panic in the bubble: boom": func() { panic("boom") },
		"all goroutines in bubble":  func() { <-make(chan int) },
		"blocked goroutines remain": func() { go func() { select {} }() },
		"panic in the bubble: both": func() { go func() { select {} }(); panic("both") },
	} {
		err := bubble(new(pulse), hangMax, f)
		if text := ""; err != nil {
			text = err.Error()
			if want == "" || !strings.Contains(text, want) {
				t.Errorf("got %q, want %q", text, want)
			}
		} else if want != "" {
			t.Errorf("no error, want %q", want)
		}
	}
}

// TestAHangIsReported: where a goroutine waits for a mutex whose holder waits for time to pass, a bubble stands still, and the report names
// both.
func TestAHangIsReported(t *testing.T) {
	err := bubble(new(pulse), time.Second, func() {
		var mu sync.Mutex
		mu.Lock()
		go func() {
			mu.Lock()
			defer mu.Unlock()
		}()
		time.Sleep(time.Hour)
	})
	if err == nil || !strings.Contains(err.Error(), "sync.Mutex.Lock") || !strings.Contains(err.Error(), "[sleep") {
		t.Errorf("a bubble that hangs ended with %v", err)
	}
}

// TestInAPlainProgram: a testing.T that nothing is known about serves outside of go test, which is not documented anywhere.
func TestInAPlainProgram(t *testing.T) {
	program := filepath.Join(t.TempDir(), "plain")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./internal/plain").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), program).CombinedOutput()
	if err != nil || string(out) != "[] [v0.0]\n" {
		t.Errorf("%v, and printed:\n%s", err, out)
	}
}
