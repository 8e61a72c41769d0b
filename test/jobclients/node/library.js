// Loads one of the libraries and makes what its console and its worker need of it.
// Arguments: the directory of the libraries, the library and the queue's name. REDIS_URL tells where Redis is.
const path = require('path')

const [directory, library, name] = process.argv.slice(2)
const lib = require(path.join(directory, 'node_modules', library))
const { hostname, port, pathname } = new URL(process.env.REDIS_URL)
const redis = { host: hostname, port: Number(port), db: Number(pathname.slice(1)) }
const connection = { ...redis, maxRetriesPerRequest: null }

const newQueue = () => library === 'bull' ? new lib(name, { redis, settings }) : new lib.Queue(name, { connection })

// How often a worker looks for jobs whose worker died: sooner than by default.
const settings = { stalledInterval: 500, maxStalledCount: 5 }

module.exports = { lib, library, name, connection, settings, newQueue }
