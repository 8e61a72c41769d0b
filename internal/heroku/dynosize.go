package heroku

import (
	"context"
	"encoding/json"
)

// dynoSize is a dyno size on the wire. heroku-go's type has the cost without
// its fields.
type dynoSize struct {
	Name string `json:"name"`
	// Cost is null for the sizes that Heroku gives no price for, which are
	// those of private spaces and of the generation Fir, as far as is known.
	Cost json.RawMessage `json:"cost"`
}

// DynoSizes returns the prices of the dyno sizes in US cents a month, by name,
// such as Standard-1X. A size without a price, or with one that is not by the
// month, is left out.
//
// Heroku calls this endpoint a prototype, which may change without notice.
func (c *Client) DynoSizes(ctx context.Context) (map[string]int, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	all, _, err := list[dynoSize](ctx, c, Rest, "/dyno-sizes")
	if err != nil {
		return nil, err
	}
	cents := map[string]int{}
	for _, size := range all {
		if price, ok := size.monthly(); ok {
			cents[size.Name] = price
		}
	}
	return cents, nil
}

// monthly returns the price in cents a month, and false if it is none.
func (s dynoSize) monthly() (int, bool) {
	var cost struct {
		Cents *int   `json:"cents"`
		Unit  string `json:"unit"`
	}
	if err := json.Unmarshal(s.Cost, &cost); err != nil {
		return 0, false
	}
	if s.Name == "" || cost.Unit != "month" || cost.Cents == nil || *cost.Cents < 0 {
		return 0, false
	}
	return *cost.Cents, true
}
