package queue

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// query is what the parameters of a URL say of where to read: ?db=2&addr=sentinel-2:26379.
type query struct {
	hosts              []string
	database           string // a number; empty if none is named
	username, password string
	tls                string // what ssl or tls says; empty if they are not there
}

// parameters are those that are honoured, as their names are compared: without case, _, - and brackets.
// Others (redis-py, ioredis, go-redis, Lettuce, Predis, Symfony) know each under one of these names.
var parameters = map[string]func(*query, string) bool{
	"addr":     func(q *query, value string) bool { q.hosts = append(q.hosts, value); return true },
	"db":       func(q *query, value string) bool { return agree(&q.database, value) },
	"database": func(q *query, value string) bool { return agree(&q.database, value) },
	"dbindex":  func(q *query, value string) bool { return agree(&q.database, value) },
	"username": func(q *query, value string) bool { return agree(&q.username, value) },
	"user":     func(q *query, value string) bool { return agree(&q.username, value) },
	"password": func(q *query, value string) bool { return agree(&q.password, value) },
	"auth":     func(q *query, value string) bool { return agree(&q.password, value) },
	"ssl":      func(q *query, value string) bool { return agree(&q.tls, strings.ToLower(value)) },
	"tls":      func(q *query, value string) bool { return agree(&q.tls, strings.ToLower(value)) },
}

// harmless are parameters that change neither where nor what is read: how long a client waits, how many
// connections it keeps, what it calls itself. How certificates are checked is for spec.redis.tls to say.
var harmless = words(`
	timeout sockettimeout socketconnecttimeout connecttimeout connectiontimeout commandtimeout readtimeout
	writetimeout readwritetimeout dialtimeout idletimeout pooltimeout visibilitytimeout healthcheckinterval
	retryinterval keepalive socketkeepalive tcpkeepalive nodelay tcpnodelay
	pool poolsize poolfifo minpoolsize maxpoolsize maxconnections minidleconns maxidleconns maxactiveconns
	connmaxidletime connmaxlifetime maxconnage idlecheckfrequency persistent persistentid lazy lazyconnect
	maxretries minretrybackoff maxretrybackoff retryontimeout maxretriesperrequest reconnectattempts
	maxredirects dialerretries dialerretrytimeout
	clientname connectionname alias libname libversion libraryname libraryversion identitysuffix disableidentity
	protocol encoding encodingerrors decoderesponses family readonly routebylatency routerandomly
	enablereadycheck enableofflinequeue contexttimeoutenabled
	sslcertreqs sslcacerts sslcapath sslcafile sslcadata sslcertfile sslkeyfile sslpassword sslcheckhostname
	sslminversion sslciphers sslverifypeer sslverifypeername sslallowselfsigned skipverify insecureskipverify
	verifypeer verifymode tlsskipverify
`)

// cures are the fields that say here what a parameter says elsewhere.
var cures = map[string]string{
	"keyprefix": cureKeyPrefix, "prefix": cureKeyPrefix, "globalkeyprefix": cureKeyPrefix, "namespace": cureKeyPrefix,
	"name": curePrimaryName, "mastername": curePrimaryName, "sentinelmasterid": curePrimaryName, "servicename": curePrimaryName,
	"sentinelpassword": "set spec.redis.sentinel.passwordSecretRef instead",
}

const (
	cureKeyPrefix   = "set spec.queue.keyPrefix instead"
	curePrimaryName = "set spec.redis.sentinel.masterName instead"
)

func words(list string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(list) {
		set[word] = true
	}
	return set
}

// parseQuery honours, accepts or refuses every parameter of a URL. No value is quoted, since it may be a
// password; nor is a name that may be a piece of one.
func parseQuery(raw, scheme string) (query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return query{}, invalidURL("what follows its ? cannot be parsed; a special character must be percent-encoded")
	}
	var q query
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if err := q.take(name, values[name]); err != nil {
			return query{}, err
		}
	}
	if says, known := switches[q.tls]; q.tls != "" && (!known || says != (scheme == "rediss")) {
		return query{}, invalidURL("its parameter ssl or tls contradicts its beginning, which is rediss:// for TLS and redis:// for none: remove the parameter")
	}
	return q, nil
}

var switches = map[string]bool{
	"true": true, "1": true, "yes": true, "on": true, "false": false, "0": false, "no": false, "off": false,
}

// take takes in one parameter.
func (q *query) take(name string, values []string) error {
	plain := plainName(name)
	honour, known := parameters[plain]
	if !known && !harmless[plain] {
		return unknownParameter(name, slices.Equal(values, []string{""}))
	}
	for _, value := range values {
		if known && !honour(q, value) {
			return invalidURL("its parameter " + plain + " is empty, or contradicts another one")
		}
	}
	return nil
}

// plainName is a parameter's name as it is compared: socketTimeout, socket_timeout and socket-timeout are
// one.
func plainName(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", "[", "", "]", "").Replace(name))
}

var quotable = regexp.MustCompile(`^[A-Za-z][A-Za-z_\-\[\]]{0,39}$`)

func unknownParameter(name string, empty bool) error {
	if empty || !quotable.MatchString(name) {
		return invalidURL("what follows its ? is no parameter that is known here: remove it")
	}
	if cure := cures[plainName(name)]; cure != "" {
		return invalidURL(fmt.Sprintf("its parameter %s is not used here: remove it, and %s", name, cure))
	}
	return invalidURL(fmt.Sprintf("its parameter %s is not known, and might change what is read: remove it", name))
}

// agree sets what is not set yet. It reports whether the value is the only one.
func agree(known *string, value string) bool {
	if value == "" || (*known != "" && *known != value) {
		return false
	}
	*known = value
	return true
}

// databaseWith is the number that a URL's path or its query names. Some clients believe the path and some the
// query, so that two numbers are none.
func (q query) databaseWith(path string, mode Mode) (int, error) {
	path = strings.Trim(path, "/")
	if path != "" && !isNumber(path) {
		return 0, invalidURL("its path must be a database number, such as /0")
	}
	if q.database != "" && !isNumber(q.database) {
		return 0, invalidURL("its parameter db must be a database number, such as ?db=0")
	}
	inPath, inQuery := number(path), number(q.database)
	switch {
	case path != "" && q.database != "" && inPath != inQuery:
		return 0, invalidURL("its path and its parameter db name two databases: leave one of them out")
	case mode == ModeCluster && inPath+inQuery > 0:
		return 0, invalidURL("a cluster has no database but 0")
	}
	return max(inPath, inQuery), nil
}

func isNumber(text string) bool {
	_, err := strconv.ParseUint(text, 10, 31)
	return err == nil
}

func number(text string) int {
	number, _ := strconv.Atoi(text)
	return number
}

// credentials are the user and the password that a URL names before its host, or in its query.
func (q query) credentials(user *url.Userinfo) (name, password string, err error) {
	name = user.Username()
	password, _ = user.Password()
	if (q.username != "" && !agree(&name, q.username)) || (q.password != "" && !agree(&password, q.password)) {
		return "", "", invalidURL("it names two users or two passwords, before its host and after its ?: leave one of them out")
	}
	return name, password, nil
}
