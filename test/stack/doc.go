// Package stack runs the parts of a whole installation as local processes, for the end-to-end tests
// and the demo: a control plane, the operator's binary and a Sidekiq application. Redis is package
// redisserver's, Heroku is the simulator's.
package stack
