// Works on the queue, two jobs at a time. A job with hold in its data lasts until SIGUSR2, one with fail
// fails. SIGTERM ends the worker when its jobs are done.
const { lib, library, name, connection, settings, newQueue } = require('./library')

let release
const released = new Promise(resolve => { release = resolve })
process.on('SIGUSR2', release)

const work = async job => {
  if (job.data.hold) await released
  if (job.data.fail) throw new Error('this job fails')
}

let worker
if (library === 'bull') {
  worker = newQueue()
  worker.process('job', 2, work)
} else {
  worker = new lib.Worker(name, work, { connection, concurrency: 2, ...settings })
}
worker.on('error', error => console.error(error))
process.on('SIGTERM', async () => {
  await worker.close()
  process.exit()
})
process.stdin.on('end', () => process.exit()).resume() // whoever started it is gone
console.log('"ready"')
