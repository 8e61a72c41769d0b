#!/usr/bin/env bash
# Prints the directory that holds job systems of Node for tests: bullmq5, bullmq6 and bull in node_modules, and a
# Node that runs them as bin/node.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/npm.sh" jobclients 18 bullmq5@npm:bullmq@5.81.5 bullmq6@npm:bullmq@6.7.0 bull@4.16.5
