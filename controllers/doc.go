// Package controllers reconciles QueueScalers: observe, decide, apply, report.
//
// Observing and applying touch the network, deciding is package scaling's pure function, and
// status.go is the only writer of status. What an object needs from one reconcile to the next is in
// its memory; nothing in it is needed for safety, since a fresh one only makes the operator wait.
package controllers
