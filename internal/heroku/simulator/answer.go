package simulator

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// apiError is an error body of the Platform API. Few come with a URL, and Limit and Size only with the
// 422s about dyno limits.
type apiError struct {
	status  int
	ID      string `json:"id"`
	Message string `json:"message"`
	URL     string `json:"url,omitempty"`
	Limit   int    `json:"limit,omitempty"`
	Size    string `json:"size,omitempty"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s: %s", e.status, e.ID, e.Message) }

func newError(status int, id, message string) *apiError {
	return &apiError{status: status, ID: id, Message: message}
}

func badRequest() *apiError {
	return newError(http.StatusBadRequest, "bad_request", "Invalid request body.")
}

func notFound(message string) *apiError {
	return newError(http.StatusNotFound, "not_found", message)
}

func invalidParams(format string, arguments ...any) *apiError {
	return newError(http.StatusUnprocessableEntity, "invalid_params", fmt.Sprintf(format, arguments...))
}

// answer is what goes out, made whole before any of it does, so that it can be lost on demand.
type answer struct {
	status int
	body   []byte
}

func errorAnswer(err error) answer {
	var e *apiError
	if !errors.As(err, &e) {
		e = newError(http.StatusInternalServerError, "internal_server_error", err.Error())
	}
	return answer{status: e.status, body: encode(e)}
}

// resourceAnswer pages a collection and answers 304 to a client that has the resource already.
func resourceAnswer(c *call, body any) answer {
	status := cmp.Or(c.status, http.StatusOK)
	if items, ok := body.(collection); ok {
		page, partial, err := items.page(c)
		if err != nil {
			return errorAnswer(err)
		}
		if partial {
			status = http.StatusPartialContent
		}
		body = page
	}
	if body == nil {
		return answer{status: http.StatusAccepted, body: []byte("{}\n")}
	}
	encoded := encode(body)
	etag := fmt.Sprintf(`"%x"`, sha256.Sum256(encoded))
	c.header.Set("Cache-Control", "private, no-cache")
	c.header.Set("Etag", etag)
	if !c.updated.IsZero() {
		c.header.Set("Last-Modified", c.updated.UTC().Format(http.TimeFormat))
	}
	if c.request.Method == http.MethodGet && matches(c.request.Header.Get("If-None-Match"), etag) {
		return answer{status: http.StatusNotModified}
	}
	return answer{status: status, body: encoded}
}

// matches compares weakly, as If-None-Match does (RFC 9110, 13.1.2).
func matches(ifNoneMatch, etag string) bool {
	for candidate := range strings.SplitSeq(ifNoneMatch, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == etag || candidate == "*" {
			return true
		}
	}
	return false
}

func (a answer) write(w http.ResponseWriter) {
	if a.status != http.StatusNotModified {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the client may be gone
}

func encode(v any) []byte {
	encoded, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // own types only
	}
	return append(encoded, '\n')
}
