#!/usr/bin/env bash
# Prints the directory that holds clients of the Platform API for tests: the Heroku CLI and heroku-client in
# node_modules, and a Node that runs them as bin/node.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/npm.sh" herokuclients 20 heroku@11.10.0 heroku-client@3.1.4
