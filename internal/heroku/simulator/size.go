package simulator

import (
	"math"
	"strings"
)

// dynoSize is one row of Heroku's table of dyno types. Dynos of different tiers do not share an app.
type dynoSize struct {
	name      string
	tier      string
	cents     int // a month
	memory    float64
	compute   int
	dedicated bool
	limit     int // dynos of one process type
	private   bool
}

var dynoSizes = []dynoSize{
	{name: "Eco", tier: "eco", cents: 500, memory: 0.5, compute: 1, limit: 1},
	{name: "Basic", tier: "basic", cents: 700, memory: 0.5, compute: 1, limit: 1},
	{name: "Standard-1X", tier: "production", cents: 2500, memory: 0.5, compute: 1, limit: math.MaxInt},
	{name: "Standard-2X", tier: "production", cents: 5000, memory: 1, compute: 2, limit: math.MaxInt},
	{name: "Performance-M", tier: "production", cents: 25000, memory: 2.5, compute: 2, dedicated: true, limit: 10},
	{name: "Performance-L", tier: "production", cents: 50000, memory: 14, compute: 8, dedicated: true, limit: 10},
	{name: "Performance-L-RAM", tier: "production", cents: 50000, memory: 30, compute: 4, dedicated: true, limit: 10},
	{name: "Performance-XL", tier: "production", cents: 75000, memory: 62, compute: 8, dedicated: true, limit: 10},
	{name: "Performance-2XL", tier: "production", cents: 150000, memory: 126, compute: 16, dedicated: true, limit: 10},
	{name: "Private-S", tier: "private", cents: 22500, memory: 1, compute: 2, dedicated: true, limit: 10, private: true},
	{name: "Private-M", tier: "private", cents: 45000, memory: 2.5, compute: 2, dedicated: true, limit: 10, private: true},
	{name: "Private-L", tier: "private", cents: 90000, memory: 14, compute: 8, dedicated: true, limit: 10, private: true},
}

func (z dynoSize) reference() reference { return reference{ID: stableID("size", z.name), Name: z.name} }

// sizeNamed finds a size that an app outside a private space can have; case does not matter.
func sizeNamed(name string) (dynoSize, bool) {
	for _, z := range dynoSizes {
		if strings.EqualFold(z.name, name) || z.reference().ID == name {
			return z, !z.private
		}
	}
	return dynoSize{}, false
}

func noSuchSize(name string) *apiError {
	var names []string
	for _, z := range dynoSizes {
		if !z.private {
			names = append(names, z.name)
		}
	}
	last := len(names) - 1
	return invalidParams("No such size as %s. Available dyno sizes are %s and %s.",
		name, strings.Join(names[:last], ", "), names[last])
}

func listDynoSizes(*call) (any, error) {
	var items collection
	for _, z := range dynoSizes {
		items = append(items, item{
			keys: map[string]string{"id": z.reference().ID, "name": z.name},
			resource: dynoSizeResource{
				ID: z.reference().ID, Name: z.name, Memory: z.memory, Compute: z.compute,
				Dedicated: z.dedicated, PrivateSpaceOnly: z.private,
				Cost: &costResource{Cents: z.cents, Unit: "month"},
			},
		})
	}
	return items, nil
}
