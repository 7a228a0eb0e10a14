# syntax=docker/dockerfile:1

FROM node:26-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# No install scripts: better-sqlite3 ships its binary. The sources it would be compiled from stay out of the image.
RUN npm ci --omit=dev --ignore-scripts \
  && rm -rf node_modules/better-sqlite3/deps node_modules/better-sqlite3/src

FROM node:26-slim
# Fewer heaps of the C library for the threads: a tenth less memory.
ENV NODE_ENV=production MALLOC_ARENA_MAX=2
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json ./
COPY bin ./bin
COPY src ./src
RUN mkdir /data cache && chown 1000:1000 /data cache
# The user `node`. By number, since Kubernetes cannot tell from a name that it is not root (`runAsNonRoot`).
USER 1000:1000
# Types are stripped here, rather than at every start by each thread: 40 MB less, and sooner ready. What is kept is for
# this user, these options and processors like this one; others find a folder of their own.
ENV NODE_COMPILE_CACHE=/app/cache
RUN WEBHOOK_SECRET=none DATABASE_URL=sqlite:///:memory: PORT=0 \
  node --min-semi-space-size=8 --max-semi-space-size=8 --v8-pool-size=2 --no-allocation-site-pretenuring bin/lyftr-webhook.js >/tmp/log & \
  until grep -q 'listening on' /tmp/log; do kill -0 $! || exit 1; sleep 0.1; done; \
  kill $! && wait $! && rm /tmp/log && test -n "$(ls cache)"
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 8000}/health/ready`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# What requests leave behind is short-lived, but for those that wait for the disk. Where it is kept is large from the
# start, so that few of these are copied along, and does not grow; V8 wakes a thread for each of four parts of it, and now
# and then takes all of it for long-lived.
ENTRYPOINT ["node", "--min-semi-space-size=8", "--max-semi-space-size=8", "--v8-pool-size=2", "--no-allocation-site-pretenuring", "/app/bin/lyftr-webhook.js"]
CMD ["serve"]
