# Enqueues jobs with Sidekiq's client: enqueue.rb QUEUE COUNT SECONDS [DUE_IN_SECONDS]
#                                      enqueue.rb QUEUE fail MARKER_FILE
# Prints the ids of the jobs.
require_relative "jobs"

queue, count, argument, due = ARGV
if count == "fail"
  puts FailOnce.set(queue: queue).perform_async(argument)
  exit
end
count.to_i.times do
  job = Work.set(queue: queue)
  puts due ? job.perform_in(due.to_f, argument.to_f) : job.perform_async(argument.to_f)
end
