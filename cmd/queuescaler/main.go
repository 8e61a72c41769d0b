// Command queuescaler is the operator: it reconciles QueueScalers. Its command webhooks has Heroku tell
// it of changes.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"
	_ "time/tzdata" // for spec.schedules, in an image that has nothing else

	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/controllers"
)

// settings are the command line's.
type settings struct {
	namespaces     string
	metricsAddress string
	probeAddress   string
	pprofAddress   string
	leaderElect    bool
	election       election
	controller     controllers.Options
	log            zap.Options
}

func main() {
	if err := command(); err != nil {
		fmt.Fprintln(os.Stderr, "queuescaler:", err)
		os.Exit(1)
	}
}

// command runs the operator, or one of its commands.
func command() error {
	if len(os.Args) > 1 && os.Args[1] == "webhooks" {
		return manageWebhooks(context.Background(), os.Args[2:], os.Stdout)
	}
	return run(parse())
}

func parse() settings {
	var s settings
	flag.StringVar(&s.namespaces, "namespaces", ownNamespaces(), "namespaces to watch, separated by commas; empty for all, which needs a ClusterRole; by default $WATCH_NAMESPACES, else $POD_NAMESPACE")
	flag.StringVar(&s.metricsAddress, "metrics-bind-address", ":8080", "address of /metrics; 0 for none")
	flag.StringVar(&s.probeAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz; 0 for none")
	flag.StringVar(&s.pprofAddress, "pprof-bind-address", "0", "address of /debug/pprof, for profiles of the operator itself; 0 for none")
	flag.BoolVar(&s.leaderElect, "leader-elect", true, "act only while holding the lease, so that several replicas can run")
	s.election.bind(flag.CommandLine)
	flag.StringVar(&s.controller.WebhookAddress, "webhook-bind-address", webhookAddress(), "address on which Heroku's webhooks are received, signed with $WEBHOOK_SECRET; 0 for none, as without that")
	flag.StringVar(&s.controller.HerokuURL, "heroku-url", "https://api.heroku.com", "where Heroku's Platform API is")
	flag.Float64Var(&s.controller.HerokuReserve, "heroku-reserve", 0.2, "share of each Heroku account's API rate limit, from 0 to 0.9, that is left for people and other programs; only starts of dynos may use it")
	flag.DurationVar(&s.controller.DriftPeriod, "drift-period", 5*time.Minute, "least time between two reads of an app's formation in search of changes made by others; longer with many apps on an account, or with little left of its rate limit")
	flag.IntVar(&s.controller.Workers, "workers", 64, "QueueScalers reconciled side by side: enough for a wake not to wait while others write their status")
	s.log.BindFlags(flag.CommandLine)
	flag.Parse()
	s.controller.WebhookSecrets = webhookSecrets()
	return s
}

// gcPercent is GOGC's default here: what the operator holds mostly rests, so that collecting it twice
// as often costs little and saves a quarter of the memory.
const gcPercent = 50

func run(s settings) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if err := s.validate(); err != nil {
		return err
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&s.log)))
	cluster, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("no cluster to talk to: set KUBECONFIG, or run in a pod: %w", err)
	}
	health := &controllers.Health{}
	stop, err := serveProbes(s.probeAddress, health)
	if err != nil {
		return err
	}
	defer stop()
	return s.operate(ctrl.SetupSignalHandler(), cluster, health)
}

func (s settings) validate() error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: settings are flags; see --help", flag.Arg(0))
	case s.controller.DriftPeriod < 10*time.Second:
		return fmt.Errorf("--drift-period=%s must be at least 10s, or Heroku's rate limit is spent on it", s.controller.DriftPeriod)
	case s.controller.WebhookAddress != "0" && s.controller.WebhookAddress != "" && len(s.controller.WebhookSecrets) == 0:
		return errors.New("--webhook-bind-address needs WEBHOOK_SECRET in the environment, to check what is received")
	case s.controller.HerokuReserve < 0 || s.controller.HerokuReserve > 0.9:
		return fmt.Errorf("--heroku-reserve=%g must be from 0 to 0.9", s.controller.HerokuReserve)
	case s.controller.Workers < 1:
		return fmt.Errorf("--workers=%d must be at least 1", s.controller.Workers)
	}
	return s.election.validate()
}

func (s settings) manager() ctrl.Options {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1.AddToScheme(scheme))
	return ctrl.Options{
		Scheme:                 scheme,
		Cache:                  cache.Options{DefaultNamespaces: watched(s.namespaces), DefaultTransform: cache.TransformStripManagedFields()},
		Metrics:                metricsserver.Options{BindAddress: s.metricsAddress},
		HealthProbeBindAddress: "0", // serveProbes does that, from before there is a manager
		PprofBindAddress:       s.pprofAddress,
		Controller: config.Controller{
			SkipNameValidation: ptr.To(true), // a manager is made anew if the API server goes while it is made
			CacheSyncTimeout:   cacheSyncTimeout,
		},
	}
}

// cacheSyncTimeout is longer than any API server is away: until then /readyz/caches says what is missing.
const cacheSyncTimeout = 30 * 24 * time.Hour

func ownNamespaces() string { return cmp.Or(os.Getenv("WATCH_NAMESPACES"), os.Getenv("POD_NAMESPACE")) }

// watched are the namespaces of the cache; nil for all.
func watched(list string) map[string]cache.Config {
	namespaces := map[string]cache.Config{}
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			namespaces[name] = cache.Config{}
		}
	}
	if len(namespaces) == 0 {
		return nil
	}
	return namespaces
}
