import { execFile, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { parseAllDocuments } from 'yaml'

const run = promisify(execFile)

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** A Kubernetes object; only what the tests read is typed. */
export interface Manifest {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; labels?: Record<string, string> }
  spec: unknown
}

/** A probe of a container. */
export interface Probe {
  httpGet: { path: string; port: string }
  periodSeconds: number
  failureThreshold: number
}

/** The pod of a StatefulSet or Deployment. */
export interface PodSpec {
  automountServiceAccountToken: boolean
  enableServiceLinks: boolean
  hostNetwork?: boolean
  hostPID?: boolean
  hostIPC?: boolean
  terminationGracePeriodSeconds: number
  topologySpreadConstraints?: { topologyKey: string; labelSelector: Selector }[]
  securityContext: SecurityContext
  initContainers?: unknown[]
  containers: Container[]
  volumes: (Record<string, unknown> & { name: string })[]
}

/** The container of the service. */
export interface Container {
  image: string
  env: { name: string; value: string }[]
  ports: { name: string; containerPort: number; hostPort?: number }[]
  securityContext: SecurityContext
  volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[]
  startupProbe: Probe
  readinessProbe: Probe
  livenessProbe: Probe
}

/** A security context of a pod or of a container. */
export interface SecurityContext {
  runAsNonRoot?: boolean
  runAsUser?: number
  fsGroup?: number
  privileged?: boolean
  allowPrivilegeEscalation?: boolean
  readOnlyRootFilesystem?: boolean
  capabilities?: { drop: string[]; add?: string[] }
  seccompProfile?: { type: string }
  sysctls?: unknown[]
}

/** A selector of labels. */
export interface Selector {
  matchLabels: Record<string, string>
}

/** A StatefulSet or Deployment. */
export interface Workload extends Manifest {
  spec: {
    replicas: number
    selector: Selector
    serviceName?: string
    template: { metadata: { labels: Record<string, string> }; spec: PodSpec }
    volumeClaimTemplates?: { metadata: { name: string }; spec: { accessModes: string[] } }[]
  }
}

/** The command that builds a kustomization; undefined if none is installed. */
export const KUSTOMIZE = [
  ['kubectl', 'kustomize'],
  ['kustomize', 'build'],
].find(
  ([program = '']) =>
    spawnSync(program, ['version', '--client'], { stdio: 'ignore' }).error === undefined,
)

/** Builds a kustomization of `deploy/kubernetes`. @returns its objects. */
async function build(name: string): Promise<Manifest[]> {
  const [program = '', command = ''] = KUSTOMIZE ?? []
  const { stdout } = await run(program, [command, `deploy/kubernetes/${name}`], { cwd: ROOT })
  return parseAllDocuments(stdout).map((document) => document.toJS())
}

/** Returns the only object of a kind. */
export function only<Kind extends Manifest = Manifest>(
  objects: readonly Manifest[],
  kind: RegExp,
): Kind {
  const found = objects.filter((object): object is Kind => kind.test(object.kind))
  const [first] = found
  if (!first || found.length > 1) throw new Error(`${found.length} objects of ${kind}`)
  return first
}

type Overlay = Awaited<ReturnType<typeof load>>

/** The overlays that have been built. */
const overlays = new Map<string, Promise<Overlay>>()

/** Returns the objects of an overlay, its pod and its container; builds it once. */
export function readOverlay(overlay: string): Promise<Overlay> {
  const built = overlays.get(overlay) ?? load(overlay)
  overlays.set(overlay, built)
  return built
}

async function load(overlay: string) {
  const objects = await build(overlay)
  const workload = only<Workload>(objects, /^(StatefulSet|Deployment)$/)
  const { spec: pod, metadata } = workload.spec.template
  const [container, ...others] = pod.containers
  if (!container || others.length > 0) throw new Error('expected one container')
  const environment = Object.fromEntries(container.env.map(({ name, value }) => [name, value]))
  return { objects, workload, pod, labels: metadata.labels, container, environment }
}

/** Returns the module of kubernetes-models with the type and the validator of an object. */
function moduleOf({ apiVersion, kind }: Manifest): string {
  const path = `${apiVersion}/${kind}`
  return apiVersion.startsWith('monitoring.coreos.com/')
    ? `@kubernetes-models/prometheus-operator/${path}`
    : `kubernetes-models/${path}`
}

/** Validates an object against the published schema of its kind. @throws Error that names the field. */
export async function validate(object: Manifest): Promise<void> {
  const { [object.kind]: Model } = await import(moduleOf(object))
  new Model(object).validate()
}

/**
 * Checks that the types of kubernetes-models declare every field of the objects.
 * The schemas allow unknown fields, such as misspelt or misplaced ones; the API server rejects them or drops them.
 * @returns the errors of the compiler; an empty text if there are none.
 */
export function unknownFields(t: Test, objects: readonly Manifest[]): string {
  const lines = objects.map((object, index) => {
    const type = `import('${moduleOf(object)}').I${object.kind}`
    return `export const object${index}: ${type} = ${JSON.stringify(object)}\n`
  })
  const compilerOptions = { module: 'nodenext', noEmit: true, skipLibCheck: true, types: [] }
  const folder = t.testdir({
    'package.json': '{"type": "module"}',
    'tsconfig.json': JSON.stringify({ compilerOptions, files: ['objects.ts'] }),
    'objects.ts': lines.join(''),
  })
  const compiler = `${ROOT}/node_modules/typescript/lib/tsc.js`
  const compiled = spawnSync(process.execPath, [compiler, '-p', folder], { encoding: 'utf8' })
  return compiled.stdout + compiled.stderr
}
