package queue

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/queuescaler/queuescaler/test/redisserver"
)

// failing is a connection that should fail.
type failing struct {
	url          string
	verification Verification
	ca           string
	spec         *Spec

	kind ErrorKind // empty: it should succeed
	says string
}

func (f failing) check(t *testing.T) {
	t.Helper()
	endpoint, err := ParseEndpoint(f.url, f.verification, f.ca)
	if err != nil {
		t.Fatal(err)
	}
	client := endpoint.client()
	defer func() { _ = client.Close() }()
	spec := mine
	if f.spec != nil {
		spec = *f.spec
	}
	_, failure := newObserver(t, client, spec).look()
	if failure == nil {
		if f.kind != "" {
			t.Errorf("no error, want %s", f.kind)
		}
		return
	}
	if failure.Kind != f.kind || !strings.Contains(failure.Message, f.says) {
		t.Errorf("got %s: %s (%v), want %s: …%s…", failure.Kind, failure.Message, failure.Unwrap(), f.kind, f.says)
	}
	if text := everyPrint(failure) + everyPrint(failure.Unwrap()); strings.Contains(text, canary) {
		t.Errorf("the error tells the secret: %s", text)
	}
}

func checkAll(t *testing.T, tests map[string]failing) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, test.check)
	}
}

func TestCredentials(t *testing.T) {
	open := redisserver.StartT(t, redisserver.Options{})
	closed := redisserver.StartT(t, redisserver.Options{Password: canary})
	checkAll(t, map[string]failing{
		"right password":      {url: closed.URL()},
		"no password":         {url: "redis://" + closed.Addr(), kind: Unauthorized, says: "password"},
		"wrong password":      {url: "redis://:" + canary + "2@" + closed.Addr(), kind: Unauthorized, says: "password"},
		"wrong user":          {url: "redis://me:" + canary + "@" + closed.Addr(), kind: Unauthorized, says: "user"},
		"password not needed": {url: "redis://:" + canary + "@" + open.Addr()},
		"no such database":    {url: open.URL() + "/99", kind: URLInvalid, says: "no database"},
	})
}

func TestRights(t *testing.T) {
	server := func(rights string) string {
		return redisserver.StartT(t, redisserver.Options{User: "reader", Password: canary, Rights: strings.Fields(rights)}).URL()
	}
	const reads = "-@all +@read +@connection +time +info "
	checkAll(t, map[string]failing{
		"as documented": {url: server(reads + "~*")},
		"not the keys":  {url: server(reads + "~other:*"), kind: Unauthorized, says: `"stat:processed"`},
		"not one key":   {url: server(reads + "~queue:* ~processes ~retry ~stat:* ~paused"), kind: Unauthorized, says: `"schedule"`},
		"no reads":      {url: server("-@all +@connection +time ~*"), kind: Unauthorized, says: "+@read"},
		"no TIME":       {url: server("-@all +@read +@connection ~*"), kind: Unauthorized, says: "+time"},
		"nothing":       {url: server("-@all ~*"), kind: Unauthorized, says: "lacks rights"},
	})
}

func TestConnections(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unused := listener.Addr().String()
	_ = listener.Close()
	full := redisserver.StartT(t, redisserver.Options{Args: []string{"--maxclients", "1"}})
	do(t, clientOf(t, full.URL()), cmd("ping"))
	checkAll(t, map[string]failing{
		"nobody there":    {url: "redis://:" + canary + "@" + unused, kind: Unreachable, says: "connection refused"},
		"unknown host":    {url: "redis://:" + canary + "@redis.invalid", kind: Unreachable, says: "resolved"},
		"too many others": {url: full.URL(), kind: Unreachable},
	})
}

func TestTLS(t *testing.T) {
	plain := redisserver.StartT(t, redisserver.Options{})
	right := redisserver.StartT(t, redisserver.Options{TLS: true, Password: canary})
	other := redisserver.StartT(t, redisserver.Options{TLS: true, Hosts: []string{"other.example"}})
	mutual := redisserver.StartT(t, redisserver.Options{TLS: true, Args: []string{"--tls-auth-clients", "yes"}})
	checkAll(t, map[string]failing{
		"Full with the CA":        {url: right.URL(), verification: VerifyFull, ca: right.CA()},
		"CAOnly with the CA":      {url: right.URL(), verification: VerifyCAOnly, ca: right.CA()},
		"None":                    {url: right.URL(), verification: VerifyNone},
		"None with another CA":    {url: right.URL(), verification: VerifyNone, ca: other.CA()},
		"Full without the CA":     {url: right.URL(), verification: VerifyFull, kind: TLSFailed, says: "spec.redis.tls.verification"},
		"CAOnly without the CA":   {url: right.URL(), verification: VerifyCAOnly, kind: TLSFailed, says: "spec.redis.tls.caSecretRef"},
		"Full with another CA":    {url: right.URL(), verification: VerifyFull, ca: other.CA(), kind: TLSFailed, says: "authority"},
		"CAOnly with another CA":  {url: right.URL(), verification: VerifyCAOnly, ca: other.CA(), kind: TLSFailed, says: "authority"},
		"wrong host name, Full":   {url: other.URL(), verification: VerifyFull, ca: other.CA(), kind: TLSFailed, says: "CAOnly"},
		"wrong host name, CAOnly": {url: other.URL(), verification: VerifyCAOnly, ca: other.CA()},
		"wrong host name, None":   {url: other.URL(), verification: VerifyNone},
		"TLS to a plain port":     {url: "rediss://" + plain.Addr(), kind: Unreachable, says: "begin with redis://"},
		"plain to a TLS port":     {url: "redis://" + right.Addr(), kind: Unreachable, says: "rediss://"},
		"wants a client's":        {url: mutual.URL(), verification: VerifyFull, ca: mutual.CA(), kind: TLSFailed, says: "certificate required"},
		"wrong password with TLS": {url: "rediss://:x" + canary + "@" + right.Addr(), verification: VerifyNone, kind: Unauthorized, says: "password"},
	})
}

func TestExplain(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		kind ErrorKind
		says string
	}{
		"end of file":  {io.EOF, Unreachable, "closed the connection"},
		"torn":         {io.ErrUnexpectedEOF, Unreachable, "closed the connection"},
		"deadline":     {context.DeadlineExceeded, Unreachable, "in time"},
		"anything":     {errors.New(canary), Unreachable, "the connection broke"},
		"known":        {invalidURL("x"), URLInvalid, "x"},
		"clients":      {reply("ERR max number of clients reached"), Unreachable, "maximum number of clients"},
		"loading":      {reply("LOADING Redis is loading the dataset in memory"), Unreachable, "LOADING"},
		"unknown code": {reply("ODD " + canary), Unreachable, "ODD"},
	} {
		t.Run(name, func(t *testing.T) {
			got := classify(test.err, "key")
			if got.Kind != test.kind || !strings.Contains(got.Message, test.says) || strings.Contains(got.Message, canary) {
				t.Errorf("got %s: %s", got.Kind, got.Message)
			}
		})
	}
}

// reply is an error reply of Redis.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}
