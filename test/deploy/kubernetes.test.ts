import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { ALL_SETTINGS, parseConfig } from '../../src/config.ts'
import { prometheusRule } from '../../tools/prometheus-rule.ts'
import { createDatabase, NO_SERVER } from '../db/postgres/server.ts'
import { folderOf, type Service, startService } from '../service.ts'
import {
  KUSTOMIZE,
  type Manifest,
  only,
  readOverlay,
  type Selector,
  unknownFields,
  validate,
} from './manifests.ts'

const skip = KUSTOMIZE ? false : 'neither kubectl nor kustomize is installed'

const text = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

const OVERLAYS = ['sqlite', 'postgres']

for (const overlay of OVERLAYS) {
  t.test(`${overlay}: every object fits its published schema`, { skip }, async (t) => {
    const { objects } = await readOverlay(overlay)
    for (const object of objects) await t.resolves(validate(object), object.kind)
    t.equal(unknownFields(t, objects), '')
  })

  t.test(
    `${overlay}: every object is in one namespace, which is restricted`,
    { skip },
    async (t) => {
      const { objects } = await readOverlay(overlay)
      const { metadata } = only(objects, /^Namespace$/)
      t.equal(metadata.labels?.['pod-security.kubernetes.io/enforce'], 'restricted')
      for (const { kind, metadata: each } of objects) {
        if (kind !== 'Namespace') t.equal(each.namespace, metadata.name, kind)
      }
    },
  )

  t.test(
    `${overlay}: the pod fulfils the Pod Security Standard restricted`,
    { skip },
    async (t) => {
      const { pod, container } = await readOverlay(overlay)
      t.match(pod.securityContext, {
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      })
      t.strictSame(container.securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      })
      for (const field of ['hostNetwork', 'hostPID', 'hostIPC', 'initContainers'] as const) {
        t.notOk(field in pod, field)
      }
      t.notOk('sysctls' in pod.securityContext)
      t.notOk(container.ports.some((port) => 'hostPort' in port))
      for (const { name, ...volume } of pod.volumes) {
        t.match(Object.keys(volume).join(), /^(configMap|emptyDir|secret)$/, name)
      }
    },
  )

  t.test(
    `${overlay}: the pod has the user of the image and no access to the API`,
    { skip },
    async (t) => {
      const { pod } = await readOverlay(overlay)
      const { runAsUser, fsGroup } = pod.securityContext
      t.match(text('Dockerfile'), `USER ${runAsUser}:${fsGroup}\n`)
      t.equal(pod.automountServiceAccountToken, false)
      t.equal(pod.enableServiceLinks, false)
    },
  )

  t.test(`${overlay}: the image has the version of the package`, { skip }, async (t) => {
    const { container } = await readOverlay(overlay)
    const { version, repository } = JSON.parse(text('package.json'))
    const name = repository.replace('github:', 'ghcr.io/').toLowerCase()
    t.equal(container.image, `${name}:${version}`)
  })

  t.test(`${overlay}: every variable is a setting, and secrets are files`, { skip }, async (t) => {
    const { environment, container, pod } = await readOverlay(overlay)
    for (const [name, value] of Object.entries(environment)) {
      const setting = ALL_SETTINGS.find((each) => [each.name, `${each.name}_FILE`].includes(name))
      t.ok(setting, `${name} is a setting`)
      if (name.endsWith('_FILE')) t.match(value, /^\/run\/secrets\/webhook\/[a-z-]+$/)
      else t.notOk(setting?.secret && name !== 'DATABASE_URL', `${name} is not a secret`)
    }
    t.notMatch(environment.DATABASE_URL ?? '', /postgres/)
    const mount = container.volumeMounts.find(
      ({ mountPath }) => mountPath === '/run/secrets/webhook',
    )
    t.ok(mount?.readOnly)
    t.match(
      pod.volumes.find(({ name }) => name === mount?.name),
      {
        secret: { secretName: 'webhook' },
      },
    )
  })

  t.test(`${overlay}: every mount has a volume`, { skip }, async (t) => {
    const { workload, container, pod } = await readOverlay(overlay)
    const claims = workload.spec.volumeClaimTemplates ?? []
    const volumes = [
      ...pod.volumes.map(({ name }) => name),
      ...claims.map(({ metadata }) => metadata.name),
    ]
    t.strictSame(container.volumeMounts.map(({ name }) => name).sort(), volumes.sort())
  })

  t.test(`${overlay}: the selectors match the pod, and the ports its port`, { skip }, async (t) => {
    const { objects, workload, labels, container } = await readOverlay(overlay)
    const service = only<Manifest & { spec: { selector: object; ports: unknown[] } }>(
      objects,
      /^Service$/,
    )
    const selectors: Record<string, object> = {
      workload: workload.spec.selector.matchLabels,
      Service: service.spec.selector,
      NetworkPolicy: only<Manifest & { spec: { podSelector: Selector } }>(
        objects,
        /^NetworkPolicy$/,
      ).spec.podSelector.matchLabels,
    }
    for (const [name, selector] of Object.entries(selectors)) t.strictSame(selector, labels, name)
    t.match(service.spec.ports, [{ name: 'http', targetPort: 'http' }])
    t.strictSame(container.ports, [{ name: 'http', containerPort: parseConfig({}).port }])
  })

  t.test(`${overlay}: the pod may stop within its grace period`, { skip }, async (t) => {
    const { pod, environment } = await readOverlay(overlay)
    // README, Guarantees: the process exits within 10 s after SHUTDOWN_DELAY_MS.
    const needed = Number(environment.SHUTDOWN_DELAY_MS ?? 0) + 10_000
    t.ok(pod.terminationGracePeriodSeconds * 1000 > needed)
  })

  t.test(
    `${overlay}: start-up may take half an hour, later failures show within a minute`,
    { skip },
    async (t) => {
      const { startupProbe, livenessProbe, readinessProbe } = (await readOverlay(overlay)).container
      const seconds = [startupProbe, livenessProbe, readinessProbe].map(
        ({ periodSeconds, failureThreshold }) => periodSeconds * failureThreshold,
      )
      t.strictSame(seconds, [1800, 30, 10])
      t.equal(livenessProbe.httpGet.path, '/health/live', 'liveness is independent of the database')
      t.equal(startupProbe.httpGet.path, '/health/live')
      t.equal(readinessProbe.httpGet.path, '/health/ready')
    },
  )

  t.test(
    `${overlay}: Prometheus scrapes with the token, as the job of the alerts`,
    { skip },
    async (t) => {
      const { objects } = await readOverlay(overlay)
      const { labels } = only(objects, /^Service$/).metadata
      t.match(only(objects, /^ServiceMonitor$/).spec, {
        selector: { matchLabels: labels },
        endpoints: [
          {
            port: 'http',
            path: '/metrics',
            authorization: { credentials: { name: 'webhook', key: 'metrics-token' } },
            relabelings: [{ action: 'replace', targetLabel: 'job', replacement: 'webhook' }],
          },
        ],
      })
      t.strictSame(
        only(objects, /^PrometheusRule$/).spec,
        parse(text('deploy/prometheus/alerts.yaml')),
      )
    },
  )

  t.test(
    `${overlay}: the service starts with the environment of the pod`,
    {
      skip: skip || (overlay === 'postgres' && NO_SERVER),
    },
    async (t) => {
      const { environment, container } = await readOverlay(overlay)
      const service = await startPod(t, environment)
      for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'] as const) {
        const { status } = await fetch(`${service.url}${container[probe].httpGet.path}`)
        t.equal(status, 200, probe)
      }
      const metrics = (token: string) =>
        fetch(`${service.url}/metrics`, { headers: { authorization: `Bearer ${token}` } })
      t.equal((await metrics('metrics-token')).status, 200)
      t.equal((await metrics('api-token')).status, 401)
    },
  )
}

/** Starts the service with the environment of a pod: in place of its volumes, folders of the test. */
async function startPod(t: Test, environment: Record<string, string>): Promise<Service> {
  const folder = folderOf(t)
  mkdirSync(`${folder}/run/secrets/webhook`, { recursive: true })
  const moved = Object.entries(environment).map(([name, value]) => [
    name,
    value.replace(/(?<=^|sqlite:\/\/\/)\/(run|data)\//, `${folder}/$1/`),
  ])
  for (const [name = '', path = ''] of moved) {
    if (!name.endsWith('_FILE')) continue
    const key = path.slice(path.lastIndexOf('/') + 1)
    writeFileSync(path, key === 'database-url' ? await createDatabase(t) : key)
  }
  // Variables that `startService` would set otherwise.
  return startService(t, { WEBHOOK_SECRET: '', DATABASE_URL: '', ...Object.fromEntries(moved) })
}

t.test(
  'sqlite: one replica, with a volume that one pod at a time can mount',
  { skip },
  async (t) => {
    const { objects, workload, environment } = await readOverlay('sqlite')
    t.equal(workload.kind, 'StatefulSet')
    t.equal(workload.spec.replicas, 1)
    t.equal(workload.spec.serviceName, only(objects, /^Service$/).metadata.name)
    const [claim] = workload.spec.volumeClaimTemplates ?? []
    t.strictSame(claim?.spec.accessModes, ['ReadWriteOncePod'])
    t.equal(environment.DATABASE_URL, 'sqlite:////data/app.db')
  },
)

t.test(
  'postgres: three replicas on different nodes, one of which may be evicted',
  { skip },
  async (t) => {
    const { objects, workload, pod, labels, environment } = await readOverlay('postgres')
    t.equal(workload.kind, 'Deployment')
    t.equal(workload.spec.replicas, 3)
    t.match(workload.spec, { strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } })
    t.match(only(objects, /^PodDisruptionBudget$/).spec, {
      maxUnavailable: 1,
      selector: { matchLabels: labels },
    })
    const constraints = pod.topologySpreadConstraints ?? []
    t.match(constraints, [
      { topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'DoNotSchedule' },
      { topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'ScheduleAnyway' },
    ])
    for (const { labelSelector } of constraints) t.strictSame(labelSelector.matchLabels, labels)
    t.ok(Number(environment.SHUTDOWN_DELAY_MS) >= 5000)
  },
)

t.test('the PrometheusRule is generated from the rules', async (t) => {
  const manifest = text('deploy/kubernetes/monitoring/prometheus-rule.yaml')
  const rules = text('deploy/prometheus/alerts.yaml')
  t.equal(manifest, prometheusRule(rules), 'run `npm run deploy:rules`')
})
