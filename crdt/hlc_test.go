package crdt

import (
	"math"
	"math/rand"
	"testing"
	"time"
)

const century = 100 * 365 * 24 * 3600 * 1000

// TestClockNeverGoesBack: whatever the wall clock does, every event is later than all before it.
func TestClockNeverGoesBack(t *testing.T) {
	for _, seed := range seeds(50) {
		random := rand.New(rand.NewSource(seed))
		var c Clock
		var last Timestamp
		wall := int64(1_700_000_000_000)
		for i := range 500 {
			wall += []int64{0, 0, 1, 20, -5, -century, century, -wall}[random.Intn(8)]
			if random.Intn(3) == 0 {
				c.Observe(Timestamp(random.Uint64()), wall)
			}
			got := c.Tick(wall)
			if got <= last || got < At(wall) {
				t.Fatalf("seed %d, event %d: got %v after %v with the wall clock at %v"+reproduceSeed, seed, i, got, last, At(wall), t.Name(), seed)
			}
			last = got
		}
	}
}

func TestClockFollowsOnlyWhatIsNear(t *testing.T) {
	const wall = 1_700_000_000_000
	for _, c := range []struct {
		name   string
		remote int64
		wall   int64
		want   bool
	}{
		{"equal", wall, wall, true},
		{"behind", wall - 5000, wall, true},
		{"a century behind", wall - century, wall, true},
		{"ahead", wall + 5000, wall, true},
		{"just near enough", wall + ClockAheadMax, wall, true},
		{"just too far", wall + ClockAheadMax + 1, wall, false},
		{"a century ahead", wall + century, wall, false},
		{"the end of time", wallMax, wall, false},
		{"own clock before 1970", ClockAheadMax, -century, true},
		{"own clock before 1970, remote right", wall, -century, false},
	} {
		clock := Clock{Last: At(wall - 1000)}
		before := clock.Last
		if got := clock.Observe(At(c.remote), c.wall); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		want := before
		if c.want {
			want = max(before, At(c.remote))
		}
		if clock.Last != want {
			t.Errorf("%s: the clock is at %v, want %v", c.name, clock.Last, want)
		}
	}
}

// TestAWrongClockDoesNotSpread: one device is a century ahead; the others keep their time while they exchange events with it.
func TestAWrongClockDoesNotSpread(t *testing.T) {
	for _, seed := range seeds(20) {
		random := rand.New(rand.NewSource(seed))
		clocks := make([]Clock, 5)
		skew := []int64{0, 300, -20_000, -century, century}
		wall := int64(1_700_000_000_000)
		for range 2000 {
			wall += int64(random.Intn(10))
			from, to := random.Intn(5), random.Intn(5)
			clocks[to].Observe(clocks[from].Tick(wall+skew[from]), wall+skew[to])
		}
		for i := range 4 {
			// Followers may add up to the bound once per device, and no more.
			if ahead := clocks[i].Last.WallMillis() - max(wall+skew[i], 0); ahead > ClockAheadMax {
				t.Fatalf("seed %d: device %d is %v ahead of its wall clock"+reproduceSeed, seed, i, time.Duration(ahead)*time.Millisecond, t.Name(), seed)
			}
		}
	}
}

// TestLogicalOverflowCarriesIntoTheWallTime: more than 65,536 events in one millisecond.
func TestLogicalOverflowCarriesIntoTheWallTime(t *testing.T) {
	const wall = 1_700_000_000_000
	c := Clock{Last: At(wall) + math.MaxUint16 - 1}
	if got := c.Tick(wall); got.WallMillis() != wall || got.Logical() != math.MaxUint16 {
		t.Errorf("got %v, want the last of the millisecond", got)
	}
	if got := c.Tick(wall); got.WallMillis() != wall+1 || got.Logical() != 0 {
		t.Errorf("got %v, want the first of the next millisecond", got)
	}
}

func TestTimestampsOfImpossibleClocksAreClamped(t *testing.T) {
	for wall, want := range map[int64]int64{-1: 0, math.MinInt64: 0, 0: 0, wallMax: wallMax, wallMax + 1: wallMax, math.MaxInt64: wallMax} {
		if got := At(wall).WallMillis(); got != want {
			t.Errorf("At(%d): got %d, want %d", wall, got, want)
		}
	}
}

func TestTimestampString(t *testing.T) {
	if got, want := (At(1_700_000_000_123) + 7).String(), "2023-11-14T22:13:20.123Z+7"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
