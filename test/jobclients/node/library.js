// Loads one of the libraries and makes what its console and its worker need of it.
// Arguments: the directory of the libraries, the library, the Redis URL and the queue's name.
const path = require('path')

const [directory, library, url, name] = process.argv.slice(2)
const lib = require(path.join(directory, 'node_modules', library))
const { hostname, port } = new URL(url)
const connection = { host: hostname, port: Number(port), maxRetriesPerRequest: null }

const newQueue = () => library === 'bull' ? new lib(name, { redis: { host: hostname, port: Number(port) }, settings }) : new lib.Queue(name, { connection })

// How often a worker looks for jobs whose worker died: sooner than by default.
const settings = { stalledInterval: 500, maxStalledCount: 5 }

module.exports = { lib, library, name, connection, settings, newQueue }
