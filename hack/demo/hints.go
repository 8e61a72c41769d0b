package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// hints are the commands for another terminal, each on a line of its own to be copied.
func (d *demo) hints() string {
	paint := d.screen.paint
	var text strings.Builder
	about := func(what string) { text.WriteString("\n" + paint.bold(what) + "\n") }
	command := func(format string, args ...any) { fmt.Fprintf(&text, "  "+format+"\n", args...) }

	about("In another terminal")
	if _, err := exec.LookPath("kubectl"); err != nil {
		command("export PATH=%s:$PATH", os.Getenv("KUBEBUILDER_ASSETS"))
	}
	command("export KUBECONFIG=%s", d.cluster.Kubeconfig)
	command("kubectl get qs -A")
	command("kubectl describe qs -n %s %s", d.sample.key().Namespace, d.sample.key().Name)
	about("More jobs (queue, count, seconds each, and seconds until they are due)")
	command("REDIS_URL=%s JOB_LOG=%s ruby %s %s 5 3", d.sidekiq.RedisURL, d.sidekiq.Log, d.file("enqueue.rb"), d.sample.queues()[0])
	about("The simulated dynos, with curl or the Heroku CLI")
	command("curl -s -H 'Authorization: Bearer %s' -H 'Accept: %s' %s/apps/%s/dynos", personToken, herokuMediaType, d.heroku.URL(), d.sample.app())
	command("HEROKU_HOST=%s HEROKU_API_KEY=%s heroku ps -a %s", d.heroku.URL(), personToken, d.sample.app())
	about("Logs")
	command("tail -f %s %s", d.file("operator.log"), d.file("dynos.log"))
	return text.String()
}
