import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'

/** A response, with the method and the URL of its request. */
export interface ObservedResponse {
  method: string
  /** Path or URL of the request, with or without a query. */
  url: string
  status: number
  /** Values by lower-case name. */
  headers: Readonly<Record<string, unknown>>
  body: string
}

interface ResponseObject {
  headers?: Record<string, { required?: boolean; schema: { type?: string } }>
  content?: Record<string, { schema: object }>
}

interface Document {
  components: { schemas: object }
  paths: Record<string, Record<string, { responses: Record<string, ResponseObject> }>>
}

interface Operation {
  path: RegExp
  methods: Record<string, { responses: Record<string, ResponseObject> }>
}

/** Statuses that any path may return, documented or not. */
const COMMON_STATUSES = new Set([400, 404, 405, 408, 414, 429, 431, 503])

/** Paths outside the API: the documentation and the OpenAPI document. */
const UNDOCUMENTED = /^\/(dashboard|docs|openapi\.json)([/?]|$)/

/** Schema of the errors of undocumented paths. */
const PROBLEM = {
  type: 'object',
  required: ['detail'],
  additionalProperties: false,
  properties: { detail: { type: 'string', minLength: 1 } },
}

/** Internal details that no error may reveal: stack traces, file names, SQL, names of libraries. */
const INTERNALS =
  /node_modules|\bat [\w.<>]+ \(|\.[cm]?[jt]s:\d+|SQLITE_|sqlite3|better-sqlite|\bFST_ERR|\bERR_[A-Z]+_|\b(select|insert into|update|delete from) \w+ .*\b(from|values|set|where)\b/i

/** Returns the schema with `additionalProperties: false` in every object. */
function strict(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(strict)
  if (typeof schema !== 'object' || schema === null) return schema
  const inside = Object.fromEntries(Object.entries(schema).map(([key, one]) => [key, strict(one)]))
  return 'properties' in inside ? { additionalProperties: false, ...inside } : inside
}

/** Checks responses against the OpenAPI document. */
export class ResponseContract {
  readonly #operations: Operation[]
  readonly #components: unknown
  readonly #validators = new Map<object, ValidateFunction>()
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false })

  /** @param document the OpenAPI document. */
  constructor(document: unknown) {
    this.#components = strict((document as Document).components)
    this.#operations = Object.entries((document as Document).paths).map(([path, methods]) => ({
      path: new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}/?$`),
      methods,
    }))
  }

  /** Returns how a response violates the document, undefined if it conforms. */
  violation(response: ObservedResponse): string | undefined {
    const { method, url, status, headers, body } = response
    const what = `${method} ${url.slice(0, 200)} returned ${status}`
    const path = url.replace(/^https?:\/\/[^/]*/i, '').replace(/[?#].*$/s, '')
    if (UNDOCUMENTED.test(path) && status < 400) return undefined
    // A CORS preflight request, which is not an operation.
    if (method === 'OPTIONS' && status === 204) return undefined
    if (typeof headers['x-request-id'] !== 'string') return `${what} without X-Request-ID`
    if (status >= 400 && INTERNALS.test(body)) return `${what} and reveals internals: ${body}`

    const operation = this.#operations.find((one) => one.path.test(path))
    const name = method === 'HEAD' ? 'get' : method.toLowerCase()
    const responses = operation?.methods[name]?.responses
    const described = responses?.[status]
    if (!described) {
      if (responses || !COMMON_STATUSES.has(status)) return `${what}, which is not documented`
      return this.#bodyViolation(what, response, { 'application/json': { schema: PROBLEM } })
    }
    for (const [name, { required, schema }] of Object.entries(described.headers ?? {})) {
      const value = headers[name.toLowerCase()]
      if (value === undefined) {
        if (required) return `${what} without ${name}`
        continue
      }
      if (schema.type === 'integer' && !/^\d+$/.test(String(value))) return `${what}: bad ${name}`
    }
    return this.#bodyViolation(what, response, described.content ?? {})
  }

  #bodyViolation(
    what: string,
    { method, headers, body }: ObservedResponse,
    content: Record<string, { schema: object }>,
  ): string | undefined {
    if (method === 'HEAD') return undefined
    const type = String(headers['content-type']).split(';')[0] ?? ''
    const schema = content[type]?.schema
    if (!schema) return `${what} as ${type}, which is not documented`
    let value: unknown = body
    if (type === 'application/json') {
      try {
        value = JSON.parse(body)
      } catch {
        return `${what} with invalid JSON: ${body.slice(0, 200)}`
      }
    }
    let validate = this.#validators.get(schema)
    if (!validate) {
      validate = this.#ajv.compile({ ...(strict(schema) as object), components: this.#components })
      this.#validators.set(schema, validate)
    }
    if (validate(value)) return undefined
    return `${what} with ${body.slice(0, 300)}: ${this.#ajv.errorsText(validate.errors)}`
  }
}
