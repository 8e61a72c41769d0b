// Package cost reckons what dynos cost, and what it saves to have fewer of them than always.
//
// The reckoning is by Heroku's list prices, to the second, as Heroku bills: see
// https://devcenter.heroku.com/articles/usage-and-billing. Discounts, credits and contracts are not
// known here.
package cost

import "strings"

// secondsPerMonth is the 720 hours by which Heroku divides a monthly price.
const secondsPerMonth = 720 * 60 * 60

// eco is the size whose dynos share 1,000 hours a month for 5 $ an account, used or not. One more
// second of it costs nothing, and one less saves nothing.
const eco = "eco"

// listed are the prices in dollars a month by size, in lower case: those of heroku ps:type in version
// 11.10 of Heroku's CLI, with the names that it used before for some of them.
var listed = map[string]int{
	"basic": 7, "hobby": 7,
	"standard-1x": 25, "standard-2x": 50,
	"performance-m": 250, "performance-l": 500, "performance": 500, "performance-l-ram": 500,
	"performance-xl": 750, "performance-2xl": 1500,

	"private-s": 225, "private-m": 450, "private-l": 900, "private-l-ram": 500, "private-memory-l": 500,
	"private-xl": 750, "private-memory-xl": 750, "private-2xl": 1500, "private-memory-2xl": 1500,
	"shield-s": 270, "shield-m": 540, "shield-l": 1080, "shield-l-ram": 600, "shield-memory-l": 600,
	"shield-xl": 900, "shield-memory-xl": 900, "shield-2xl": 1800, "shield-memory-2xl": 1800,

	// The generation Fir.
	"dyno-1c-0.5gb": 25, "dyno-2c-1gb": 50,
	"dyno-1c-4gb": 80, "dyno-2c-8gb": 160, "dyno-4c-16gb": 320, "dyno-8c-32gb": 640, "dyno-16c-64gb": 1000,
	"dyno-2c-4gb": 150, "dyno-4c-8gb": 300, "dyno-8c-16gb": 600, "dyno-16c-32gb": 1200, "dyno-32c-64gb": 2400,
	"dyno-1c-8gb": 100, "dyno-2c-16gb": 250, "dyno-4c-32gb": 500, "dyno-8c-64gb": 750, "dyno-16c-128gb": 1500,

	// No longer sold. These are not other names of standard-1X and so on.
	"1x": 36, "2x": 72, "px": 576,
}

// Prices are those that Heroku's API told, before those listed here. The zero Prices has only the
// latter.
type Prices struct {
	told map[string]int
}

// NewPrices returns prices that were told, in cents a month by the name of the size.
func NewPrices(cents map[string]int) Prices {
	told := map[string]int{}
	for size, price := range cents {
		told[strings.ToLower(size)] = price
	}
	return Prices{told}
}

// PerSecond returns what a dyno of that size costs in dollars a second, and false if that is not
// known. The case of the name does not matter. The size Eco has a flat price, and costs 0.
func (p Prices) PerSecond(size string) (float64, bool) {
	size = strings.ToLower(size)
	if size == eco {
		return 0, true
	}
	if cents, ok := p.told[size]; ok {
		return float64(cents) / 100 / secondsPerMonth, true
	}
	dollars, ok := listed[size]
	return float64(dollars) / secondsPerMonth, ok
}
