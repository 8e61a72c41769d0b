package controllers

import (
	"context"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku"
)

func newAccounts(o Options) *heroku.Accounts {
	logger := ctrl.Log.WithName("heroku")
	return heroku.NewAccounts(heroku.AccountOptions{
		Options: heroku.Options{
			BaseURL:   o.HerokuURL,
			UserAgent: "queuescaler",
			Observe:   countHerokuRequest,
			Warn:      func(message string) { logger.Info("Heroku warns", "warning", message) },
		},
		Reserve: o.HerokuReserve,
	})
}

// secrets reads Secrets. It watches only their metadata, and reads the data of those in use again
// when their resource version has changed: the operator holds no other Secret in memory.
type secrets struct {
	metadata client.Reader
	live     client.Reader

	mu   sync.Mutex
	read map[types.NamespacedName]*corev1.Secret
}

func newSecrets(metadata, live client.Reader) *secrets {
	return &secrets{metadata: metadata, live: live, read: map[types.NamespacedName]*corev1.Secret{}}
}

// value returns the value of a Secret's key, without white space around it. The problem names the
// field of the spec.
func (s *secrets) value(ctx context.Context, namespace string, ref v1.SecretKeyRef, field string) (string, *problem) {
	secret, err := s.get(ctx, types.NamespacedName{Namespace: namespace, Name: ref.Name})
	if apierrors.IsNotFound(err) {
		return "", &problem{reason: v1.ReasonSecretNotFound, class: missing,
			message: fmt.Sprintf("there is no Secret %q in namespace %q: create it, or correct %s", ref.Name, namespace, field)}
	}
	if err != nil {
		log.FromContext(ctx).Error(err, "reading a Secret", "secret", ref.Name)
		return "", &problem{reason: v1.ReasonSecretNotFound, class: transient,
			message: fmt.Sprintf("Secret %q of %s cannot be read: %s", ref.Name, field, apierrors.ReasonForError(err))}
	}
	data, ok := secret.Data[ref.Key]
	if !ok {
		return "", &problem{reason: v1.ReasonSecretKeyMissing, class: missing,
			message: fmt.Sprintf("Secret %q has no key %q: add it, or correct %s", ref.Name, ref.Key, field)}
	}
	value := strings.TrimSpace(string(data))
	if value == "" {
		return "", &problem{reason: v1.ReasonSecretKeyMissing, class: missing,
			message: fmt.Sprintf("key %q of Secret %q is empty: put the value in (%s)", ref.Key, ref.Name, field)}
	}
	return value, nil
}

func (s *secrets) get(ctx context.Context, name types.NamespacedName) (*corev1.Secret, error) {
	metadata := &metav1.PartialObjectMetadata{}
	metadata.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	if err := s.metadata.Get(ctx, name, metadata); err != nil {
		s.store(name, nil)
		return nil, err
	}
	if known := s.known(name); known != nil && known.ResourceVersion == metadata.ResourceVersion {
		return known, nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeBound)
	defer cancel()
	secret := &corev1.Secret{}
	if err := s.live.Get(ctx, name, secret); err != nil {
		if known := s.known(name); known != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
			return known, nil // the best that is known; every reconcile tries again
		}
		return nil, err
	}
	s.store(name, secret)
	return secret, nil
}

func (s *secrets) known(name types.NamespacedName) *corev1.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read[name]
}

func (s *secrets) store(name types.NamespacedName, secret *corev1.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if secret == nil {
		delete(s.read, name)
	} else {
		s.read[name] = secret
	}
}

// secretField indexes QueueScalers by the names of the Secrets they use.
const secretField = "secrets"

func indexSecrets(mgr ctrl.Manager) error {
	return mgr.GetFieldIndexer().IndexField(context.Background(), &v1.QueueScaler{}, secretField, func(object client.Object) []string {
		spec := object.(*v1.QueueScaler).Spec
		names := []string{spec.Heroku.APIKeySecretRef.Name}
		if ref := spec.Redis.URLFrom.SecretKeyRef; ref != nil {
			names = append(names, ref.Name)
		}
		if sentinel := spec.Redis.Sentinel; sentinel != nil && sentinel.PasswordSecretRef != nil {
			names = append(names, sentinel.PasswordSecretRef.Name)
		}
		if ref := spec.Redis.TLS.CASecretRef; ref != nil {
			names = append(names, ref.Name)
		}
		if ref := spec.Redis.TLS.ClientCertificateSecretRef; ref != nil {
			names = append(names, ref.Name)
		}
		return names
	})
}

// usersOfSecret maps a Secret to the QueueScalers that use it.
func (r *Reconciler) usersOfSecret(ctx context.Context, secret client.Object) []ctrl.Request {
	var users v1.QueueScalerList
	err := r.List(ctx, &users, client.InNamespace(secret.GetNamespace()), client.MatchingFields{secretField: secret.GetName()})
	if err != nil {
		log.FromContext(ctx).Error(err, "listing the users of a Secret")
		return nil
	}
	requests := make([]ctrl.Request, len(users.Items))
	for i := range users.Items {
		requests[i].NamespacedName = client.ObjectKeyFromObject(&users.Items[i])
	}
	return requests
}
