package webhook

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestWhatIsNews(t *testing.T) {
	const second = time.Second
	untimed := func(quantity int) object {
		d := scaled(quantity, noon, "d")
		delete(d["data"].(object), "updated_at")
		return d
	}
	tests := map[string]struct {
		deliveries []object
		want       []int // quantities told, when each delivery has a window of its own
	}{
		"newer ones":                        {[]object{scaled(1, noon, "a"), scaled(2, noon.Add(second), "b")}, []int{1, 2}},
		"an older one":                      {[]object{scaled(2, noon.Add(second), "b"), scaled(1, noon, "a")}, []int{2}},
		"the same delivery again":           {[]object{scaled(1, noon, "a"), scaled(1, noon, "a")}, []int{1}},
		"two deliveries of one second":      {[]object{scaled(1, noon, "a"), scaled(2, noon, "b")}, []int{1, 2}},
		"both of them again":                {[]object{scaled(1, noon, "a"), scaled(2, noon, "b"), scaled(1, noon, "a"), scaled(2, noon, "b")}, []int{1, 2}},
		"one of them after a newer one":     {[]object{scaled(1, noon, "a"), scaled(3, noon.Add(second), "c"), scaled(2, noon, "b")}, []int{1, 3}},
		"deliveries without an id":          {[]object{scaled(1, noon, ""), scaled(2, noon, "")}, []int{1, 2}},
		"a newer one by a known id":         {[]object{scaled(1, noon, "a"), scaled(2, noon.Add(second), "a")}, []int{1, 2}},
		"another time zone":                 {[]object{scaled(2, noon.Add(second), "b"), scaled(1, noon.In(time.FixedZone("", 7200)), "a")}, []int{2}},
		"no time is never old":              {[]object{scaled(1, noon, "a"), untimed(2), untimed(3)}, []int{1, 2, 3}},
		"no time makes none old":            {[]object{untimed(2), scaled(1, noon, "a")}, []int{2, 1}},
		"another resource has its own time": {[]object{scaled(2, noon.Add(second), "b"), of(scaled(1, noon, "a"), "formation", "w", "web")}, []int{2, 1}},
		"another kind too":                  {[]object{scaled(2, noon.Add(second), "b"), of(scaled(1, noon, "a"), "dyno", "d", "worker")}, []int{2, 1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, told := record(Options{})
				for _, d := range test.deliveries {
					deliver(t, r, d)
					settle()
				}
				if got := quantities(*told); !slices.Equal(got, test.want) {
					t.Errorf("told %v, want %v", got, test.want)
				}
			})
		})
	}
}

func TestFloodIsGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, told := record(Options{})
		for i := range 1000 {
			deliver(t, r, scaled(i, noon.Add(time.Duration(i)*time.Second), fmt.Sprint(i)))
			time.Sleep(time.Millisecond)
		}
		settle()
		if n := len(*told); n > 10 {
			t.Errorf("a second of events was told %d times, want 10 at most", n)
		}
		if last := quantities(*told)[len(*told)-1]; last != 999 {
			t.Errorf("the last event told has quantity %d, want 999", last)
		}
	})
}

func TestProcessTypesAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, told := record(Options{})
		deliver(t, r, scaled(1, noon, "a"))
		deliver(t, r, of(scaled(2, noon, "b"), "formation", "w", "web"))
		deliver(t, r, of(scaled(3, noon, "c"), "dyno", "d", "worker"))
		settle()
		got := quantities(*told)
		if slices.Sort(got); !slices.Equal(got, []int{1, 2, 3}) {
			t.Errorf("told %v, want all three", got)
		}
	})
}

func TestOneStandsForAll(t *testing.T) {
	of := func(quantity int, updated time.Time, id string) object {
		d := scaled(quantity, updated, id)
		if updated.IsZero() {
			delete(d["data"].(object), "updated_at")
		}
		return d
	}
	const unsure = -1
	second := noon.Add(time.Second)
	tests := map[string]struct {
		deliveries []object
		quantity   int
		updatedAt  time.Time
	}{
		"the newer":                        {[]object{of(1, noon, "a"), of(2, second, "b")}, 2, second},
		"of one time, the same quantity":   {[]object{of(2, noon, "a"), of(2, noon, "b")}, 2, noon},
		"of one time, another quantity":    {[]object{of(1, noon, "a"), of(2, noon, "b")}, unsure, noon},
		"and one more of that time":        {[]object{of(1, noon, "a"), of(2, noon, "b"), of(2, noon, "c")}, unsure, noon},
		"a newer one than two of one time": {[]object{of(1, noon, "a"), of(2, noon, "b"), of(3, second, "c")}, 3, second},
		"one without a time":               {[]object{of(1, noon, "a"), of(2, time.Time{}, "b")}, unsure, time.Time{}},
		"one without a time, come first":   {[]object{of(2, time.Time{}, "b"), of(1, noon, "a")}, unsure, time.Time{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, told := record(Options{})
				for _, d := range test.deliveries {
					deliver(t, r, d)
				}
				settle()
				if got := quantities(*told); !slices.Equal(got, []int{test.quantity}) || !(*told)[0].UpdatedAt.Equal(test.updatedAt) {
					t.Errorf("told %v of %v, want %d of %s", got, *told, test.quantity, test.updatedAt)
				}
			})
		})
	}
}

func TestOlderDynoComesLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, told := record(Options{})
		deliver(t, r, of(scaled(2, noon.Add(time.Second), "b"), "dyno", "two", "worker"))
		deliver(t, r, of(scaled(1, noon, "a"), "dyno", "one", "worker"))
		settle()
		if got := quantities(*told); !slices.Equal(got, []int{2}) {
			t.Errorf("told %v, want the newer", got)
		}
	})
}

func TestSlowListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []int
		r := New(Options{Secrets: []string{key}, Tell: func(e Event) {
			time.Sleep(time.Minute)
			told = append(told, *e.Quantity) // a data race, were there two at a time
		}})
		for i := range 100 {
			deliver(t, r, scaled(i, noon.Add(time.Duration(i)*time.Second), fmt.Sprint(i)))
			time.Sleep(window)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(told) > 3 || !slices.IsSorted(told) || told[len(told)-1] != 99 {
			t.Errorf("told %v, want what waits to be gathered, up to 99", told)
		}
	})
}

func TestForgotten(t *testing.T) {
	var m memory
	about := func(i int, updated time.Time, id string) delivery {
		return delivery{event: Event{AppID: appID, UpdatedAt: updated}, resource: fmt.Sprint(i), id: id}
	}
	m.news(about(0, noon, "a"))
	for i := 1; i <= maxResources; i++ {
		m.news(about(i, noon, "a"))
	}
	if m.news(about(0, noon, "a")) {
		t.Errorf("forgot one of the latest %d resources", maxResources)
	}
	for i := range 5 * maxResources {
		m.news(about(i, noon, "a"))
		if size := len(m.young) + len(m.old); size > 2*maxResources {
			t.Fatalf("remembers %d resources, want %d at most", size, 2*maxResources)
		}
	}
	for i := range 100 {
		m.news(about(-1, noon, fmt.Sprint(i)))
	}
	if n := len(m.recall(resourceKey{appID, "-1"}).deliveries); n != maxDeliveries {
		t.Errorf("remembers %d deliveries of one second, want %d", n, maxDeliveries)
	}
	if m.news(about(-1, noon, "99")) {
		t.Error("forgot the latest delivery of a second")
	}
}

// sent is a delivery of a formation's history, and how long after the one before it arrives.
type sent struct {
	processType string
	quantity    int // counts up
	updatedAt   time.Time
	after       time.Duration
}

func (s sent) object() object {
	id := fmt.Sprint(s.processType, s.quantity)
	d := of(scaled(s.quantity, s.updatedAt, id), "formation", s.processType, s.processType)
	d["action"] = id
	return d
}

// histories are what happened to two process types, in any order and with repetitions.
func histories(t *rapid.T) []sent {
	var all []sent
	for _, processType := range []string{"web", "worker"} {
		at := noon
		for i := range rapid.IntRange(1, 8).Draw(t, processType) {
			at = at.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "seconds")) * time.Second)
			all = append(all, sent{processType, i, at, 0})
		}
	}
	for range rapid.IntRange(0, 8).Draw(t, "repeated") {
		all = append(all, rapid.SampledFrom(all).Draw(t, "which"))
	}
	all = rapid.Permutation(all).Draw(t, "order")
	for i := range all {
		all[i].after = time.Duration(rapid.IntRange(0, 150).Draw(t, "ms")) * time.Millisecond
	}
	return all
}

// hearing is an event told, and when.
type hearing struct {
	Event
	at time.Time
}

func TestAnyOrderEndsWithTheNewest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		all := histories(rt)
		concurrent := rapid.Bool().Draw(rt, "concurrent")
		heard := map[string][]hearing{}
		synctest.Test(t, func(t *testing.T) {
			r := New(Options{Secrets: []string{key}, Tell: func(e Event) {
				heard[e.ProcessType] = append(heard[e.ProcessType], hearing{e, time.Now()})
			}})
			var wg sync.WaitGroup
			for _, s := range all {
				time.Sleep(s.after)
				if concurrent {
					wg.Go(func() { deliver(t, r, s.object()) })
				} else {
					deliver(t, r, s.object())
				}
			}
			wg.Wait()
			settle()
		})
		for processType, h := range heard {
			checkHeard(rt, processType, h, all)
		}
		if len(heard) != 2 {
			rt.Fatalf("heard of %d process types, want 2", len(heard))
		}
	})
}

func checkHeard(t *rapid.T, processType string, heard []hearing, all []sent) {
	ofType := slices.DeleteFunc(slices.Clone(all), func(s sent) bool { return s.processType != processType })
	newest := slices.MaxFunc(ofType, func(a, b sent) int { return cmp.Compare(a.updatedAt.Unix(), b.updatedAt.Unix()) })
	if last := heard[len(heard)-1]; !last.UpdatedAt.Equal(newest.updatedAt) {
		t.Fatalf("%s: the last event told is of %s, want %s", processType, last.UpdatedAt, newest.updatedAt)
	}
	told := map[string]bool{}
	for i, h := range heard {
		if told[h.Action] {
			t.Fatalf("delivery %s was told twice", h.Action)
		}
		told[h.Action] = true
		if i == 0 {
			continue
		}
		if before := heard[i-1]; h.UpdatedAt.Before(before.UpdatedAt) || h.at.Sub(before.at) < window {
			t.Fatalf("%s: told %+v after %+v", processType, h, before)
		}
	}
}
