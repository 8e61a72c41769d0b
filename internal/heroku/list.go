package heroku

import (
	"context"
	"net/http"
	"strings"

	api "github.com/heroku/heroku-go/v5"
)

// maxPages bounds a list. A page has 200 entries by default, and an app at most
// 255 dynos besides its one-off ones.
const maxPages = 20

// list reads all pages of a list. Heroku answers 206 with the range of the next
// page in Next-Range, which goes back unchanged.
func list[T any](ctx context.Context, c *Client, p Priority, path string) ([]T, *answer, error) {
	var all []T
	var from *api.ListRange
	for range maxPages {
		page, a, err := getPage[T](ctx, c, p, path, from)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, page...)
		if a.nextRange == "" {
			return all, a, checkComplete(a, from)
		}
		if from, err = parseRange(a); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, &Error{Kind: Unknown, Message: "the list does not end"}
}

func getPage[T any](ctx context.Context, c *Client, p Priority, path string, from *api.ListRange) ([]T, *answer, error) {
	var page []T
	a, err := c.callAs(ctx, p, path, func(ctx context.Context) error {
		return c.service.Get(ctx, &page, path, nil, from)
	})
	if err != nil {
		return nil, nil, err
	}
	if page == nil {
		return nil, nil, nonsense(a, "the answer is null, not a list")
	}
	return page, a, nil
}

// parseRange returns a ListRange that heroku-go writes just as Heroku sent it:
// the two halves around the dots.
func parseRange(a *answer) (*api.ListRange, error) {
	first, last, ok := strings.Cut(a.nextRange, "..")
	if !ok {
		return nil, nonsense(a, "the next page has no range")
	}
	return &api.ListRange{FirstID: first, LastID: last}, nil
}

// checkComplete refuses a part of a list that does not say where the rest is,
// unless a part is what was asked for.
func checkComplete(a *answer, asked *api.ListRange) error {
	if a.status == http.StatusPartialContent && asked == nil {
		return nonsense(a, "the list is incomplete and the next page is not named")
	}
	return nil
}
