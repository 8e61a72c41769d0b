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
		"redis://localhost":                     {Addresses: "localhost:6379"},
		"redis://localhost:7000/3":              {Addresses: "localhost:7000", Database: 3},
		" redis://localhost/\n":                 {Addresses: "localhost:6379"},
		"redis://:p%40ss%2Fword@h:1":            {Addresses: "h:1", Password: "p@ss/word"},
		"redis://user:secret@[::1]:7000":        {Addresses: "[::1]:7000", Username: "user", Password: "secret"},
		"rediss://:secret@redis.example:7000/1": {Addresses: "redis.example:7000", Database: 1, Password: "secret", TLS: true, Settings: Settings{Verification: VerifyCAOnly}},
		"redis://localhost?ssl_cert_reqs=none":  {Addresses: "localhost:6379"},
		"REDIS://localhost":                     {Addresses: "localhost:6379"},
		"redis://10.0.0.1:65535":                {Addresses: "10.0.0.1:65535"},
		"rediss://[2001:db8::1]":                {Addresses: "[2001:db8::1]:6379", TLS: true, Settings: Settings{Verification: VerifyCAOnly}},
	} {
		got, err := ParseEndpoint(rawURL, Settings{Verification: VerifyCAOnly})
		if err != nil || got != want {
			t.Errorf("%q: got %#v, %v, want %#v", rawURL, got, err, want)
		}
	}
}

func TestParseSeveralHosts(t *testing.T) {
	for rawURL, want := range map[string]map[Mode]string{
		"redis://a":                            {ModeCluster: "a:6379", ModeSentinel: "a:26379"},
		"redis://a,b:7000,[::1]":               {ModeCluster: "a:6379,b:7000,[::1]:6379", ModeSentinel: "a:26379,b:7000,[::1]:26379"},
		"rediss://u:p,w%40@a:1,b:2/0?db=0":     {ModeCluster: "a:1,b:2", ModeSentinel: "a:1,b:2"},
		"redis://a:1?addr=b:2&addr=[::1]:3":    {ModeCluster: "a:1,b:2,[::1]:3", ModeSentinel: "a:1,b:2,[::1]:3"},
		"redis://a:1,b:2/3":                    {ModeSentinel: "a:1,b:2"},
		"redis://:" + canary + "@a,:7000":      {},
		"redis://:" + canary + "@a,b:0":        {},
		"redis://:" + canary + "@a,,b":         {},
		"redis://:" + canary + "@a?addr=b:x":   {},
		"redis://:" + canary + "@,a":           {},
		"redis://:" + canary + "@a,b:1:2/x":    {},
		"redis-sentinel://:" + canary + "@a,b": {},
	} {
		for _, mode := range []Mode{ModeStandalone, ModeCluster, ModeSentinel} {
			got, err := ParseEndpoint(rawURL, Settings{Mode: mode})
			if strings.Contains(everyPrint(err), canary) {
				t.Errorf("%q: the error tells the secret: %v", rawURL, err)
			}
			addresses := want[mode]
			if mode == ModeStandalone && rawURL == "redis://a" {
				addresses = "a:6379"
			}
			if got.Addresses != addresses || (err == nil) != (addresses != "") {
				t.Errorf("%q, mode %d: got %q, %v, want %q", rawURL, mode, got.Addresses, err, addresses)
			}
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
		_, err := ParseEndpoint(rawURL, Settings{})
		var known *Error
		if !errors.As(err, &known) || known.Kind != URLInvalid {
			t.Errorf("%q: got %v", rawURL, err)
			continue
		}
		if text := everyPrint(err); strings.Contains(text, canary) {
			t.Errorf("%q: the error tells the secret: %s", rawURL, text)
		}
	}
	_, err := ParseEndpoint("rediss://host", Settings{CA: "no PEM"})
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
	if other, err := ParseEndpoint("rediss://user:one@host:1", Settings{Verification: VerifyNone}); err != nil || other == base {
		t.Error("the verification makes no difference")
	}
}
