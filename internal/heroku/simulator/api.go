package simulator

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// endpoint is one route of the API. serve runs with Server.mu held.
type endpoint struct {
	scopes []string
	free   bool // costs no token of the rate budget
	serve  func(*call) (any, error)
}

// call is one API request on its way through the server.
type call struct {
	server    *Server
	request   *http.Request
	header    http.Header // of the answer
	requestID string
	token     *token    // nil for credentials that are none
	app       *app      // where the path names one
	fault     *fault    // that strikes it, nil for none
	updated   time.Time // of the resource, for Last-Modified
	status    int       // of a success, 200 where 0
}

func (s *Server) routes() {
	read := []string{"global", "read", "read-protected", "write", "write-protected"}
	write := []string{"global", "write", "write-protected"}
	readProtected := []string{"global", "read-protected", "write-protected"}
	writeProtected := []string{"global", "write-protected"}

	for pattern, e := range map[string]endpoint{
		"GET /account":                                   {scopes: []string{"global", "identity"}, serve: getAccount},
		"GET /account/rate-limits":                       {scopes: read, serve: getRateLimit, free: true},
		"GET /dyno-sizes":                                {scopes: read, serve: listDynoSizes},
		"GET /apps/{app}":                                {scopes: read, serve: getApp},
		"GET /apps/{app}/addons":                         {scopes: read, serve: listAddOns},
		"GET /apps/{app}/releases":                       {scopes: read, serve: listReleases},
		"GET /apps/{app}/releases/{release}":             {scopes: read, serve: getRelease},
		"GET /apps/{app}/releases/{release}/config-vars": {scopes: readProtected, serve: getReleaseConfigVars},
		"GET /apps/{app}/config-vars":                    {scopes: readProtected, serve: getConfigVars},
		"PATCH /apps/{app}/config-vars":                  {scopes: writeProtected, serve: patchConfigVars},
		"GET /apps/{app}/formation":                      {scopes: read, serve: listFormation},
		"PATCH /apps/{app}/formation":                    {scopes: write, serve: patchFormations},
		"GET /apps/{app}/formation/{type}":               {scopes: read, serve: getFormation},
		"PATCH /apps/{app}/formation/{type}":             {scopes: write, serve: patchFormation},
		"GET /apps/{app}/dynos":                          {scopes: read, serve: listDynos},
		"DELETE /apps/{app}/dynos":                       {scopes: write, serve: restartDynos},
		"GET /apps/{app}/dynos/{dyno}":                   {scopes: read, serve: getDyno},
		"DELETE /apps/{app}/dynos/{dyno}":                {scopes: write, serve: restartDyno},
		// What ps:stop asks for: a dyno of the formation comes back at once.
		"POST /apps/{app}/dynos/{dyno}/actions/stop": {scopes: write, serve: restartDyno},
		// Heroku does not say which scopes webhooks need [?].
		"GET /apps/{app}/webhooks":              {scopes: read, serve: listWebhooks},
		"POST /apps/{app}/webhooks":             {scopes: write, serve: createWebhook},
		"GET /apps/{app}/webhooks/{webhook}":    {scopes: read, serve: getWebhook},
		"PATCH /apps/{app}/webhooks/{webhook}":  {scopes: write, serve: updateWebhook},
		"DELETE /apps/{app}/webhooks/{webhook}": {scopes: write, serve: deleteWebhook},
		"/":                                     {scopes: read, serve: noEndpoint},
	} {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, e) })
	}
}

// ServeHTTP answers API requests, and the control endpoints under /_simulator/.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		abort(w)
	}
	defer s.active.Done()
	s.mux.ServeHTTP(w, r)
}

// serve takes one API request from the hooks and faults at the edge to its answer.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, e endpoint) {
	c := &call{server: s, request: r, header: w.Header(), requestID: requestID(r)}
	c.header.Set("Request-Id", c.requestID)
	record := Request{Time: time.Now(), Method: r.Method, Path: r.URL.Path, RequestID: c.requestID}
	if c.token = s.identify(r); c.token != nil {
		record.Token, record.Account = c.token.Name, c.token.Account
	}
	defer func() { s.addRequest(record) }() // also when the connection is cut by a panic

	runHooks(s, s.before, r)
	if err := bufferBody(r); err != nil {
		abort(w)
	}
	c.fault = s.takeFault(r)
	if answered, status := c.fault.strike(s, w, r); answered {
		record.Status = status
		return
	}
	a := s.answer(c, e)
	after := record
	after.Status = a.status
	runHooks(s, s.after, after)
	if c.fault.losesAnswer() {
		abort(w)
	}
	record.Status = a.status
	a.write(w)
}

// bufferBody reads the body before anything waits or locks: a slow client holds nobody up, and only
// after the body does net/http see a client leave.
func bufferBody(r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return err
}

// answer checks and performs a request, in the order Heroku's gates stand.
func (s *Server) answer(c *call, e endpoint) answer {
	body, err := s.perform(c, e)
	if err != nil {
		return errorAnswer(err)
	}
	return resourceAnswer(c, body)
}

func (s *Server) perform(c *call, e endpoint) (any, error) {
	if !acceptable(strings.Join(c.request.Header.Values("Accept"), ",")) {
		return nil, newError(http.StatusNotAcceptable, "not_acceptable",
			"The API only serves application/vnd.heroku+json; version=3.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.token == nil {
		return nil, newError(http.StatusUnauthorized, "unauthorized", "Invalid credentials provided.")
	}
	if err := s.spend(c, e.free); err != nil {
		return nil, err
	}
	if err := authorize(c, e.scopes); err != nil {
		return nil, err
	}
	if name := c.request.PathValue("app"); name != "" {
		if err := s.lookUpApp(c, name); err != nil {
			return nil, err
		}
	}
	return e.serve(c)
}

// acceptable takes version 3 and its variants; the CLI asks for 3.sdk.
func acceptable(accept string) bool {
	for kind := range strings.SplitSeq(accept, ",") {
		media, parameters, err := mime.ParseMediaType(kind)
		version := parameters["version"]
		if err == nil && media == "application/vnd.heroku+json" && (version == "3" || strings.HasPrefix(version, "3.")) {
			return true
		}
	}
	return false
}

// requestID puts the server's own id after the client's, as recorded exchanges with Heroku show.
func requestID(r *http.Request) string {
	own := uuid.NewString()
	if theirs := r.Header.Get("Request-Id"); theirs != "" {
		return theirs + "," + own
	}
	return own
}

func noEndpoint(*call) (any, error) {
	return nil, notFound("The requested API endpoint was not found. Are you using the right HTTP verb " +
		"(i.e. `GET` vs. `POST`), and did you specify your intended version with the `Accept` header?")
}

// lookUpApp finds an app by its name or UUID.
func (s *Server) lookUpApp(c *call, identity string) error {
	a := s.app(identity)
	if a == nil {
		return notFound("Couldn't find that app.")
	}
	if !a.allows(c.token.Account) {
		return newError(http.StatusForbidden, "forbidden", "You do not have access to the app "+a.Name+".")
	}
	c.app = a
	c.updated = a.updated
	return nil
}

func (s *Server) app(identity string) *app {
	if a := s.apps[identity]; a != nil {
		return a
	}
	for _, a := range s.apps {
		if a.id == identity {
			return a
		}
	}
	return nil
}
