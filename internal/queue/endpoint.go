package queue

import (
	"cmp"
	"context"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/queuescaler/queuescaler/internal/secret"
)

// Mode is how Redis servers belong together.
type Mode int

// Modes.
const (
	ModeStandalone Mode = iota // one server, be it a primary or a replica
	ModeCluster                // masters that share the keys
	ModeSentinel               // a primary that sentinels know of, and its replicas
)

// Endpoint identifies Redis servers as one user sees them. Two owners share a connection only if
// their endpoints are equal, credentials included. It is comparable, and prints without secrets.
type Endpoint struct {
	Addresses string // host:port, separated by commas: of the sentinels, or of some nodes of the cluster
	Database  int
	Username  string
	Password  secret.Text
	TLS       bool
	Settings  // without those for TLS where there is none
}

// Settings are what there is to know of a server beside its URL.
type Settings struct {
	Mode             Mode
	PrimaryName      string      // what the sentinels call the primary
	SentinelPassword secret.Text // of the sentinels; the URL's is the servers'

	Verification Verification
	CA           string      // PEM; empty for the system's authorities
	Certificate  string      // PEM, the client's own; empty for none
	Key          secret.Text // PEM, of the certificate
}

// ParseEndpoint understands redis://[user:password@]host[:port][,host[:port]…][/database], and
// rediss:// for TLS. Hosts, the database and the credentials may also come in its query:
// ?addr=host:port&addr=host:port&db=2. Only a cluster and sentinels have several hosts. The error is an
// *Error of kind URLInvalid or TLSFailed, and names what is wrong without quoting the URL.
func ParseEndpoint(rawURL string, settings Settings) (Endpoint, error) {
	rawURL, hosts := cutHosts(strings.TrimSpace(rawURL))
	parsed, err := url.Parse(rawURL)
	if err != nil || parsed.Fragment != "" || strings.Contains(parsed.RawQuery, "@") {
		return Endpoint{}, invalidURL("it cannot be parsed; a special character in the password must be percent-encoded")
	}
	if parsed.Scheme != "redis" && parsed.Scheme != "rediss" {
		return Endpoint{}, invalidScheme(parsed.Scheme)
	}
	query, err := parseQuery(parsed.RawQuery, parsed.Scheme)
	if err != nil {
		return Endpoint{}, err
	}
	addresses, err := parseHosts(slices.Concat([]string{parsed.Host}, hosts, query.hosts), settings.Mode)
	if err != nil {
		return Endpoint{}, err
	}
	database, err := query.databaseWith(parsed.Path, settings.Mode)
	if err != nil {
		return Endpoint{}, err
	}
	username, password, err := query.credentials(parsed.User)
	if err != nil {
		return Endpoint{}, err
	}
	if err := settings.checkCertificates(); err != nil {
		return Endpoint{}, err
	}
	if parsed.Scheme != "rediss" {
		settings.Verification, settings.CA, settings.Certificate, settings.Key = 0, "", "", ""
	}
	return Endpoint{
		Addresses: addresses,
		Database:  database,
		Username:  username,
		Password:  secret.Text(password),
		TLS:       parsed.Scheme == "rediss",
		Settings:  settings,
	}, nil
}

// cutHosts takes all hosts but the first out of a URL, which no standard knows.
func cutHosts(rawURL string) (withOne string, others []string) {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return rawURL, nil
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	start := strings.LastIndex(rest[:end], "@") + 1
	hosts := strings.Split(rest[start:end], ",")
	return scheme + "://" + rest[:start] + hosts[0] + rest[end:], hosts[1:]
}

// parseHosts returns the addresses of hosts, each with its port.
func parseHosts(hosts []string, mode Mode) (string, error) {
	if mode == ModeStandalone && len(hosts) > 1 {
		return "", invalidURL("it names several hosts, which only spec.redis.mode Cluster and Sentinel can have")
	}
	defaultPort := "6379"
	if mode == ModeSentinel {
		defaultPort = "26379"
	}
	addresses := make([]string, len(hosts))
	for i, host := range hosts {
		one := url.URL{Host: host}
		if one.Hostname() == "" {
			return "", invalidURL("it names no host")
		}
		port := cmp.Or(one.Port(), defaultPort)
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil || number == 0 || (strings.Contains(one.Hostname(), ":") && host[0] != '[') {
			return "", invalidURL("its port must be a number from 1 to 65535")
		}
		addresses[i] = net.JoinHostPort(one.Hostname(), port)
	}
	return strings.Join(addresses, ","), nil
}

func (e Endpoint) addresses() []string { return strings.Split(e.Addresses, ",") }

func invalidScheme(scheme string) *Error {
	const begin = "it must begin with redis:// or rediss://"
	switch scheme {
	case "unix", "redis+socket", "redis-socket", "redis+unix":
		return invalidURL(begin + ": Redis behind a socket file cannot be reached from a cluster; have it listen on TCP")
	case "redis-sentinel", "redis+sentinel", "rediss-sentinel", "sentinel":
		return invalidURL(begin + "; sentinels are named by spec.redis.mode Sentinel")
	}
	return invalidURL(begin)
}

func invalidURL(what string) *Error {
	return &Error{Kind: URLInvalid, Message: "the Redis URL is not valid: " + what}
}

// Bounds of one command. A Hub retries by itself, so that go-redis need not.
const (
	dialTimeout  = 5 * time.Second
	replyTimeout = 5 * time.Second
	bufferBytes  = 8 << 10 // go-redis takes 32 KiB each: once per server that is much
)

// silence keeps go-redis from logging what its errors tell.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(silence{}) }

// options are those of a client with one connection to one server.
func (e Endpoint) options(address string) *redis.Options {
	options := &redis.Options{
		Addr:                     address,
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
		options.Dialer = dialPlain(redis.NewDialer(options))
	}
	return options
}

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// dialPlain has a server that is full be told from one that closes the connection: go-redis takes its
// only reply for that of an old server that does not know HELLO, and goes on.
func dialPlain(dial dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if tcp, ok := conn.(*net.TCPConn); ok {
			return &plainConn{TCPConn: tcp}, err
		}
		return conn, err
	}
}

// plainConn is a connection that looks at the first reply.
type plainConn struct {
	*net.TCPConn
	greeted bool
}

// Read fails with an *Error if the server has no room.
func (c *plainConn) Read(into []byte) (int, error) {
	n, err := c.TCPConn.Read(into)
	if !c.greeted && n > 0 {
		c.greeted = true
		if reply := string(into[:n]); strings.HasPrefix(reply, "-"+replyFull) {
			return 0, &Error{Kind: Full, Message: messageFull}
		}
	}
	return n, err
}

// setName names the connection in CLIENT LIST. A user that may not do that reads all the same.
func setName(ctx context.Context, conn *redis.Conn) error {
	if err := conn.ClientSetName(ctx, "queuescaler").Err(); !isReply(err) {
		return err
	}
	return nil
}
