package simulator

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Heroku's page sizes.
const (
	defaultPage = 200
	largestPage = 1000
)

// item is a member of a collection: a resource with the values it can be paged by.
type item struct {
	keys     map[string]string // by field, "id" among them
	resource any
}

// collection is a list resource, which clients read in pages.
type collection []item

// span is a parsed Range header: `name ]worker.1..worker.9; max=10,order=desc`.
type span struct {
	field, first, last string
	after              bool // first is not in it
	max                int
	descending         bool
}

var rangeHeader = regexp.MustCompile(`^(?:([a-z_]+) +)?(\]?)([^;\s]*?)\.\.([^;\s]*)(?:; *(.*))?$`)

// page picks what the Range header asks for, and says whether there is more.
func (items collection) page(c *call) (page []any, partial bool, err error) {
	r, err := parseRange(c.request.Header.Get("Range"))
	if err != nil {
		return nil, false, err
	}
	wanted, err := items.within(r)
	if err != nil {
		return nil, false, err
	}
	c.header.Set("Accept-Ranges", items.fields())
	partial = len(wanted) > r.max
	if partial {
		wanted = wanted[:r.max]
		c.header.Set("Next-Range", r.next(wanted[len(wanted)-1]))
	}
	page = []any{}
	for _, i := range wanted {
		page = append(page, i.resource)
	}
	if len(wanted) > 0 {
		c.header.Set("Content-Range", fmt.Sprintf("%s %s..%s; max=%d",
			r.field, wanted[0].keys[r.field], wanted[len(wanted)-1].keys[r.field], r.max))
	}
	return page, partial, nil
}

func (items collection) within(r span) (collection, error) {
	var wanted collection
	for _, i := range items {
		key, ok := i.keys[r.field]
		if !ok {
			return nil, unsatisfiable("Range field must be one of " + items.fields() + ".")
		}
		if r.contains(key) {
			wanted = append(wanted, i)
		}
	}
	slices.SortFunc(wanted, func(a, b item) int {
		if r.descending {
			a, b = b, a
		}
		return compareKeys(a.keys[r.field], b.keys[r.field])
	})
	return wanted, nil
}

func (items collection) fields() string {
	if len(items) == 0 {
		return "id"
	}
	var fields []string
	for field := range items[0].keys {
		fields = append(fields, field)
	}
	slices.Sort(fields)
	return strings.Join(fields, ", ")
}

func (r span) contains(key string) bool {
	low, high := r.first, r.last
	if r.descending {
		low, high = high, low
	}
	excluded := r.after && key == r.first
	return !excluded && (low == "" || compareKeys(key, low) >= 0) && (high == "" || compareKeys(key, high) <= 0)
}

// compareKeys compares numbers, such as the versions of releases, as numbers.
func compareKeys(a, b string) int {
	m, errM := strconv.Atoi(a)
	n, errN := strconv.Atoi(b)
	if errM == nil && errN == nil {
		return cmp.Compare(m, n)
	}
	return cmp.Compare(a, b)
}

func (r span) next(last item) string {
	next := fmt.Sprintf("%s ]%s..%s; max=%d", r.field, last.keys[r.field], r.last, r.max)
	if r.descending {
		next += ",order=desc"
	}
	return next
}

func parseRange(header string) (span, error) {
	r := span{field: "id", max: defaultPage}
	if header == "" {
		return r, nil
	}
	match := rangeHeader.FindStringSubmatch(header)
	if match == nil {
		return r, unsatisfiable("Invalid `Range` header.")
	}
	r.field = cmp.Or(match[1], r.field)
	r.after, r.first, r.last = match[2] != "", match[3], match[4]
	for parameter := range strings.SplitSeq(match[5], ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		switch name {
		case "max":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return r, unsatisfiable("Invalid `max` in the `Range` header.")
			}
			r.max = min(n, largestPage)
		case "order":
			r.descending = value == "desc"
		}
	}
	return r, nil
}

func unsatisfiable(message string) *apiError {
	return newError(http.StatusRequestedRangeNotSatisfiable, "requested_range_not_satisfiable", message)
}
