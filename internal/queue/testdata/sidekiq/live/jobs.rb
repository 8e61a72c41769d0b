require "sidekiq"
require "sidekiq/api"

namespace = ENV["NAMESPACE"]
options = {url: ENV.fetch("REDIS_URL")}
options[:namespace] = namespace if namespace
Sidekiq.configure_client { |config| config.redis = options }
Sidekiq.configure_server { |config| config.redis = options }

class LongJob
  include Sidekiq::Worker

  def perform = sleep(300)
end

class FailJob
  include Sidekiq::Worker
  sidekiq_options queue: "mailers", retry: 5

  def perform = raise("boom")
end
