# A Sidekiq application whose jobs write what becomes of them to the file named by JOB_LOG.
require "json"
require "sidekiq"

Redis.silence_deprecations = true # Sidekiq 6.4 with a newer redis gem

redis = {url: ENV.fetch("REDIS_URL")}
Sidekiq.configure_client { |config| config.redis = redis }

# Writes a line at the start and the end of each attempt of a job.
class JobLog
  def call(_worker, job, queue)
    note(job, queue, "start")
    yield
    note(job, queue, "end")
  rescue Sidekiq::Shutdown
    note(job, queue, "interrupted")
    raise
  rescue StandardError
    note(job, queue, "failed")
    raise
  end

  private

  def note(job, queue, event)
    line = JSON.generate(
      at: Process.clock_gettime(Process::CLOCK_REALTIME), event: event, job: job["jid"], class: job["class"],
      queue: queue, attempt: job["retry_count"] ? job["retry_count"] + 2 : 1,
      dyno: ENV["DYNO"], pid: Process.pid
    )
    File.open(ENV.fetch("JOB_LOG"), "a") { |file| file.write(line + "\n") }
  end
end

Sidekiq.configure_server do |config|
  config.redis = redis
  config.server_middleware { |chain| chain.add JobLog }
end

class Work
  include Sidekiq::Worker

  def perform(seconds)
    sleep seconds
  end
end

# Fails at its first attempt and succeeds at the second.
class FailOnce
  include Sidekiq::Worker
  sidekiq_options retry: 3
  sidekiq_retry_in { |_count| 1 }

  def perform(marker)
    return if File.exist?(marker)

    File.write(marker, "")
    raise "the first attempt fails"
  end
end
