package report

import "testing"

// TestTimesOfLongRunsAreInDays, for nobody knows what 34,128,000 seconds are.
func TestTimesOfLongRunsAreInDays(t *testing.T) {
	for seconds, want := range map[float64]string{0: "0.000 s", 12.3456: "12.346 s", 3599: "3599.000 s", 3600: "01:00:00.000", 86399.9999: "1 d 00:00:00.000",
		34128000.01: "395 d 00:00:00.010", 1001 * 86400: "1\u00a0001 d 00:00:00.000"} {
		if got := timeText(seconds); got != want {
			t.Errorf("%v: got %q, want %q", seconds, got, want)
		}
	}
}

// TestWhatHidesIsWrittenOut: no value changes how what stands beside it is read.
func TestWhatHidesIsWrittenOut(t *testing.T) {
	for text, want := range map[string]string{"a\u202eb": `a\u202eb`, "\x1b[1m": `\x1b[1m`, "\u2066x\u2069": `\u2066x\u2069`, "one\n\ttwo": "one\n\ttwo", "é“”": "é“”", "\u0085": `\x85`} {
		if got := visible(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
