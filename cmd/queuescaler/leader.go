package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/queuescaler/queuescaler/controllers"
)

// election is how replicas agree on the one that acts. The leader stays for as long as it may while the API
// server is away, since a wake needs only Redis and Heroku. A planned handover takes one retryPeriod; a leader
// that is lost without a word is followed after the lease.
type election struct {
	namespace                                 string
	leaseDuration, renewDeadline, retryPeriod time.Duration
}

func (e *election) bind(flags *flag.FlagSet) {
	flags.StringVar(&e.namespace, "leader-election-namespace", "", "namespace of the lease; empty for the pod's own")
	flags.DurationVar(&e.leaseDuration, "leader-election-lease-duration", time.Minute, "how long after the leader's last renewal another replica takes over")
	flags.DurationVar(&e.renewDeadline, "leader-election-renew-deadline", 50*time.Second, "how long the leader goes on without a renewal, as while the API server is away: it starts workers and stops none")
	flags.DurationVar(&e.retryPeriod, "leader-election-retry-period", 2*time.Second, "how often the lease is renewed or asked for; how long a planned handover takes")
}

func (e *election) validate() error {
	least := time.Duration(float64(e.retryPeriod) * leaderelection.JitterFactor)
	switch {
	case e.retryPeriod < 100*time.Millisecond:
		return fmt.Errorf("--leader-election-retry-period=%s must be at least 100ms", e.retryPeriod)
	case e.renewDeadline <= least:
		return fmt.Errorf("--leader-election-renew-deadline=%s must be longer than 1.2 times --leader-election-retry-period, which is %s", e.renewDeadline, least)
	case e.leaseDuration < e.renewDeadline+controllers.LeaseMargin:
		return fmt.Errorf("--leader-election-lease-duration=%s must be at least %s longer than --leader-election-renew-deadline=%s: a stop that was begun ends in that time",
			e.leaseDuration, controllers.LeaseMargin, e.renewDeadline)
	}
	return nil
}

// leaseTimeout bounds one request for the lease, also the one that lets it go.
const leaseTimeout = 5 * time.Second

// lock is the lease, watched by a Leadership.
func (e *election) lock(config *rest.Config) (resourcelock.Interface, *controllers.Leadership, error) {
	namespace := cmp.Or(e.namespace, ownNamespace())
	if namespace == "" {
		return nil, nil, errors.New("not in a pod: set --leader-election-namespace, or --leader-elect=false for the only replica")
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, nil, err
	}
	config = rest.AddUserAgent(rest.CopyConfig(config), "leader-election")
	config.Timeout = min(leaseTimeout, e.renewDeadline/2)
	client, err := coordinationv1.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	leadership := controllers.NewLeadership(e.retryPeriod, e.renewDeadline)
	return leadership.Watch(&resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: "queuescaler.dev"},
		Client:     client,
		LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())},
	}), leadership, nil
}

// elect has a manager's options take part in the election.
func (e *election) elect(config *rest.Config, options *ctrl.Options) (*controllers.Leadership, error) {
	lock, leadership, err := e.lock(config)
	if err != nil {
		return nil, err
	}
	options.LeaderElection, options.LeaderElectionResourceLockInterface = true, lock
	options.LeaseDuration, options.RenewDeadline, options.RetryPeriod = &e.leaseDuration, &e.renewDeadline, &e.retryPeriod
	// The process ends when the manager does, so that a successor need not wait for the lease.
	options.LeaderElectionReleaseOnCancel = true
	return leadership, nil
}

// ownNamespace is the pod's.
func ownNamespace() string {
	if name := os.Getenv("POD_NAMESPACE"); name != "" {
		return name
	}
	name, _ := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	return strings.TrimSpace(string(name))
}
