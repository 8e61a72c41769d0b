// Makes one request with heroku-client and prints what came of it: request.js METHOD PATH OPTIONS, options in JSON.
const Heroku = require('heroku-client')

const [method, path, options] = process.argv.slice(2)
const heroku = new Heroku({ host: process.env.HEROKU_HOST, token: process.env.HEROKU_API_KEY })

heroku.request({ method, path, ...JSON.parse(options) })
  .then(body => ({ body }), error => ({ status: error.statusCode, body: error.body }))
  .then(outcome => console.log(JSON.stringify(outcome)))
