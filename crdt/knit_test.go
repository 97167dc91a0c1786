package crdt

import "testing"

// TestKnitRaisesBothFloors: neighbours that have seen the same become one part, whichever of them has forgotten more of which replica.
// A floor that gains a replica may move what it had before, so what one part lacks must not be read from an older copy of the other.
func TestKnitRaisesBothFloors(t *testing.T) {
	r := func(i byte) ReplicaID { return ReplicaID{0: i, 7: 1} }
	seen := vectorOf(Dot{r(1), 9}, Dot{r(2), 9}, Dot{r(3), 9})
	low, high := vectorOf(Dot{r(2), 3}, Dot{r(3), 7}), vectorOf(Dot{r(1), 5}, Dot{r(2), 3}, Dot{r(3), 4})
	low.tops = append(make([]Dot, 0, 8), low.tops...) // room to insert in place
	s := NewState()
	s.parts = Parts{{From: "", Context: seen.Clone(), Floor: low}, {From: "m", Context: seen.Clone(), Floor: high}}
	if err := knit(s); err != nil {
		t.Fatal(err)
	}
	want := vectorOf(Dot{r(1), 5}, Dot{r(2), 3}, Dot{r(3), 7})
	if p := s.Parts(); len(p) != 1 || !p[0].Floor.Equal(want) {
		t.Fatalf("knit gave %v, want one part with the floor %v", p, want)
	}
}

// TestKnitMakesOnePartOfMany: each of three neighbours has forgotten what the others remember, and they become one all the same.
func TestKnitMakesOnePartOfMany(t *testing.T) {
	seen := vectorOf(dot(1, 9), dot(2, 9), dot(3, 9), dot(4, 9))
	s := NewState()
	s.parts = Parts{{From: "", Context: vectorOf(dot(1, 9))}}
	want := Vector{}
	for n := byte(1); n <= 4; n++ {
		s.parts = append(s.parts, Part{From: string('a' + rune(n)), Context: seen.Clone(), Floor: vectorOf(dot(n, 2))})
		want.Add(dot(n, 2))
	}
	if err := knit(s); err != nil {
		t.Fatal(err)
	}
	if p := s.Parts(); len(p) != 2 || !p[1].Floor.Equal(want) || p[0].Floor.Len() > 0 {
		t.Fatalf("knit gave %v, want two parts, the second with the floor %v", p, want)
	}
}
