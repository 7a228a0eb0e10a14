#!/usr/bin/env node
// Plain JavaScript without imports: an old Node must be able to parse this file to be told that it is too old.
;(() => {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if ((major === 22 && minor >= 19) || major === 24 || major >= 26) {
    Promise.all([import('node:module'), import('node:os')]).then(([module, os]) => {
      // Types are stripped once for all starts, and not anew in each thread, which saves time and memory; in the temporary
      // folder where the one that the environment names belongs to somebody else.
      const kept =
        module.enableCompileCache().directory ||
        module.enableCompileCache(`${os.tmpdir()}/node-compile-cache`).directory
      if (kept) process.env.NODE_COMPILE_CACHE = kept
      return import('../src/cli/main.ts')
    })
    return
  }
  process.stderr.write(
    `lyftr-webhook: Node.js 22.19, 24, or 26 and later is needed, this is ${process.versions.node}; 'npm ci' installs one, which 'npm start' uses\n`,
  )
  process.exit(1)
})()
