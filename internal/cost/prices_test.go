package cost

import (
	"math"
	"testing"
)

func TestPerSecond(t *testing.T) {
	told := NewPrices(map[string]int{"Standard-1X": 2600, "Brand-New": 100, "Eco": 500})
	tests := map[string]struct {
		prices  Prices
		size    string
		monthly float64
		known   bool
	}{
		"listed":                        {Prices{}, "Standard-2X", 50, true},
		"in lower case":                 {Prices{}, "performance-2xl", 1500, true},
		"in upper case":                 {Prices{}, "BASIC", 7, true},
		"as the API reference has it":   {Prices{}, "standard-1X", 25, true},
		"of a private space":            {Prices{}, "Private-M", 450, true},
		"of Fir":                        {Prices{}, "dyno-1c-0.5gb", 25, true},
		"another name":                  {Prices{}, "Private-Memory-L", 500, true},
		"the old 1X is no standard-1X":  {Prices{}, "1X", 36, true},
		"Eco costs nothing more":        {Prices{}, "Eco", 0, true},
		"Eco, whatever is told":         {told, "eco", 0, true},
		"told":                          {told, "standard-1x", 26, true},
		"told of a size not listed":     {told, "brand-new", 1, true},
		"listed, as others were told":   {told, "standard-2x", 50, true},
		"unknown":                       {told, "standard-3x", 0, false},
		"no size":                       {Prices{}, "", 0, false},
		"white space is no part of one": {Prices{}, " basic", 0, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			perSecond, known := test.prices.PerSecond(test.size)
			if monthly := perSecond * 3600 * 720; math.Abs(monthly-test.monthly) > 1e-9 || known != test.known {
				t.Errorf("%v a month, %v; want %v, %v", monthly, known, test.monthly, test.known)
			}
		})
	}
}
