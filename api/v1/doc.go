// Package v1 is the QueueScaler API, group queuescaler.dev.
//
// A QueueScaler names a job queue in Redis and a Heroku process type, and asks that the process
// type's quantity be 0 while the queue is idle and spec.activeQuantity while it is not.
//
// +kubebuilder:object:generate=true
// +groupName=queuescaler.dev
package v1
