package queue

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/queuescaler/queuescaler/internal/secret"
)

// Verification is how much of a server's certificate is verified.
type Verification int

// Verifications.
const (
	VerifyFull   Verification = iota // chain and host name
	VerifyCAOnly                     // chain
	VerifyNone                       // nothing
)

// Endpoint identifies a Redis server as one user sees it. Two owners share a connection only if
// their endpoints are equal, credentials included. It is comparable, and prints without secrets.
type Endpoint struct {
	Address      string // host:port
	Database     int
	Username     string
	Password     secret.Text
	TLS          bool
	ServerName   string
	Verification Verification
	CA           string // PEM; empty for the system's authorities
}

// ParseEndpoint understands redis://[user:password@]host[:port][/database], and rediss:// for TLS.
// The error is an *Error of kind URLInvalid or TLSFailed, and names what is wrong without quoting
// the URL.
func ParseEndpoint(rawURL string, verification Verification, ca string) (Endpoint, error) {
	parsed, err := url.Parse(strings.TrimSpace(rawURL))
	if err != nil || parsed.Fragment != "" || strings.Contains(parsed.RawQuery, "@") {
		return Endpoint{}, invalidURL("it cannot be parsed; a special character in the password must be percent-encoded")
	}
	if parsed.Scheme != "redis" && parsed.Scheme != "rediss" {
		return Endpoint{}, invalidURL("it must begin with redis:// or rediss://")
	}
	if parsed.Hostname() == "" {
		return Endpoint{}, invalidURL("it names no host")
	}
	database, err := parseDatabase(parsed.Path)
	if err != nil {
		return Endpoint{}, err
	}
	if ca != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(ca)) {
		return Endpoint{}, &Error{Kind: TLSFailed, Message: "spec.redis.tls.caSecretRef holds no PEM certificate"}
	}
	port := cmp.Or(parsed.Port(), "6379")
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return Endpoint{}, invalidURL("its port must be a number from 1 to 65535")
	}
	password, _ := parsed.User.Password()
	endpoint := Endpoint{
		Address:  net.JoinHostPort(parsed.Hostname(), port),
		Database: database,
		Username: parsed.User.Username(),
		Password: secret.Text(password),
	}
	if parsed.Scheme == "rediss" {
		endpoint.TLS, endpoint.ServerName = true, parsed.Hostname()
		endpoint.Verification, endpoint.CA = verification, ca
	}
	return endpoint, nil
}

func parseDatabase(path string) (int, error) {
	path = strings.Trim(path, "/")
	if path == "" {
		return 0, nil
	}
	database, err := strconv.Atoi(path)
	if err != nil || database < 0 {
		return 0, invalidURL("its path must be a database number, such as /0")
	}
	return database, nil
}

func invalidURL(what string) *Error {
	return &Error{Kind: URLInvalid, Message: "the Redis URL is not valid: " + what}
}

// Bounds of one command. A Hub retries by itself, so that go-redis need not.
const (
	dialTimeout  = 5 * time.Second
	replyTimeout = 5 * time.Second
	bufferBytes  = 8 << 10 // go-redis takes 32 KiB each, 128 KiB for pipelines: once per server that is much
)

// silence keeps go-redis from logging what its errors tell.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(silence{}) }

// client makes a go-redis client with one connection.
func (e Endpoint) client() *redis.Client { return redis.NewClient(e.options()) }

func (e Endpoint) options() *redis.Options {
	options := &redis.Options{
		Addr:                     e.Address,
		DB:                       e.Database,
		Username:                 e.Username,
		Password:                 string(e.Password),
		OnConnect:                setName,
		DisableIdentity:          true, // CLIENT SETINFO is refused by strict ACLs
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		PoolSize:                 1,
		MaxRetries:               -1,
		DialerRetries:            1,
		DialTimeout:              dialTimeout,
		ReadTimeout:              replyTimeout,
		WriteTimeout:             replyTimeout,
		ContextTimeoutEnabled:    true,
		ReadBufferSize:           bufferBytes,
		WriteBufferSize:          bufferBytes,
		PipelineReadBufferSize:   bufferBytes,
		PipelineWriteBufferSize:  bufferBytes,
	}
	if e.TLS {
		options.Dialer = e.dialTLS
	} else {
		options.Dialer = redis.NewDialer(options)
	}
	return options
}

// setName names the connection in CLIENT LIST. A user that may not do that reads all the same.
func setName(ctx context.Context, conn *redis.Conn) error {
	if err := conn.ClientSetName(ctx, "queuescaler").Err(); !isReply(err) {
		return err
	}
	return nil
}

// dialTLS connects, and tells a server that is silent in the handshake from one that is not there: a
// Redis without TLS takes it for the beginning of a command and waits for the rest.
func (e Endpoint) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var dialer net.Dialer
	plain, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(plain, e.tlsConfig())
	if err = conn.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		if errors.Is(err, context.DeadlineExceeded) {
			err = &Error{Kind: Unreachable, cause: err, Message: "Redis did not answer the TLS handshake in time; " +
				"if it does not speak TLS at this port, the URL must begin with redis://"}
		}
		return nil, err
	}
	return conn, nil
}

func (e Endpoint) tlsConfig() *tls.Config {
	config := &tls.Config{ServerName: e.ServerName, MinVersion: tls.VersionTLS12}
	if e.CA != "" {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM([]byte(e.CA))
	}
	if e.Verification == VerifyFull {
		return config
	}
	config.InsecureSkipVerify = true //nolint:gosec // the user asked for it, or VerifyConnection does it
	if e.Verification == VerifyCAOnly {
		config.VerifyConnection = verifyChain(config.RootCAs)
	}
	return config
}

// verifyChain verifies a server's certificate chain and leaves its host name alone.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the server sent no certificate")
		}
		intermediates := x509.NewCertPool()
		for _, certificate := range state.PeerCertificates[1:] {
			intermediates.AddCert(certificate)
		}
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates})
		return err
	}
}
