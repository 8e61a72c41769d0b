package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const canary = "canary-7f3a"

func TestParseEndpoint(t *testing.T) {
	for rawURL, want := range map[string]Endpoint{
		"redis://localhost":                     {Address: "localhost:6379"},
		"redis://localhost:7000/3":              {Address: "localhost:7000", Database: 3},
		" redis://localhost/\n":                 {Address: "localhost:6379"},
		"redis://:p%40ss%2Fword@h:1":            {Address: "h:1", Password: "p@ss/word"},
		"redis://user:secret@[::1]:7000":        {Address: "[::1]:7000", Username: "user", Password: "secret"},
		"rediss://:secret@redis.example:7000/1": {Address: "redis.example:7000", Database: 1, Password: "secret", TLS: true, ServerName: "redis.example", Verification: VerifyCAOnly},
		"redis://localhost?ssl_cert_reqs=none":  {Address: "localhost:6379"},
		"REDIS://localhost":                     {Address: "localhost:6379"},
		"redis://10.0.0.1:65535":                {Address: "10.0.0.1:65535"},
		"rediss://[2001:db8::1]":                {Address: "[2001:db8::1]:6379", TLS: true, ServerName: "2001:db8::1", Verification: VerifyCAOnly},
	} {
		got, err := ParseEndpoint(rawURL, VerifyCAOnly, "")
		if err != nil || got != want {
			t.Errorf("%q: got %#v, %v, want %#v", rawURL, got, err, want)
		}
	}
}

func TestParseEndpointRefuses(t *testing.T) {
	for _, rawURL := range []string{
		"",
		canary,
		"http://:" + canary + "@host",
		"redis:" + canary,
		"redis://",
		"redis://:" + canary + "@",
		"redis://:" + canary + "@:6379",
		"redis://:" + canary + "@host:port",
		"redis://:" + canary + "@host:0",
		"redis://:" + canary + "@host:65536",
		"redis://:" + canary + "@host/name",
		"redis://:" + canary + "@host/-1",
		"redis://:%zz" + canary + "@host",
		"redis://user:12/" + canary + "@host",
		"redis://user:12?" + canary + "@host",
		"redis://user:12#" + canary + "@host",
		"redis://user:12[" + canary + "@host",
	} {
		_, err := ParseEndpoint(rawURL, VerifyFull, "")
		var known *Error
		if !errors.As(err, &known) || known.Kind != URLInvalid {
			t.Errorf("%q: got %v", rawURL, err)
			continue
		}
		if text := everyPrint(err); strings.Contains(text, canary) {
			t.Errorf("%q: the error tells the secret: %s", rawURL, text)
		}
	}
	_, err := ParseEndpoint("rediss://host", VerifyFull, "no PEM")
	var known *Error
	if !errors.As(err, &known) || known.Kind != TLSFailed || !strings.Contains(known.Message, "caSecretRef") {
		t.Errorf("got %v", err)
	}
}

func TestEndpointPrintsNoSecret(t *testing.T) {
	endpoint := endpointOf(t, "redis://user:"+canary+"@host")
	for _, value := range []any{endpoint, &endpoint, endpoint.Password, []Endpoint{endpoint}, map[string]any{"e": endpoint}} {
		if text := everyPrint(value); strings.Contains(text, canary) {
			t.Errorf("%T tells the secret: %s", value, text)
		}
	}
	if string(endpoint.Password) != canary {
		t.Error("the password is not kept")
	}
}

// everyPrint prints a value in every way that a log line might.
func everyPrint(value any) string {
	text := fmt.Sprintf("%v %+v %#v %s %q %x %X %d %t", value, value, value, value, value, value, value, value, value)
	encoded, err := json.Marshal(value)
	return text + string(encoded) + fmt.Sprint(err)
}

// TestEndpointIdentity has nobody ride on another's connection.
func TestEndpointIdentity(t *testing.T) {
	base := endpointOf(t, "rediss://user:one@host:1/0")
	if base != endpointOf(t, "rediss://user:one@host:1") {
		t.Error("equal endpoints differ")
	}
	for _, rawURL := range []string{
		"rediss://user:two@host:1", "rediss://other:one@host:1", "rediss://user:one@host:1/1",
		"rediss://user:one@host:2", "rediss://user:one@host2:1", "redis://user:one@host:1",
	} {
		if endpointOf(t, rawURL) == base {
			t.Errorf("%s is taken for the same", rawURL)
		}
	}
	if other, err := ParseEndpoint("rediss://user:one@host:1", VerifyNone, ""); err != nil || other == base {
		t.Error("the verification makes no difference")
	}
}
