// Package secret keeps secrets out of what is printed.
package secret

import (
	"fmt"
	"io"
)

const hidden = "[redacted]"

// Text is a string that does not print. Convert it to a string where the secret itself is needed.
type Text string

// String hides the secret.
func (Text) String() string { return hidden }

// Format hides the secret, whatever the verb.
func (Text) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, hidden) }

// MarshalText hides the secret, as JSON too.
func (Text) MarshalText() ([]byte, error) { return []byte(hidden), nil }
