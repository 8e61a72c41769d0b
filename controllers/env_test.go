package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/redis/go-redis/v9"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
	"github.com/queuescaler/queuescaler/test/redisserver"
)

// patience is for anything that should happen, on a busy machine.
const patience = 100 * time.Second

// env is what a test has to itself: a namespace, an app at Heroku with a token, a Redis database.
type env struct {
	*testing.T
	Gomega
	ctx       context.Context
	number    int64
	namespace string
	app       string
	token     string
	redisURL  string
	redis     *redis.Client
}

// newEnv makes an env whose app has the given process types. Tests with one run side by side.
func newEnv(t *testing.T, formation ...simulator.Process) *env {
	t.Helper()
	t.Parallel()
	e := bareEnv(t, "")
	e.addApp(simulator.App{Formation: formation})
	return e
}

// bareEnv is an env without an app, in a namespace of a given name, or of one of its own.
func bareEnv(t *testing.T, namespace string) *env {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	number := w.tests.Add(1)
	e := &env{
		T: t, Gomega: NewWithT(t), ctx: ctx, number: number, namespace: namespace,
		app:   fmt.Sprintf("app-%d", number),
		token: fmt.Sprintf("%s-token-%d", canary, number),
	}
	// A server of its own, since pushes do not tell one database from another.
	e.redisURL = redisserver.StartT(t, redisserver.Options{Password: canary + "-password"}).URL()
	if namespace == "" {
		e.namespace = fmt.Sprintf("test-%d", number)
	}
	e.SetDefaultEventuallyTimeout(patience)
	e.SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	options, err := redis.ParseURL(e.redisURL)
	e.Expect(err).NotTo(HaveOccurred())
	e.redis = redis.NewClient(options)
	e.list("default")
	e.Expect(w.cluster.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: e.namespace}})).To(Succeed())
	w.heroku.AddToken(simulator.Token{Secret: e.token, Name: e.tokenName(), Account: e.tokenName() + "@example.com", Scopes: []string{"write"}})
	e.setSecret("redis", "REDIS_URL", e.redisURL)
	e.setSecret("heroku", "HEROKU_API_KEY", e.token)
	t.Cleanup(func() { e.leave(); cancel() })
	return e
}

// tokenName is what the simulator's record calls the env's token.
func (e *env) tokenName() string { return fmt.Sprintf("operator-%d", e.number) }

func (e *env) addApp(app simulator.App) {
	e.Helper()
	app.Name = e.app
	e.Expect(w.heroku.AddApp(app)).To(Succeed())
}

// leave looks for secrets in what the operator wrote, and takes the env's resources away.
func (e *env) leave() {
	var scalers v1.QueueScalerList
	e.Expect(w.cluster.List(e.ctx, &scalers, client.InNamespace(e.namespace))).To(Succeed())
	for i := range scalers.Items {
		status, err := json.Marshal(scalers.Items[i].Status)
		e.Expect(err).NotTo(HaveOccurred())
		e.Expect(findCanary("a status", string(status))).To(Succeed())
		scaler, before := scalers.Items[i].DeepCopy(), &scalers.Items[i]
		scaler.Spec.DeletionPolicy = v1.DeletionRetain // there is nothing to wait for
		e.Expect(client.IgnoreNotFound(w.cluster.Patch(e.ctx, scaler, client.MergeFrom(before)))).To(Succeed())
		e.delete(scaler.Name)
	}
	for _, event := range e.events() {
		e.Expect(findCanary("an event", event.Note)).To(Succeed())
	}
	for i := range scalers.Items {
		e.awaitGone(scalers.Items[i].Name)
	}
	e.Expect(e.redis.Close()).To(Succeed())
	w.heroku.RemoveApp(e.app)
}

func (e *env) setSecret(name, key, value string) {
	e.Helper()
	e.setSecretData(name, corev1.SecretTypeOpaque, map[string][]byte{key: []byte(value)})
}

func (e *env) setSecretData(name string, kind corev1.SecretType, data map[string][]byte) {
	e.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: e.namespace}, Type: kind, Data: data}
	err := w.cluster.Create(e.ctx, secret)
	if err != nil {
		err = w.cluster.Update(e.ctx, secret)
	}
	e.Expect(err).NotTo(HaveOccurred())
}

func (e *env) deleteSecret(name string) {
	e.Helper()
	e.Expect(w.cluster.Delete(e.ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: e.namespace}})).To(Succeed())
}

// change makes a scaler different from the usual one.
type change func(*v1.QueueScaler)

// scaler is a QueueScaler with short times for the process type worker.
func (e *env) scaler(changes ...change) *v1.QueueScaler {
	scaler := &v1.QueueScaler{
		ObjectMeta: metav1.ObjectMeta{Name: "scaler", Namespace: e.namespace},
		Spec: v1.QueueScalerSpec{
			Redis: v1.RedisSpec{URLFrom: v1.RedisURLSource{SecretKeyRef: &v1.SecretKeyRef{Name: "redis", Key: "REDIS_URL"}}},
			Queue: v1.QueueSpec{Type: v1.QueueSidekiq, Names: []string{"default"}},
			Heroku: v1.HerokuSpec{App: e.app, ProcessType: "worker",
				APIKeySecretRef: v1.SecretKeyRef{Name: "heroku", Key: "HEROKU_API_KEY"}},
			ActiveQuantity:     2,
			IdleTimeoutSeconds: 1,
			PollPeriodSeconds:  1,
			WakeLeadSeconds:    ptr.To(int32(wakeLead.Seconds())),
		},
	}
	for _, change := range changes {
		change(scaler)
	}
	return scaler
}

// plainList has the scaler look at a Redis list, whose workers nobody can hear: a stop waits for
// nothing but the idle timeout.
func plainList(s *v1.QueueScaler) {
	longest := int32(1)
	s.Spec.Queue = v1.QueueSpec{Type: v1.QueueList, Names: []string{"queue:default"}, MaxJobSeconds: &longest, MayBeAbsent: true}
}

func (e *env) create(changes ...change) *v1.QueueScaler {
	e.Helper()
	scaler := e.scaler(changes...)
	e.Expect(w.cluster.Create(e.ctx, scaler)).To(Succeed())
	return scaler
}

func (e *env) get(name string) *v1.QueueScaler {
	e.Helper()
	scaler := &v1.QueueScaler{}
	e.Expect(w.cluster.Get(e.ctx, client.ObjectKey{Namespace: e.namespace, Name: name}, scaler)).To(Succeed())
	return scaler
}

// patch changes a scaler that is there.
func (e *env) patch(name string, change change) {
	e.Helper()
	scaler := e.get(name)
	before := scaler.DeepCopy()
	change(scaler)
	e.Expect(w.cluster.Patch(e.ctx, scaler, client.MergeFrom(before))).To(Succeed())
}

func (e *env) delete(name string) {
	e.Helper()
	scaler := &v1.QueueScaler{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: e.namespace}}
	e.Expect(client.IgnoreNotFound(w.cluster.Delete(e.ctx, scaler))).To(Succeed())
}

func (e *env) awaitGone(name string) {
	e.Helper()
	e.Eventually(func() error {
		return w.cluster.Get(e.ctx, client.ObjectKey{Namespace: e.namespace, Name: name}, &v1.QueueScaler{})
	}).ShouldNot(Succeed(), "%s should be gone", name)
}

func (e *env) events() []eventsv1.Event {
	e.Helper()
	var events eventsv1.EventList
	e.Expect(w.cluster.List(e.ctx, &events, client.InNamespace(e.namespace))).To(Succeed())
	return events.Items
}

// awaitEvent waits for an event with a reason.
func (e *env) awaitEvent(reason string) {
	e.Helper()
	e.Eventually(func() bool {
		return slices.ContainsFunc(e.events(), func(event eventsv1.Event) bool { return event.Reason == reason })
	}).Should(BeTrue(), "there should be an event %s", reason)
}

// await waits until a scaler has a condition with a status and reason, and returns it.
func (e *env) await(name, conditionType string, status metav1.ConditionStatus, reason string) metav1.Condition {
	e.Helper()
	var found metav1.Condition
	e.Eventually(func(g Gomega) {
		scaler := e.get(name)
		condition := meta.FindStatusCondition(scaler.Status.Conditions, conditionType)
		g.Expect(condition).NotTo(BeNil())
		g.Expect(fmt.Sprint(condition.Status, "/", condition.Reason)).To(Equal(fmt.Sprint(status, "/", reason)), condition.Message)
		g.Expect(condition.ObservedGeneration).To(Equal(scaler.Generation))
		found = *condition
	}).Should(Succeed())
	return found
}

// awaitReady waits until nothing is wrong with a scaler.
func (e *env) awaitReady(name string) {
	e.Helper()
	e.await(name, v1.ConditionReady, metav1.ConditionTrue, v1.ReasonReady)
	conditions := e.get(name).Status.Conditions
	e.Expect(meta.FindStatusCondition(conditions, v1.ConditionStalled)).To(BeNil())
	e.Expect(meta.FindStatusCondition(conditions, v1.ConditionReconciling)).To(BeNil())
}

// expectAbnormal looks for exactly one of Stalled and Reconciling.
func (e *env) expectAbnormal(name, reason string, stalled bool) {
	e.Helper()
	want, other := v1.ConditionReconciling, v1.ConditionStalled
	if stalled {
		want, other = other, want
	}
	e.await(name, want, metav1.ConditionTrue, reason)
	scaler := e.get(name)
	e.Expect(meta.FindStatusCondition(scaler.Status.Conditions, other)).To(BeNil())
	e.Expect(scaler.Status.ObservedGeneration).To(Equal(scaler.Generation))
}

// awaitReadyWith waits until a scaler is ready and tells a quantity.
func (e *env) awaitReadyWith(name string, quantity int) {
	e.Helper()
	e.Eventually(func(g Gomega) {
		status := e.get(name).Status
		g.Expect(status.Quantity).To(HaveValue(BeEquivalentTo(quantity)))
		g.Expect(meta.IsStatusConditionTrue(status.Conditions, v1.ConditionReady)).To(BeTrue(), "%+v", status.Conditions)
		g.Expect(meta.FindStatusCondition(status.Conditions, v1.ConditionStalled)).To(BeNil())
		g.Expect(meta.FindStatusCondition(status.Conditions, v1.ConditionReconciling)).To(BeNil())
	}).Should(Succeed())
}

// quantity is the process type's at Heroku.
func (e *env) quantity(processType string) int { return w.heroku.Quantity(e.app, processType) }

// awaitQuantity waits until the process type worker has a quantity at Heroku.
func (e *env) awaitQuantity(quantity int) {
	e.Helper()
	e.awaitQuantityOf("worker", quantity)
}

func (e *env) awaitQuantityOf(processType string, quantity int) {
	e.Helper()
	e.awaitHeroku(func() bool { return e.quantity(processType) == quantity },
		fmt.Sprintf("%s should have quantity %d", processType, quantity))
}

func (e *env) awaitHeroku(done func() bool, what string) {
	e.Helper()
	ctx, cancel := context.WithTimeout(e.ctx, patience)
	defer cancel()
	e.Expect(w.heroku.Wait(ctx, done)).To(Succeed(), what)
}

// scalings are the changes asked for by PATCH of the process type worker, the oldest first.
func (e *env) scalings() []simulator.Event {
	return slices.DeleteFunc(w.heroku.Events(), func(event simulator.Event) bool {
		return event.App != e.app || event.Type != "worker" || event.Kind != simulator.Scaled || event.Method == ""
	})
}

// requests are those made with the env's token, the oldest first, with or without an answer.
func (e *env) requests() []simulator.Request {
	return slices.DeleteFunc(w.heroku.Requests(), func(r simulator.Request) bool { return r.Token != e.tokenName() })
}

// patches counts the PATCHes made with the env's token.
func (e *env) patches() int {
	count := 0
	for _, request := range e.requests() {
		if request.Method == http.MethodPatch {
			count++
		}
	}
	return count
}

// awaitPatches waits until so many PATCHes were made.
func (e *env) awaitPatches(count int) {
	e.Helper()
	e.awaitHeroku(func() bool { return e.patches() >= count }, "there should be more PATCHes")
	e.Expect(e.patches()).To(Equal(count))
}

// awaitReads waits until the formation has been read so many times more.
func (e *env) awaitReads(more int) {
	e.Helper()
	before := len(e.requests())
	e.awaitHeroku(func() bool { return len(e.requests()) >= before+more }, "the formation should be read")
}

func (e *env) do(words ...any) {
	e.Helper()
	e.Expect(e.redis.Do(e.ctx, words...).Err()).To(Succeed())
}

// list makes a queue known, as the first job ever does.
func (e *env) list(queue string) { e.Helper(); e.do("sadd", "queues", queue) }

// push puts a job into a queue, and take takes all of them.
func (e *env) push(queue string) {
	e.Helper()
	e.list(queue)
	e.do("lpush", "queue:"+queue, `{"class":"Job","args":[],"queue":"`+queue+`"}`)
}
func (e *env) take(queue string) { e.Helper(); e.do("del", "queue:"+queue) }

// beat writes a worker process as its heartbeat does.
func (e *env) beat(identity, info, busy, quiet string) {
	e.Helper()
	e.do("sadd", "processes", identity)
	e.do("hset", identity, "info", info, "busy", busy, "quiet", quiet)
	e.do("expire", identity, 60)
}

// serving is the info of a process that works on queues.
func serving(queues ...string) string {
	return `{"queues":["` + strings.Join(queues, `","`) + `"]}`
}

// expectOthersWork shows that a scaler without faults still gets its workers.
func (e *env) expectOthersWork() {
	e.Helper()
	e.setSecret("good-redis", "REDIS_URL", e.redisURL)
	token := e.token + "-good"
	w.heroku.AddToken(simulator.Token{Secret: token, Account: token + "@example.com", Scopes: []string{"write"}})
	e.setSecret("good-heroku", "HEROKU_API_KEY", token)
	app := e.app + "-good"
	e.Expect(w.heroku.AddApp(simulator.App{Name: app, Formation: []simulator.Process{{Type: "worker"}}})).To(Succeed())
	e.create(func(s *v1.QueueScaler) {
		s.Name = "good"
		s.Spec.Redis.URLFrom.SecretKeyRef.Name = "good-redis"
		s.Spec.Heroku.APIKeySecretRef.Name = "good-heroku"
		s.Spec.Heroku.App = app
		s.Spec.Queue.Names = []string{"good"}
	})
	e.push("good")
	e.awaitHeroku(func() bool { return w.heroku.Quantity(app, "worker") == 2 }, "another scaler should work")
	e.delete("good")
}
