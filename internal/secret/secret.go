// Package secret keeps secrets out of what is printed.
package secret

import (
	"fmt"
	"io"
)

const hidden = "[redacted]"

// Text is a string that does not print. Convert it to a string where the secret itself is needed. It is
// hidden everywhere but as the key of a map in JSON, which encoding/json takes for a plain string.
type Text string

// String hides the secret.
func (Text) String() string { return hidden }

// Format hides the secret, whatever the verb.
func (Text) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, hidden) }

// MarshalText hides the secret, in JSON too.
func (Text) MarshalText() ([]byte, error) { return []byte(hidden), nil }
