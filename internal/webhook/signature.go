package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
)

// signatureHeader holds base64(HMAC-SHA256(raw body, secret)).
const signatureHeader = "Heroku-Webhook-Hmac-SHA256"

// verifier reports whether a body was signed with one of its secrets. A function, since a struct
// would print them.
type verifier func(body []byte, signature string) bool

// newVerifier leaves empty secrets out, for anybody can sign with those.
func newVerifier(secrets []string) verifier {
	var keys [][]byte
	for _, s := range secrets {
		if s != "" {
			keys = append(keys, []byte(s))
		}
	}
	return func(body []byte, signature string) bool {
		valid := false
		for _, key := range keys { // all of them, so that the time taken does not tell which one fits
			valid = hmac.Equal([]byte(sign(body, key)), []byte(signature)) || valid
		}
		return valid
	}
}

func sign(body, key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
