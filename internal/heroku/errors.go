package heroku

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	api "github.com/heroku/heroku-go/v5"
)

// Kind says what went wrong, as far as a caller acts on it.
type Kind string

const (
	// Unknown is everything that says nothing about the state of Heroku: a
	// network error, a timeout, a redirect, a truncated or nonsensical answer.
	Unknown Kind = "Unknown"
	// Unauthorized is a token that is wrong, expired or revoked (401).
	Unauthorized Kind = "Unauthorized"
	// Forbidden is a token that lacks a scope, an account or app that is
	// suspended, a second factor that is wanted (403), an unpaid account (402).
	Forbidden Kind = "Forbidden"
	// AppNotFound is an app that does not exist or is not shown to the token (404).
	AppNotFound Kind = "AppNotFound"
	// ProcessTypeNotFound is a process type that the app does not have.
	ProcessTypeNotFound Kind = "ProcessTypeNotFound"
	// ConfigVarNotFound is a config var that the app does not have, or that is
	// empty.
	ConfigVarNotFound Kind = "ConfigVarNotFound"
	// AboveLimit is a quantity above [Error.Limit] (422); nothing was scaled.
	AboveLimit Kind = "AboveLimit"
	// Invalid is any other request that was refused, by Heroku (4xx) or
	// already by this package.
	Invalid Kind = "Invalid"
	// RateLimited is an account whose rate budget is spent (429).
	RateLimited Kind = "RateLimited"
	// Late is a change that could not be sent by its [Scaling.SendBy].
	Late Kind = "Late"
	// Unavailable is a fault on Heroku's side (5xx, with a JSON body or not), or a
	// request that came at a bad moment (408, 409, 423, 425): it passes by itself.
	Unavailable Kind = "Unavailable"
)

// Error is the one error type of this package. Its text is the same for the
// same failure, without ids or ports of a single request, and never contains
// the token.
type Error struct {
	Kind Kind
	// Status is the HTTP status of the answer, 0 if there was none or the
	// failure is not Heroku's verdict on a request.
	Status int
	// ID is Heroku's error id, such as rate_limit, or http_503 for an answer
	// whose body was not Heroku's JSON.
	ID      string
	Message string
	// RequestID identifies the request to Heroku's support.
	RequestID string
	// Limit is the highest quantity that a 422 named, 0 if it named none.
	Limit int
	// RetryAfter is how long Heroku asked to wait, at most an hour; 0 if it did
	// not say.
	RetryAfter time.Duration

	cause  error
	unsent bool
}

func (e *Error) Error() string {
	text := "heroku: "
	if e.Status != 0 {
		text += strconv.Itoa(e.Status) + " "
	}
	if e.ID != "" {
		text += e.ID + ": "
	}
	return text + e.Message
}

// Unwrap returns the error of the network, the context or the decoder, if the
// failure was one.
func (e *Error) Unwrap() error { return e.cause }

// OutcomeKnown reports whether the request certainly changed nothing: it was
// refused (4xx but 408) or never sent. Where it is false, a PATCH may have been
// applied or may yet be.
func (e *Error) OutcomeKnown() bool {
	switch e.Kind {
	case Unknown, Unavailable, "":
		return e.unsent || isBadMoment(e.Status) && e.Status != http.StatusRequestTimeout
	default:
		return true
	}
}

// invalid is a request that is refused before it is sent.
func invalid(message string) *Error {
	return &Error{Kind: Invalid, Message: message}
}

// nonsense is an answer that Heroku never gives, or only a part of one.
func nonsense(a *answer, message string) *Error {
	return &Error{Kind: Unknown, Status: a.status, RequestID: a.requestID, Message: message}
}

// newError turns an error of heroku-go into an *Error.
func newError(a *answer, err error) *Error {
	e := &Error{Status: a.status, RequestID: a.requestID, Limit: a.limit, RetryAfter: a.retryAfter}
	var refused api.Error
	if errors.As(err, &refused) {
		e.ID, e.Message = refused.ID, refused.Error()
		e.Kind = kindOf(e.Status, e.ID, e.Message)
		return e
	}
	e.Kind, e.Message, e.cause = Unknown, describe(err), err
	e.unsent = failedToDial(err)
	return e
}

func kindOf(status int, id, message string) Kind {
	switch {
	case status >= 500, isBadMoment(status):
		return Unavailable
	case status < 400:
		return Unknown
	}
	switch status {
	case http.StatusUnauthorized:
		return Unauthorized
	case http.StatusPaymentRequired, http.StatusForbidden:
		return Forbidden
	case http.StatusNotFound:
		return notFoundKind(message)
	case http.StatusTooManyRequests:
		return RateLimited
	case http.StatusUnprocessableEntity:
		return unprocessableKind(id)
	default:
		return Invalid
	}
}

// isBadMoment reports whether a status refuses a request for now: something else
// is being done to the app.
func isBadMoment(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusLocked, http.StatusTooEarly:
		return true
	}
	return false
}

// notFoundKind tells the two by the message, for both have the id not_found.
// The process type's is "Couldn't find that process type (worker)."
func notFoundKind(message string) Kind {
	if strings.Contains(message, "process type") {
		return ProcessTypeNotFound
	}
	return AppNotFound
}

func unprocessableKind(id string) Kind {
	switch id {
	case "cannot_update_above_limit", "cannot_run_above_limit":
		return AboveLimit
	default:
		return Invalid
	}
}

// describe puts an error of the network or the decoder into words that do not
// change from one attempt to the next, as the port in a net.OpError does.
func describe(err error) string {
	var op *net.OpError
	var outer *url.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no complete answer before the deadline"
	case errors.Is(err, context.Canceled):
		return "the call was cancelled"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the answer is missing or cut off"
	case errors.As(err, &op):
		return op.Err.Error()
	case errors.As(err, &outer):
		return outer.Err.Error()
	default:
		return "the answer cannot be understood: " + err.Error()
	}
}

// failedToDial reports whether there was no connection to send anything on.
func failedToDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
