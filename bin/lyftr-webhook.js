#!/usr/bin/env node
// Plain JavaScript without imports, so that an old Node can parse it and print that it is too old.
;(() => {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if ((major === 22 && minor >= 19) || major === 24 || major >= 26) {
    Promise.all([import('node:module'), import('node:os')]).then(([module, os]) => {
      // The compile cache keeps stripped and compiled modules across starts and threads, which saves time and memory. The
      // folder that NODE_COMPILE_CACHE names may not be writable, as in an image that runs as another user.
      const directory =
        module.enableCompileCache().directory ||
        module.enableCompileCache(`${os.tmpdir()}/node-compile-cache`).directory
      if (directory) process.env.NODE_COMPILE_CACHE = directory
      return import('../src/cli/main.ts')
    })
    return
  }
  process.stderr.write(
    `lyftr-webhook: Node.js 22.19, 24, or 26 and later is required, found ${process.versions.node}; 'npm ci' installs one, which 'npm start' uses\n`,
  )
  process.exit(1)
})()
