package queue

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/queuescaler/queuescaler/internal/secret"
	"github.com/queuescaler/queuescaler/test/redisserver"
)

// failing is a connection that should fail.
type failing struct {
	url      string
	settings Settings
	spec     *Spec

	kind ErrorKind // empty: it should succeed
	says string
}

func (f failing) check(t *testing.T) {
	t.Helper()
	endpoint, err := ParseEndpoint(f.url, f.settings)
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(endpoint)
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
		"no reads":      {url: server("-@all +@connection +time ~*"), kind: Unauthorized, says: "+get"},
		"no TIME":       {url: server("-@all +@read +@connection ~*"), kind: Unauthorized, says: "+time"},
		"nothing":       {url: server("-@all ~*"), kind: Unauthorized, says: "+time"},
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
	fullTLS := redisserver.StartT(t, redisserver.Options{TLS: true, Args: []string{"--maxclients", "1"}})
	holder := redis.NewClient(parsed(t, fullTLS.URL(), Settings{Verification: VerifyNone}).options(fullTLS.Addr()))
	defer func() { _ = holder.Close() }()
	do(t, holder, cmd("ping"))
	checkAll(t, map[string]failing{
		"nobody there":         {url: "redis://:" + canary + "@" + unused, kind: Unreachable, says: "connection refused"},
		"unknown host":         {url: "redis://:" + canary + "@redis.invalid", kind: Unreachable, says: "resolved"},
		"too many others, TLS": {url: fullTLS.URL(), settings: Settings{Verification: VerifyNone}, kind: Full, says: "maxclients"},
	})
}

func TestTLS(t *testing.T) {
	plain := redisserver.StartT(t, redisserver.Options{})
	right := redisserver.StartT(t, redisserver.Options{TLS: true, Password: canary})
	other := redisserver.StartT(t, redisserver.Options{TLS: true, Hosts: []string{"other.example"}})
	mutual := redisserver.StartT(t, redisserver.Options{TLS: true, Args: []string{"--tls-auth-clients", "yes"}})
	own, stranger := withCertificate(t, mutual, mutual), withCertificate(t, mutual, other)
	checkAll(t, map[string]failing{
		"Full with the CA":        {url: right.URL(), settings: Settings{Verification: VerifyFull, CA: right.CA()}},
		"CAOnly with the CA":      {url: right.URL(), settings: Settings{Verification: VerifyCAOnly, CA: right.CA()}},
		"None":                    {url: right.URL(), settings: Settings{Verification: VerifyNone}},
		"None with another CA":    {url: right.URL(), settings: Settings{Verification: VerifyNone, CA: other.CA()}},
		"Full without the CA":     {url: right.URL(), settings: Settings{Verification: VerifyFull}, kind: TLSFailed, says: "spec.redis.tls.verification"},
		"CAOnly without the CA":   {url: right.URL(), settings: Settings{Verification: VerifyCAOnly}, kind: TLSFailed, says: "spec.redis.tls.caSecretRef"},
		"Full with another CA":    {url: right.URL(), settings: Settings{Verification: VerifyFull, CA: other.CA()}, kind: TLSFailed, says: "authority"},
		"CAOnly with another CA":  {url: right.URL(), settings: Settings{Verification: VerifyCAOnly, CA: other.CA()}, kind: TLSFailed, says: "authority"},
		"wrong host name, Full":   {url: other.URL(), settings: Settings{Verification: VerifyFull, CA: other.CA()}, kind: TLSFailed, says: "CAOnly"},
		"wrong host name, CAOnly": {url: other.URL(), settings: Settings{Verification: VerifyCAOnly, CA: other.CA()}},
		"wrong host name, None":   {url: other.URL(), settings: Settings{Verification: VerifyNone}},
		"TLS to a plain port":     {url: "rediss://" + plain.Addr(), kind: Unreachable, says: "begin with redis://"},
		"plain to a TLS port":     {url: "redis://" + right.Addr(), kind: Unreachable, says: "rediss://"},
		"wants a client's":        {url: mutual.URL(), settings: Settings{CA: mutual.CA()}, kind: TLSFailed, says: "clientCertificateSecretRef"},
		"shown a client's":        {url: mutual.URL(), settings: own},
		"shown a stranger's":      {url: mutual.URL(), settings: stranger, kind: TLSFailed, says: "clientCertificateSecretRef"},
		"wrong password with TLS": {url: "rediss://:x" + canary + "@" + right.Addr(), settings: Settings{Verification: VerifyNone}, kind: Unauthorized, says: "password"},
	})
}

// withCertificate are the settings for a server with a certificate that an issuer made for clients.
func withCertificate(t *testing.T, server, issuer *redisserver.Server) Settings {
	t.Helper()
	certificate, key, err := issuer.ClientCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return Settings{CA: server.CA(), Certificate: certificate, Key: secret.Text(key)}
}

// TestClientCertificate has PEM that cannot be used be refused by the name of its field, untold.
func TestClientCertificate(t *testing.T) {
	server := redisserver.StartT(t, redisserver.Options{TLS: true})
	one, two := withCertificate(t, server, server), withCertificate(t, server, server)
	for name, pair := range map[string][2]string{
		"no PEM":                {canary, canary},
		"no key":                {one.Certificate, ""},
		"no certificate":        {canary, string(one.Key)},
		"the key twice":         {string(one.Key), string(one.Key)},
		"the certificate twice": {one.Certificate, one.Certificate},
		"another's key":         {one.Certificate, string(two.Key)},
		"half a key":            {one.Certificate, string(one.Key[:len(one.Key)/2])},
	} {
		_, err := ParseEndpoint(server.URL(), Settings{Certificate: pair[0], Key: secret.Text(pair[1])})
		var known *Error
		if !errors.As(err, &known) || known.Kind != TLSFailed || !strings.Contains(known.Message, "spec.redis.tls.clientCertificateSecretRef") {
			t.Errorf("%s: got %v", name, err)
		} else if strings.Contains(everyPrint(err), canary) {
			t.Errorf("%s: the error tells what it was given", name)
		}
	}
	first, err := ParseEndpoint(server.URL(), one)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(everyPrint(first), string(one.Key)[30:60]) {
		t.Error("the key is told")
	}
	if second, err := ParseEndpoint(server.URL(), two); err != nil || second == first {
		t.Error("the certificate makes no difference")
	}
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
		"clients":      {reply("ERR max number of clients reached"), Full, "maximum number of clients"},
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
