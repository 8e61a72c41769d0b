# Evaluates each line of its input and answers with a line of JSON.
require "json"
require_relative "jobs"

def state
  queues = Sidekiq::Queue.all
  {
    depth: queues.sum(&:size),
    latency: queues.map(&:latency).max || 0,
    in_flight: Sidekiq::Workers.new.size,
    due: (Sidekiq::ScheduledSet.new.to_a + Sidekiq::RetrySet.new.to_a).map(&:score).min || 0,
    retries: Sidekiq::RetrySet.new.size,
    processed: Sidekiq::Stats.new.processed,
    processes: Sidekiq::ProcessSet.new(false).map { |p| {identity: p.identity, busy: p["busy"], quiet: p.stopping?} }
  }
end

$stdout.sync = true
while (line = gets)
  puts JSON.generate(eval(line))
end
