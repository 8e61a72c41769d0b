package queue

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// ErrorKind tells errors apart by who can cure them.
type ErrorKind string

// Kinds of errors.
const (
	Unreachable  ErrorKind = "Unreachable"  // may pass by itself
	Full         ErrorKind = "Full"         // no connection is free; likewise
	Unauthorized ErrorKind = "Unauthorized" // credentials or ACL
	URLInvalid   ErrorKind = "URLInvalid"
	TLSFailed    ErrorKind = "TLSFailed"
	WrongType    ErrorKind = "WrongType" // a key holds another type than the job system's
)

// Error is why a queue cannot be read. Its text names the cure and holds no secret.
type Error struct {
	Kind    ErrorKind
	Message string
	cause   error
}

func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause, whose text is not safe to show.
func (e *Error) Unwrap() error { return e.cause }

// classify makes an Error of what go-redis returned for a command on a key.
func classify(err error, key string) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	kind, message := explain(err, key)
	return &Error{Kind: kind, Message: message, cause: err}
}

func explain(err error, key string) (ErrorKind, string) {
	if kind, message := explainTLS(err); kind != "" {
		return kind, message
	}
	var reply redis.Error
	if errors.As(err, &reply) {
		return explainReply(reply.Error(), key)
	}
	var lookup *net.DNSError
	switch {
	case errors.As(err, &lookup):
		return Unreachable, fmt.Sprintf("the host name of the Redis URL cannot be resolved: %s", lookup.Err)
	case isClosed(err):
		return Unreachable, "Redis closed the connection; if it wants TLS, the URL must begin with rediss://"
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		return Unreachable, "Redis did not answer in time"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return Unreachable, fmt.Sprintf("no connection to Redis: %s", op.Err)
	}
	return Unreachable, "Redis cannot be read: the connection broke"
}

func explainTLS(err error) (ErrorKind, string) {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &authority):
		return TLSFailed, "Redis's certificate is signed by an unknown authority: name the authority in spec.redis.tls.caSecretRef, " +
			"or for a self-signed certificate, as Heroku's are, set spec.redis.tls.verification to None"
	case errors.As(err, &host):
		return TLSFailed, "Redis's certificate is for another host name: set spec.redis.tls.verification to CAOnly to accept that"
	case errors.As(err, &invalid), errors.As(err, &verification):
		return TLSFailed, "Redis's certificate is not valid: renew it, or set spec.redis.tls.verification to None to accept it"
	case errors.As(err, &record):
		return TLSFailed, "Redis does not speak TLS at this port: the URL should begin with redis:// or name another port"
	case errors.As(err, &op) && op.Op == "remote error":
		return TLSFailed, fmt.Sprintf("Redis refuses the TLS connection: %s; the certificate that it asks for goes into "+
			"the Secret of spec.redis.tls.clientCertificateSecretRef", op.Err)
	}
	return "", ""
}

// replyFull is the reply to whoever connects when no connection is free.
const (
	replyFull   = "ERR max number of clients"
	messageFull = "Redis has reached its maximum number of clients (maxclients)"
)

const wrongPassword = "Redis refuses the user or the password of the URL: check spec.redis.urlFrom"

// explainReply explains an error reply, which begins with an upper case code.
func explainReply(reply, key string) (ErrorKind, string) {
	code, _, _ := strings.Cut(reply, " ")
	switch code {
	case "WRONGTYPE":
		return WrongType, fmt.Sprintf("the Redis key %q holds another type than this job system keeps there: check spec.queue", key)
	case "WRONGPASS", "NOAUTH":
		return Unauthorized, wrongPassword
	case "NOPERM":
		return Unauthorized, explainRefusal(reply, key)
	case "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN":
		return Unreachable, "Redis is not ready: " + code
	}
	switch {
	case code == "MOVED", strings.Contains(reply, "cluster mode"):
		return URLInvalid, "the Redis URL leads to a cluster: set spec.redis.mode to Cluster"
	case strings.Contains(reply, "cluster support disabled"):
		return URLInvalid, "the Redis URL does not lead to a cluster: set spec.redis.mode to Standalone"
	case strings.HasPrefix(reply, replyFull):
		return Full, messageFull
	case strings.Contains(reply, "DB index"):
		return URLInvalid, "the Redis URL is not valid: Redis has no database of that number"
	case strings.Contains(reply, "AUTH"):
		return Unauthorized, wrongPassword
	}
	return Unreachable, "Redis answered with an error: " + code
}

// explainRefusal tells which right is missing: Redis names the command, or says that it was the key.
func explainRefusal(reply, key string) string {
	if _, rest, ok := strings.Cut(reply, "run the '"); ok {
		if command, _, ok := strings.Cut(rest, "'"); ok {
			command = strings.ToLower(command)
			return fmt.Sprintf("the Redis user may not run %s: give it +%s", strings.ReplaceAll(command, "|", " "), command)
		}
	}
	return fmt.Sprintf("the Redis user may not read the key %q: give it a pattern for that", key)
}

func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}
