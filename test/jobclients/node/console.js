// Evaluates the expressions on its standard input, one a line, and prints their values as JSON.
// In scope are the library as `lib`, the queue as `queue`, and `connection` and `name`.
const readline = require('readline')
const { lib, name, connection, newQueue } = require('./library')

const queue = newQueue()

;(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    try {
      console.log(JSON.stringify(await eval(line) ?? null))
    } catch (error) {
      console.log(JSON.stringify({ error: String(error) }))
    }
  }
  process.exit()
})()
