// Works on the queue, two jobs at a time. A job with hold in its data lasts until SIGUSR2, one with seconds
// that long, and one with fail fails. What becomes of them goes to the file named by JOB_LOG: see stack.JobLog.
// SIGTERM ends the worker when its jobs are done.
const fs = require('fs')
const { setTimeout } = require('timers/promises')
const { lib, library, name, connection, settings, newQueue } = require('./library')

let release
const released = new Promise(resolve => { release = resolve })
process.on('SIGUSR2', release)

const work = async job => {
  note('start', job)
  if (job.data.hold) await released
  if (job.data.seconds) await setTimeout(job.data.seconds * 1000)
  if (job.data.fail) throw new Error('this job fails')
  note('end', job)
}

const note = (event, job) => {
  const { JOB_LOG, DYNO } = process.env
  const line = { at: Date.now() / 1000, event, job: String(job.id), attempt: 1, dyno: DYNO, pid: process.pid }
  if (JOB_LOG) fs.appendFileSync(JOB_LOG, JSON.stringify(line) + '\n')
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
if (process.env.FOLLOW_INPUT) process.stdin.on('end', () => process.exit()).resume() // whoever started it is gone
console.log('"ready"')
