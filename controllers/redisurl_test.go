package controllers

import (
	"testing"
	"time"
)

// TestWhenTheConfigVarIsRead has news of a formation, such as each change of one's own brings, ask for
// no read.
func TestWhenTheConfigVarIsRead(t *testing.T) {
	t.Parallel()
	const ago = time.Minute
	for name, test := range map[string]struct {
		known configVar
		news  news
		want  time.Duration // from now
	}{
		"never read":                  {configVar{}, news{}, 0},
		"read a minute ago":           {configVar{readAt: epoch.Add(-ago)}, news{}, urlPeriod - ago},
		"released since":              {configVar{readAt: epoch.Add(-ago)}, news{at: epoch, released: true}, 0},
		"released before":             {configVar{readAt: epoch.Add(-ago)}, news{at: epoch.Add(-2 * ago), released: true}, urlPeriod - ago},
		"scaled since":                {configVar{readAt: epoch.Add(-ago)}, news{at: epoch, formation: true}, urlPeriod - ago},
		"could not be read":           {configVar{readAt: epoch, problem: &problem{}}, news{}, brokenURLPeriod},
		"could not be read, for long": {configVar{readAt: epoch, problem: &problem{}, wait: 4 * brokenURLPeriod}, news{}, 4 * brokenURLPeriod},
	} {
		t.Run(name, func(t *testing.T) {
			s := idleScope()
			s.memory.configVar, s.news = test.known, test.news
			if got := s.readURLAt().Sub(s.now); got != test.want {
				t.Errorf("reads it in %v, want %v", got, test.want)
			}
		})
	}
}
