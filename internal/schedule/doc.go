// Package schedule knows the windows of time in which workers must be up. It is pure: the time is
// a parameter, and nothing but the time zone database is read.
//
// Its invariant: each time that an expression names opens its window, also on the days when the
// clocks change, and none is reported as closed before its full duration has passed.
package schedule
